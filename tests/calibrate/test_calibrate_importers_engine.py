"""Start logs and metrics of engines become facts that a scenario takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrate.importers.recognise import read_measured
from planner.errors import InputError

VLLM = """\
INFO 12-11 00:05:40 [utils.py:233] non-default args: {'model': 'some/model', 'max_num_seqs': 64, \
'gpu_memory_utilization': 0.92, 'block_size': 32}
INFO 12-11 00:05:41 [scheduler.py:205] Chunked prefill is enabled with max_num_batched_tokens=8192.
(EngineCore_DP0 pid=1) INFO 12-11 00:05:44 [core.py:77] Initializing a V1 LLM engine (v0.11.0) \
with config: model='some/model', dtype=torch.bfloat16, max_seq_len=100000, \
tensor_parallel_size=2, pipeline_parallel_size=1, kv_cache_dtype=fp8_e4m3, device_config=cuda
(Worker_TP0 pid=2) INFO 12-11 00:06:20 [gpu_model_runner.py:2653] Model loading took 17.2814 GiB \
and 30.5 seconds
(Worker_TP1 pid=3) INFO 12-11 00:06:20 [gpu_model_runner.py:2653] Model loading took 17.3 GiB \
and 30.5 seconds
(Worker_TP0 pid=2) INFO 12-11 00:06:53 [gpu_worker.py:359] Available KV cache memory: 52.36 GiB
(Worker_TP1 pid=3) INFO 12-11 00:06:53 [gpu_worker.py:359] Available KV cache memory: 51.9 GiB
(EngineCore_DP0 pid=1) INFO 12-11 00:06:53 [kv_cache_utils.py:1286] GPU KV cache size: \
686,320 tokens
(EngineCore_DP0 pid=1) INFO 12-11 00:06:54 [kv_cache_utils.py:1291] Maximum concurrency for \
100,000 tokens per request: 6.86x
"""
SGLANG = """\
[2026-02-26 16:40:00] server_args=ServerArgs(model_path='some/model', tp_size=2, page_size=1, \
kv_cache_dtype='auto')
[2026-02-26 16:41:18 TP0] Load weight end. elapsed=61.04 s, type=LlamaForCausalLM, \
dtype=torch.bfloat16, avail mem=209.98 GB, mem usage=73.58 GB.
[2026-02-26 16:41:18 TP0] KV Cache is allocated. #tokens: 327310, K size: 2.50 GB, V size: 2.50 GB
[2026-02-26 16:41:18 TP1] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 327312, \
K size: 2.50 GB, V size: 2.50 GB
[2026-02-26 16:41:20 TP0] max_total_num_tokens=327310, chunked_prefill_size=8192, \
max_prefill_tokens=16384, max_running_requests=2048, context_len=131072, available_gpu_mem=4.49 GB
"""
METRICS = """\
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="0",\
gpu_memory_utilization="0.9",num_gpu_blocks="5000",num_gpu_blocks_override="None"} 1.0
vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="1",\
gpu_memory_utilization="0.9",num_gpu_blocks="4000",num_gpu_blocks_override="None"} 1.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="m"} 50.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.2",model_name="m"} 90.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="m"} 100.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 100.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} 12.5
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 60.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 40.0
vllm:num_preemptions_total{engine="0",model_name="m"} 3.0
vllm:e2e_request_latency_seconds_count{engine="0",model_name="m"} 0.0
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="m"} 0.0
"""
GIB = 2**30


def imported(folder, text):
    (folder / "file").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_measured("file", folder)


def refusal(folder, text):
    with pytest.raises(InputError) as caught:
        imported(folder, text)
    return str(caught.value)


def test_a_start_log_of_vllm_gives_the_smallest_pool_and_the_fullest_rank(tmp_path):
    found = imported(tmp_path, VLLM)
    assert found.format == "vLLM start log"
    assert dict(found.facts) == {
        "engine": "vLLM", "engine_version": "0.11.0", "model": "some/model",
        "kv_cache_dtype": "fp8_e4m3", "kv_tokens": 686_320, "kv_bytes": round(51.9 * GIB),
        "max_model_len": 100_000, "max_concurrency": 6.86, "weights_bytes": round(17.3 * GIB),
        "max_num_seqs": 64, "max_num_batched_tokens": 8192, "block_size": 32,
        "gpu_memory_utilization": 0.92, "tensor_parallel": 2, "pipeline_parallel": 1,
    }  # fmt: skip
    assert found.overrides() == [
        "service.engine.kv_tokens=686320", "service.engine.max_num_seqs=64",
        "service.engine.max_num_batched_tokens=8192", "service.engine.max_model_len=100000",
        "service.engine.block_size=32", "service.engine.gpu_memory_utilization=0.92",
    ]  # fmt: skip


def test_the_smallest_of_several_engines_counts(tmp_path):
    second = VLLM.replace("686,320", "600,000").replace("6.86x", "6.0x")
    found = imported(tmp_path, VLLM + second)
    assert found.facts["kv_tokens"] == 600_000
    assert any("values of kv_tokens: the smallest" in each.message for each in found.notices)


def test_newer_vllm_puts_pool_and_concurrency_into_one_line(tmp_path):
    line = "INFO GPU KV cache size: 112,347 tokens, Maximum concurrency for 98,304 tokens per "
    facts = imported(tmp_path, line + "request: 1.14x\n").facts
    assert (facts["kv_tokens"], facts["max_model_len"]) == (112_347, 98_304)
    assert facts["max_concurrency"] == 1.14


def test_the_size_that_older_vllm_logs_for_windows_is_replaced_by_what_is_held(tmp_path):
    """A model of six groups: 79,344 tokens are a sixth of its blocks, 5 requests of 98,304 fit."""
    found = imported(
        tmp_path,
        "GPU KV cache size: 79,344 tokens\n"
        "Maximum concurrency for 98,304 tokens per request: 5.00x\n",
    )
    assert found.facts["kv_tokens"] == 5 * 98_304
    assert any("concurrency times its length" in each.message for each in found.notices)
    rounded = (
        "GPU KV cache size: 100,400 tokens\nMaximum concurrency for 100,000 tokens per request"
    )
    assert imported(tmp_path, f"{rounded}: 1.01x\n").facts["kv_tokens"] == 100_400


def test_a_log_of_an_engine_without_room_is_refused(tmp_path):
    assert "got a KV cache of 0 tokens" in refusal(tmp_path, "GPU KV cache size: 0 tokens\n")


def test_blocks_of_older_vllm_become_tokens(tmp_path):
    found = imported(
        tmp_path,
        "Loading model weights took 14.9888 GB\n# GPU blocks: 1952, # CPU blocks: 2048\n"
        "Maximum concurrency for 20000 tokens per request: 1.56x\n",
    )
    assert (found.facts["kv_tokens"], found.facts["block_size"]) == (1952 * 16, 16)
    assert found.facts["weights_bytes"] == round(14.9888 * GIB)


def test_a_start_log_of_sglang_is_read(tmp_path):
    found = imported(tmp_path, SGLANG)
    assert found.format == "SGLang start log"
    assert dict(found.facts) == {
        "engine": "SGLang", "model": "some/model", "kv_cache_dtype": "auto", "kv_tokens": 327_310,
        "max_num_seqs": 2048, "max_model_len": 131_072, "max_num_batched_tokens": 8192,
        "weights_bytes": round(73.58 * GIB), "block_size": 1, "tensor_parallel": 2,
    }  # fmt: skip
    pool = "".join(line for line in SGLANG.splitlines(keepends=True) if "max_total" not in line)
    assert imported(tmp_path, pool).facts["kv_tokens"] == 327_310


def test_logs_of_several_or_unfinished_starts_are_refused(tmp_path):
    other = VLLM.replace("some/model", "another/model")
    assert "must be the log of one start, got several models" in refusal(tmp_path, VLLM + other)
    longer = VLLM.replace("Maximum concurrency for 100,000", "Maximum concurrency for 50,000")
    assert "got several context lengths" in refusal(tmp_path, VLLM + longer)
    assert "must say what fits into memory" in refusal(
        tmp_path, "INFO Initializing a V1 LLM engine (v0.11.0) with config: model='m'\n"
    )


def test_metrics_give_the_smallest_pool_and_statistics(tmp_path):
    found = imported(tmp_path, METRICS)
    assert found.facts == {
        "engine": "vLLM", "model": "m", "kv_tokens": 64_000, "block_size": 16,
        "gpu_memory_utilization": 0.9,
    }  # fmt: skip
    (run,) = found.runs
    assert run.counts == {"measured": 100, "preemptions": 3}
    ttft = run.metrics["ttft_s"]
    assert ttft == {"mean": 0.125, "p50": pytest.approx(0.1), "p90": pytest.approx(0.2)}
    assert set(run.metrics) == {"ttft_s"}, "no request, no statistics"


def test_a_dump_of_before_the_first_request_says_so(tmp_path):
    lines = [line for line in METRICS.splitlines() if "cache_config" in line or "e2e" in line]
    found = imported(tmp_path, "\n".join(lines) + "\n")
    assert found.runs == ()
    assert "no request had ended: there are no latencies" in [n.message for n in found.notices]


def test_histograms_of_several_engines_are_added(tmp_path):
    more = METRICS.replace('engine="0"', 'engine="2"').replace("50.0", "100.0")
    ttft = imported(tmp_path, METRICS + more).runs[0].metrics["ttft_s"]
    assert ttft["mean"] == 0.125
    assert ttft["p50"] == pytest.approx(0.1 * 100 / 150)


def test_sglangs_metrics_and_the_pool_that_vllm_counts_itself_are_read(tmp_path):
    sglang = 'sglang:max_total_num_tokens{tp_rank="0"} 471258.0\nsglang:context_len{} 4096.0\n'
    facts = imported(tmp_path, sglang).facts
    assert facts == {"engine": "SGLang", "kv_tokens": 471_258, "max_model_len": 4096}
    exact = METRICS.replace('cache_dtype="auto"', 'kv_cache_size_tokens="70000"')
    assert imported(tmp_path, exact).facts["kv_tokens"] == 70_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# HELP up Whether it is up\nup 1\n", "must hold metrics of vLLM or SGLang"),
        (METRICS + "vllm:broken{a} 1\n", "file:16: must be a sample"),
        (METRICS + "vllm:broken 1 2 3\n", "file:16: must be a sample"),
        (METRICS.replace('le="0.1"', 'le="fast"'), "must have a number >= 0 as le of vllm:time_to"),
        (METRICS + 'vllm:x{model_name="other"} 1\n', "must be of one model, got m, other"),
        (METRICS.replace('le="0.1"', 'le="NaN"'), "must have a number >= 0 as le of vllm:time_to"),
        (METRICS.replace('le="0.1"', 'le="-1"'), "must have a number >= 0 as le of vllm:time_to"),
        (
            METRICS.replace("} 50.0", "} 95.0"),
            "must have buckets that rise up to its",
        ),
        (METRICS.replace('_count{engine="0",model_name="m"} 100.0', "_count{} 99"), "got 99 after"),
        (METRICS + "vllm:num_preemptions_total -1\n", "must be finite and >= 0, got -1"),
        (METRICS + "vllm:num_preemptions_total NaN\n", "must be finite and >= 0, got nan"),
        (METRICS + "vllm:num_preemptions_total 1e999\n", "must be finite and >= 0, got inf"),
        (METRICS + "vllm:broken 1.2.3\n", "file:16: must be a sample"),
        ("vllm:rubbish 1\nvllm:more 2\n", "must hold metrics of vLLM or SGLang"),
    ],
)
def test_bad_metrics_are_refused(tmp_path, text, said):
    assert said in refusal(tmp_path, text)


pieces = st.sampled_from(
    [*VLLM.splitlines(), *SGLANG.splitlines(), *METRICS.splitlines()]
) | st.text(max_size=20)


@given(
    lines=st.lists(st.tuples(pieces, pieces, st.integers(0, 200)), max_size=6),
    kind=st.sampled_from([VLLM, SGLANG, METRICS]),
)
def test_any_mixture_of_lines_gives_facts_or_a_reason(lines, kind, tmp_path_factory):
    torn = [one[:at] + other[at:] for one, other, at in lines]
    try:
        found = imported(tmp_path_factory.getbasetemp(), kind + "\n".join(torn))
    except InputError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert all(isinstance(each, str | int | float) for each in found.facts.values())


@given(
    tokens=st.lists(st.integers(1, 10**12), min_size=1, max_size=4),
    length=st.integers(1, 10**7),
    seqs=st.integers(1, 10**6),
)
def test_any_numbers_of_a_log_come_back(tokens, length, seqs, tmp_path_factory):
    text = f"args: {{'max_num_seqs': {seqs}}}\n" + "".join(
        f"GPU KV cache size: {each:,} tokens\nMaximum concurrency for {length:,} tokens per "
        f"request: {each / length:.2f}x\n"
        for each in tokens
    )
    facts = imported(tmp_path_factory.getbasetemp(), text).facts
    assert facts["kv_tokens"] == min(tokens)
    assert (facts["max_model_len"], facts["max_num_seqs"]) == (length, seqs)
