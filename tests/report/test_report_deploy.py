"""Exports: flags that vLLM has, YAML that reads back, and nothing left out in silence."""

import io
import json
import re
import subprocess
from itertools import pairwise

import pytest
from command_line import CLOSED, LLM, STAGES, planner, refused, sets
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from planner.errors import InputError
from planner.report.deploy import TARGETS, export
from planner.report.deploy.record import recorded_flags
from planner.report.deploy.text import comments, resource_name, yaml_text
from planner.scenario.bundled import find_scenario, list_bundled
from planner.scenario.reader import load_scenario, read_scenario

#: A DNS label, as Kubernetes wants names.
LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
HOSTILE = [
    "$(rm -rf /) - evil: true",
    "`id` $HOME ${HOME} \\",
    "'; reboot #",
    "*anchor &x !!python/object",
    "on",
    "2024",
    "💥",
    "a" * 200,
]


def made(target, text=LLM, *changes):
    return export(read_scenario(text, overrides=changes), target).text


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def documents(text):
    """Return the documents of a YAML text as the strictest reader has them: safe, version 1.1."""
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)
    return [each for each in yaml.load_all(io.StringIO(text)) if each is not None]


def words(text):
    """Return the words of the command, as a shell has them."""
    stub = "vllm() { printf '%s\\0' vllm \"$@\"; }\n"
    ran = subprocess.run(["sh", "-c", stub + text], capture_output=True, check=True)
    return ran.stdout.decode().split("\0")[:-1]


def check_args(args):
    """Assert that recorded vLLM knows every flag, and each word that it lists for one."""
    record = recorded_flags()
    for flag, value in zip(args, [*args[1:], ""], strict=True):
        if flag.startswith("--"):
            known = flag if flag in record["flags"] else flag.replace("--no-", "--", 1)
            assert known in record["flags"], flag
            if flag in record["choices"]:
                assert value in record["choices"][flag], (flag, value)


def containers(text):
    """Return the arguments of each container of manifests or of a compose file."""
    first = documents(text)[0]
    if "services" in first:
        return [each["command"] for each in first["services"].values() if "command" in each]
    return [each["args"] for each in first["spec"]["template"]["spec"]["containers"]]


