"""Bad input from the command line down: a clear error with its place, or a counted warning."""

import gzip
import json
import os

import pytest
from command_line import CLOSED, HEAD, LLM, ROWS, STAGES, TRACE, notices, refused

pytestmark = pytest.mark.usefixtures("bounded")


# ---- traces


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "trace.csv: must hold requests, got an empty file"),
        (HEAD, "trace.csv: must hold requests, got only a header"),
        ("\n\n", "trace.csv:2: must hold a header and rows, got only blank lines"),
        (HEAD + "0,1,1\n-1,1,1\n", "trace.csv:3: must have times >= 0, got -1"),
        (HEAD + "0,1,1\ninf,1,1\n", "trace.csv:3: must have finite times"),
        (HEAD + "0,abc,1\n", "trace.csv:2: must have a whole number of prompt tokens"),
        (HEAD + "0,1.5,1\n", "trace.csv:2: must have a whole number of prompt tokens"),
        (HEAD + "0,1,1e30\n", "trace.csv:2: must have a whole number of output tokens"),
        (HEAD + "0,1,-1\n", "trace.csv:2: must have a whole number of output tokens"),
        (HEAD + "0,1\n", "trace.csv:2: must have 3 cells as the header has, got 2"),
        (HEAD + "0,1,1,1\n", "trace.csv:2: must have 3 cells as the header has, got 4"),
        (HEAD + "0,1,0\n", "got none: 1 rows of trace.csv with zero output tokens left out"),
        (HEAD + '0,"1,1\n' * 3, "trace.csv:3: must be CSV, got a malformed row"),
        (HEAD + "0,1,1\n1700000000,1,1\n", "trace.csv:3: must not mix clocks"),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,4,1\n5.0,3,8\n",
            "trace.csv:3: must not mix clocks, got the number '5.0' where line 2 on has dates",
        ),
        (
            HEAD + "".join(f"{1_700_000_000_000 + k},1,1\n" for k in range(9)),
            "which looks like ms since 1970; write columns: {unit: ms}",
        ),
        ("arrival_s,prompt_tokens\n0,1\n", "trace.csv:1: must have a column for output"),
        ("arrival_s,a,a\n0,1,1\n", "trace.csv:1: must have each column name once, got 'a'"),
        (HEAD.encode() + b"0,1\0,1\n", "trace.csv:2: must be text, got a NUL byte"),
        (HEAD.encode("utf-16"), "got UTF-16 text"),
        (b"arrival_s,p\xe9\n0,1\n", "trace.csv:1: must be UTF-8 text, got the byte 0xe9"),
        (b"PK\x03\x04" + bytes(99), "got a zip archive (or a spreadsheet)"),
        (bytes(range(128, 256)) * 9, "trace.csv:1: must be UTF-8 text"),
        (gzip.compress((HEAD + ROWS).encode())[:-30], "must be a whole gzip archive"),
        (b"\x1f\x8b" + bytes(99), "must be a whole gzip archive"),
        (HEAD + "0," + "1" * 2_000_000 + ",1\n", "trace.csv:2: must have lines of less than"),
        ('{"timestamp": \n', "trace.csv:1: must be one JSON object per line"),
        ('{"timestamp": ' + "[" * 99_999 + "\n", "trace.csv:1: must be one JSON object per line"),
        (
            '{"timestamp": 0, "input_length": 1, "output_length": 1}\n5\n',
            "trace.csv:2: must be one JSON object per line, got int",
        ),
        ("[]\n", "trace.csv:1: must be JSON Lines"),
    ],
    ids=[
        "empty", "header only", "blank", "negative time", "infinite time", "text", "fraction",
        "huge length", "negative length", "short row", "long row", "zero output only",
        "open quote", "mixed clocks", "dates and numbers", "epoch in ms", "missing column",
        "duplicate column", "NUL", "UTF-16", "Latin-1", "zip", "binary", "truncated gzip",
        "broken gzip", "endless line", "broken JSON", "deep JSON", "JSON number", "JSON array",
    ],
)  # fmt: skip
def test_a_bad_trace_is_refused_with_its_place(replay, content, said):
    assert said in refused(replay(content))