TPU = ["service.model=llama-3.2-1b", "fleet.device=TPU-v5e"]
CHANGES = [
    (),
    ("service.settings={weights: fp8, kv_cache: fp8}",),
    ("service.settings={weights: fp8, activations: bf16}",),
    ("service.settings={weights: int8, kv_cache: int8}",),
    ("service.settings={weights: int4, kv_cache: fp16}",),
    ("service.settings={weights: fp16, kv_cache: bf16}",),
    ("service.settings={weights: bf16, kv_cache: fp32}",),
    ("service.settings.pruning={pattern: '2:4'}",),
    ("fleet.tensor_parallel=2", "fleet.pipeline_parallel=2"),
    ("service.engine={kv_tokens: 50000, max_model_len: 4096}",),
    ("service.engine={scheduler: {kind: chunked, scheduler_reserve_full_isl: false}}",),
    ("service.engine={scheduler: {kind: prefill_first}}",),
    ("service.engine={scheduler: {kind: prefill_first}, max_model_len: 2048}",),
    ("service.engine.gpu_memory_utilization=0.333333333",),
    ("service.engine={scheduler: {kind: static, batch_size: 8, timeout: 50 ms}}",),
    ("service.model=gpt-oss-20b", "service.settings.weights=mxfp4"),
    ("fleet.device=MI300X",),
    ("service.settings.launch=eager",),
    ("service.settings.launch=compile",),
    ("fleet.replicas=1", "fleet.device=Xeon-8488C-2S"),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_every_flag_is_one_that_vllm_has(target, changes):
    text = made(target, LLM, *changes)
    for args in [words(text)[2:]] if target == "vllm" else containers(text):
        assert args[0] in {"meta-llama/Meta-Llama-3.1-8B", "openai/gpt-oss-20b"}
        check_args(args[1:])


@pytest.mark.parametrize("name", list_bundled())
def test_the_engine_takes_the_flags_of_every_bundled_scenario(name):
    spec = load_scenario(find_scenario(name))
    if spec.service.kind == "stages":
        with pytest.raises(InputError, match="must be an LLM to export"):
            export(spec, "vllm")
        return
    args = words(export(spec, "vllm").text)[2:]
    check_args(args[1:])
    for target in ("k8s", "compose"):
        for each in containers(export(spec, target).text):
            assert [word.replace("$$", "$") for word in each] == args


def test_vllm_itself_takes_every_command_where_it_is_installed():
    pytest.importorskip("vllm", reason="needs vLLM")
    serve = pytest.importorskip("vllm.entrypoints.cli.serve")
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415 - as above

    parser = serve.make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    for changes in CHANGES:
        args = words(made("vllm", LLM, *changes))[2:]
        parsed = parser.parse_args(args)
        assert parsed.max_num_seqs == int(args[args.index("--max-num-seqs") + 1])


def test_the_flags_say_what_was_simulated():
    text = made(
        "vllm", LLM, "fleet.tensor_parallel=4", "service.settings={weights: fp8, kv_cache: fp8}"
    )
    args = words(text)
    pairs = dict(pairwise(args))
    assert pairs["--tensor-parallel-size"] == "4"
    assert pairs["--quantization"] == "fp8_per_channel"
    assert pairs["--kv-cache-dtype"] == "fp8"
    assert pairs["--max-num-batched-tokens"] == "2048"
    assert pairs["--gpu-memory-utilization"] == "0.9"
    assert "--pipeline-parallel-size" not in pairs
    assert "one of 2 replicas" in text
    assert "--enforce-eager" in words(made("vllm", LLM, "service.settings.launch=eager"))
    compiled = words(made("vllm", LLM, "service.settings.launch=compile"))
    given_config = compiled[compiled.index("--compilation-config") + 1]
    assert json.loads(given_config) == {"cudagraph_mode": "NONE"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["service.settings.weights=int4"], "load a checkpoint in INT4"),
        (["service.settings.weights=int8"], "load a checkpoint in INT8"),
        (
            ["service.settings={weights: fp8, activations: bf16}"],
            "does not quantise to fp8 weights with bf16 arithmetic",
        ),
        (["service.settings.weights=fp8"], "quantised to FP8 while the model loads"),
        (["service.settings.launch=cuda_graphs"], "compiles the model beside capturing"),
        (["service.settings.kv_cache=fp32"], "half of what was simulated"),
        (["service.settings.pruning={pattern: '2:4'}"], "no kernels for 2:4 sparsity"),
        (["service.settings.pruning={pattern: structured, rate: 0.3}"], "structured 30 %"),
        (["service.settings.pruning={pattern: unstructured, rate: 0.3}"], "no gain in speed"),
        (
            ["service.engine.scheduler={kind: static, batch_size: 4, timeout: 1 s}"],
            "no static batches",
        ),
        (["service.engine.scheduler={kind: prefill_first}"], "it cuts prompts into chunks"),
        (
            ["service.engine.scheduler={kind: prefill_first, scheduler_recv_interval: 9}"],
            "takes new requests at every step, not every 9",
        ),
        (["service.engine.kv_tokens=99999"], "lower --num-gpu-blocks-override"),
        (["service.model=gpt-oss-20b"], "is stored as mxfp4, bf16 was simulated"),
        (["service.before=[{name: speech, compute: {time: 9 ms}}]"], "not made here: speech"),
        (["fleet.failures={mtbf: 1 h, mttr: 1 min}"], "sent again only if"),
        (["fleet.router={kind: least_kv}"], "vllm:kv_cache_usage_perc"),
        (["fleet={device: L4, tensor_parallel: 8, pipeline_parallel: 2}"], "several nodes"),
    ],
)
@pytest.mark.parametrize("target", TARGETS)
def test_what_vllm_cannot_be_told_is_said(target, changes, said):
    head = [line for line in made(target, LLM, *changes).splitlines() if line.startswith("#")]
    folded = re.sub(r"\n# +", " ", "\n".join(head))
    assert said in folded