@pytest.mark.parametrize(
    ("content", "said", "count"),
    [
        (HEAD + ROWS + "nan,1,1\n", "no arrival time left out (first: line 102)", 1),
        (HEAD + ROWS + "80,nan,1\n,,\n", "no prompt tokens left out (first: line 102)", 1),
        (HEAD + "0,1,1\n3,1,1\n1,1,1\n2,1,1\n", "out of order, sorted by arrival", 1),
        (HEAD + ROWS + "80,1,0\n" * 7, "zero output tokens left out (first: line 102)", 7),
        (
            HEAD.replace("arrival_s", "time") + "".join(f"{k * 500},9,9\n" for k in range(99)),
            "if they are milliseconds, write columns: {unit: ms}",
            0,
        ),
        (HEAD + "50,9,9\n50.5,9,9\n", "comes after 50 s", 0),
    ],
    ids=["NaN time", "NaN length", "unsorted", "zero output", "ms as s", "late start"],
)
def test_what_is_left_out_of_a_trace_is_counted(replay, content, said, count):
    found = {text: n for text, n in notices(replay(content)).items() if said in text}
    assert list(found.values()) == [count]


def test_dialects_of_a_trace_give_the_same_result(replay):
    def figures(content, name="trace.csv"):
        ran = replay(content, name=name)
        result = json.loads(ran.out)
        return result["requests"], result["metrics"]

    plain = HEAD + ROWS
    expected = figures(plain)
    assert figures(b"\xef\xbb\xbf" + plain.encode()) == expected
    assert figures(plain.replace(",", ";")) == expected
    assert figures(plain.replace(",", ";").replace(".", ",")) == expected
    assert figures(plain.replace(",", "\t")) == expected
    assert figures(plain.replace("\n", "\r\n")) == expected
    assert figures(gzip.compress(plain.encode()), name="no name of an archive") == expected


def test_an_archive_that_unpacks_to_too_much_is_refused(replay):
    bomb = gzip.compress((HEAD + "0,1,1\n" * 1_000_000).encode())
    assert len(bomb) < 100_000
    ran = replay(bomb, "traffic.arrivals.max_size=1 MB")
    assert "must hold at most 1 MiB of text once unpacked" in refused(ran)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere.csv", "must exist, got no such file"),
        (".", "must be a file, got a folder"),
        ("pipe", "must be a regular file, got a device or pipe"),
        ("loop", "must be a file, got a link that leads to none"),
        ("/dev/zero", "must be a regular file, got a device or pipe"),
        ("/dev/stdin", "must be a regular file, got a device or pipe"),
        ("a" * 5000, ""),
    ],
)
def test_a_trace_that_is_no_file_is_refused_without_being_read(simulate, tmp_path, path, said):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert said in refused(simulate(TRACE, f"traffic.arrivals.path={path}"))


def test_a_trace_with_spaces_in_its_path_is_read(replay):
    assert replay(HEAD + ROWS, name="my trace é.csv").code == 0


# ---- scenarios: values


@pytest.mark.parametrize(
    ("text", "change", "said"),
    [
        (LLM, "traffic.arrivals.rate=0 req/s", "traffic.arrivals.rate: must be > 0"),
        (LLM, "traffic.rate=0 req/s", "traffic.rate: must be > 0"),
        (LLM, "traffic.arrivals.rate=5", "write '5 req/s' or '5 req/min'"),
        (LLM, "traffic.arrivals.rate=.nan", "must be a rate with a unit, got nan"),
        (LLM, "traffic.arrivals.rate=.inf", "must be a rate with a unit, got inf"),
        (LLM, "traffic.arrivals.rate=1e300 req/s", "must be <= 1000000000000"),
        (LLM, "traffic.duration=1e300 s", "must be <= 1000000000000"),
        (LLM, "traffic.duration=1e999 s", "must be a finite number"),
        (LLM, "simulation.confidence=.nan", "simulation.confidence: must be a finite number"),
        (LLM, "simulation.confidence=0.99999", "simulation.confidence: must be <= 0.9999"),
        (LLM, "fleet.tensor_parallel=.nan", "fleet.tensor_parallel: must be a whole number"),
        (LLM, "service.network=1e300 s", "service.network: must be <= 1000000000000"),
        (LLM, "fleet.replicas=0", "fleet.replicas: must be >= 1"),
        (LLM, "fleet.replicas=1.5", "fleet.replicas: must be a whole number"),
        (LLM, "service.engine.block_size=0", "service.engine.block_size: must be >= 1"),
        (LLM, "service.engine.kv_tokens=99999999999999999999", "kv_tokens: must be <= 90071992547"),
        (LLM, f"simulation.seed={2**200}", "simulation.seed: must be <= 9007199254740992"),
        (LLM, "simulation.seed=" + "9" * 9_999, "simulation.seed: must be a whole number"),
        (LLM, "simulation.replications=1000000000", "simulation.replications: must be <= 10000"),
        (LLM, "traffic.lengths.prompt=1000000000000", "must be <= 100000000"),
        (LLM, "traffic.lengths.output=0", "traffic.lengths.output: must be >= 1"),
        (LLM, "traffic.lengths.output=null", "traffic.lengths.output: must be a whole number"),
        (LLM, "simulation.warmup=40 s", "must be < traffic.duration (40 s)"),
        (LLM, "fleet.price=free", "fleet.price: must be one of"),
        (LLM, "name=" + "x" * 201, "name: must be text of at most 200 characters"),
        (LLM, "objectives=ttft:p95<500", "write '500 ms' or '500 s'"),
        (LLM, "objectives=" + "".join(f"ttft:p9<{k + 1}s;" for k in range(51)), "at most 50"),
        (CLOSED, "traffic.arrivals.clients=0", "traffic.arrivals.clients: must be >= 1"),
        (CLOSED, "traffic.arrivals.clients=1000000000", "must be <= 10000000"),
        (STAGES, "service.stages.0.compute.time=0 s", "must take a finite time > 0"),
        (STAGES, "service.stages.0.compute.speedup=5e-324", "must take a finite time > 0"),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) and "\n" not in value else "",
)
def test_a_value_that_cannot_be_meant_is_refused(simulate, text, change, said):
    assert said in refused(simulate(text, change))