def test_manifests_belong_together():
    scaler = "{target: 0.5, max_replicas: 6, scale_down_delay: 2 h}"
    text = made("k8s", LLM, f"fleet.autoscaler={scaler}", "fleet.tensor_parallel=2")
    deployment, service, autoscaler = documents(text)
    assert [deployment["kind"], service["kind"], autoscaler["kind"]] == [
        "Deployment", "Service", "HorizontalPodAutoscaler",
    ]  # fmt: skip
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 2}
    assert all(isinstance(arg, str) for arg in container["args"])
    assert deployment["spec"]["replicas"] == 2
    spec = autoscaler["spec"]
    assert spec["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 6)
    assert spec["metrics"][0]["pods"]["target"]["averageValue"] == "128"
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 3600
    assert "scale_down_delay is cut to 3600 s" in text


def test_an_autoscaler_aims_at_what_was_simulated():
    kv = made("k8s", LLM, "fleet.autoscaler={measure: kv_cache, target: 0.85, max_replicas: 3}")
    target = documents(kv)[2]["spec"]["metrics"][0]["pods"]
    assert target["metric"]["name"] == "vllm_kv_cache_usage"
    assert target["target"]["averageValue"] == "850m"
    busy = made("k8s", LLM, "fleet.autoscaler={measure: busy, max_replicas: 3}")
    assert "no metric of time spent in steps" in busy
    fixed = documents(made("k8s"))[2]["spec"]
    assert fixed["minReplicas"] == fixed["maxReplicas"] == 2


def test_each_replica_of_a_compose_file_has_devices_of_its_own():
    (file,) = documents(made("compose", LLM, "fleet.replicas=3", "fleet.tensor_parallel=2"))
    ids = [
        service["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"]
        for name, service in file["services"].items()
        if name != "router"
    ]
    assert ids == [["0", "1"], ["2", "3"], ["4", "5"]]
    content = file["configs"]["router"]["content"]
    assert content.count("server vllm-") == 3
    assert "least_conn;" in content
    (alone,) = documents(made("compose", LLM, "fleet.replicas=1"))
    assert list(alone["services"]) == ["vllm"]
    assert alone["services"]["vllm"]["ports"] == ["8000:8000"]


@pytest.mark.parametrize("kind", ["round_robin", "random", "power_of_two", "session_affinity"])
def test_a_router_of_compose_balances_as_simulated(kind):
    (file,) = documents(made("compose", LLM, f"fleet.router.kind={kind}"))
    content = file["configs"]["router"]["content"].replace("$$", "$")
    directive = {
        "round_robin": "",
        "random": "random;",
        "power_of_two": "random two least_conn;",
        "session_affinity": "hash $http_x_session_id consistent;",
    }[kind]
    assert (
        content.splitlines()[1].strip() == directive or "server vllm-0" in content.splitlines()[1]
    )
    assert (directive in content) or kind == "round_robin"


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("target", TARGETS)
def test_a_hostile_name_stays_a_name(target, name):
    model = "{name: x, hf_id: %s, hidden_size: 64, n_layers: 2, n_heads: 2, ffn_size: 128, "
    model = model % quoted(name) + "vocab_size: 1000, max_position: 4096}"
    text = made(target, LLM, f"name={quoted(name)}", f"service.model={model}")
    if target == "vllm":
        command = words(text)
        assert command[:3] == ["vllm", "serve", name]
        assert all(line.startswith("#") for line in text.splitlines()[:3])
        return
    parsed = documents(text)
    assert containers(text)[0][0].replace("$$", "$") == name
    label = parsed[0]["name"] if target == "compose" else parsed[0]["metadata"]["name"]
    assert LABEL.fullmatch(label)
    assert len(label) <= 40


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_of_a_known_shape_is_deployed_as_itself(target):
    text = made(target, LLM, "service.model=llama-3.3-70b", "fleet.tensor_parallel=4")
    assert "meta-llama/Llama-3.3-70B-Instruct" in text
    assert "llama-3.3-70b (shape of llama-3.1-70b) on 2 x" in text
    text = made(target, LLM, "service.model=llama-3.1-8b-instruct")
    assert "the model 'llama-3.1-8b-instruct' names no repository" in text
    assert "meta-llama" not in text


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_terminal_obeys_is_escaped_or_refused(target):
    name = "\x1b[31mred\u2028\n- evil: true"
    text = made(target, LLM, f"name={quoted(name)}")
    assert text.replace("\n", "").isprintable()
    assert "\n- evil" not in text
    model = f"{{hf_id: {quoted(name)}, hidden_size: 64, n_layers: 2, n_heads: 2, ffn_size: 128,"
    with pytest.raises(InputError, match="must be printable"):
        made(target, LLM, f"service.model={model} vocab_size: 1000, max_position: 4096}}")


@given(name=st.text(max_size=80))
def test_any_name_becomes_a_label(name):
    assert LABEL.fullmatch(resource_name(name))


@given(lines=st.lists(st.text(max_size=300), max_size=4))
@settings(deadline=None)
def test_a_comment_never_ends_before_its_line(lines):
    text = "".join(f"{line}\n" for line in comments(lines))
    assert all(line.startswith("#") for line in text.splitlines())
    assert documents(text + "a: 1\n") == [{"a": 1}]


@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=30),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner),
        max_leaves=6,
    )
)
@settings(deadline=None)
def test_any_text_reads_back_from_yaml(data):
    assert documents(yaml_text([{"data": data}])) == [{"data": data}]


@pytest.mark.parametrize(
    ("text", "changes", "target", "message"),
    [
        (STAGES, [], "vllm", "service.kind: must be an LLM to export a deployment"),
        (LLM, ["fleet.device=nothing"], "k8s", "fleet.device: must be"),
        (
            LLM,
            ["service.model=llama-3.2-1b", "fleet.device=TPU-v5e"],
            "k8s",
            "export to vllm instead",
        ),
        (
            LLM,
            ["service.model=llama-3.2-1b", "fleet.device=TPU-v5e"],
            "compose",
            "export to vllm instead",
        ),
        (LLM, ["fleet.replicas=65"], "compose", "must have at most 64 devices for compose"),
        (LLM, [], "helm", "'helm' is not one of"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path, text, changes, target, message):
    (tmp_path / "s.yaml").write_text(text)
    ran = planner("export", tmp_path / "s.yaml", "--to", target, *sets(*changes))
    assert message in refused(ran)


def test_an_unknown_target_is_refused_in_the_library():
    with pytest.raises(InputError, match="exported to one of vllm, k8s, compose"):
        export(read_scenario(LLM), "helm")


def test_the_command_prints_what_the_library_makes(tmp_path):
    (tmp_path / "s.yaml").write_text(CLOSED)
    ran = planner("export", tmp_path / "s.yaml", "--to", "k8s", *sets("fleet.replicas=2"))
    assert ran.code == 0
    assert ran.out == made("k8s", CLOSED, "fleet.replicas=2")


def test_a_context_as_long_as_the_whole_pool_is_said_to_be_one():
    unset = "service.engine.max_model_len=null"
    small = ("service.model=llama-3.1-8b", "fleet.device=RTX-4090", unset)
    chat = find_scenario("chatbot")
    said = "is all of the predicted KV pool, less than the model's 131072"
    assert said in folded(export(load_scenario(chat, small), "vllm").text)
    assert said not in folded(export(load_scenario(chat, (unset,)), "vllm").text)
    given = (*small, "service.engine.max_model_len=16384")
    assert said not in folded(export(load_scenario(chat, given), "vllm").text)


def folded(text):
    """Return a text without its comment signs and line ends."""
    return " ".join(text.replace("#", " ").split())