SLOWEST = (
    "{name: x, kind: gpu, memory: 80 GiB, bandwidth: 1e-300 B/s, peaks: {bf16: 1 GFLOP/s}, "
    "origins: {peaks: &made {provenance: assumed, source: made up}, bandwidth: *made}}"
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["service.model=lama-3.1-8b"], "service.model: "),
        (["fleet.device=H100-SXN-80GB"], "'H100-SXM-80GB'"),
        (["service.profile=asumed"], "service.profile: "),
        (["fleet.tensor_parallel=7"], "must divide the 32 attention heads, got 7; possible: 1, 2"),
        (["fleet.tensor_parallel=1000000000"], "must divide the 32 attention heads"),
        (["fleet.pipeline_parallel=1000000000"], "must be at most the 32 layers"),
        (["service.model=llama-3.1-70b"], "must have memory for 'llama-3.1-70b'"),
        (["service.engine.gpu_memory_utilization=1e-300"], "must have memory for"),
        ([f"fleet.device={SLOWEST}", "fleet.price=$1/h"], "must have steps of at most 1e+12 s"),
        (["service.engine.max_model_len=100"], "must be longer than the prompts, got 100"),
        (["service.engine.max_model_len=2000000000"], "must be at most the 131072 positions"),
        (["service.engine.kv_tokens=16"], "must be longer than the prompts, got 16"),
        (["service.engine.max_num_seqs=3000"], "must be >= max_num_seqs (3000)"),
        (["service.modell=x"], "did you mean 'model'?"),
        (["service={kind: lm}"], "did you mean 'llm'?"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_system_that_cannot_be_is_refused_with_what_can(simulate, changes, said):
    message = refused(simulate(LLM, *changes))
    assert said in message
    assert message.startswith(("s.yaml:", "--set "))


def test_prompts_over_the_context_are_rejected_and_counted(replay):
    rows = HEAD + "".join(f"{k},{10**6 if k % 10 == 0 else 100},20\n" for k in range(50))
    ran = replay(rows)
    assert notices(ran)["requests rejected: prompt fills the context of 131072 tokens"] == 5
    assert json.loads(ran.out)["requests"]["rejected"] == 5


def test_a_trace_whose_prompts_are_all_over_the_context_is_refused(replay):
    ran = replay(HEAD + "0,1000000,1\n1,2000000,1\n")
    assert "prompts of 1000000 tokens or more" in refused(ran)


# ---- other files that a scenario names


@pytest.mark.parametrize("key", ["service.profile=", "service.model.config="])
@pytest.mark.parametrize("path", [".", "nowhere.json", "/dev/zero", "deep", "binary", "pipe"])
def test_a_bad_file_of_a_model_or_a_profile_is_refused(simulate, tmp_path, key, path):
    (tmp_path / "deep").write_text("[" * 99_999)
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    os.mkfifo(tmp_path / "pipe")
    text = LLM.replace("llama-3.1-8b", "{config: x.json}") if "config" in key else LLM
    refused(simulate(text, key + path))
