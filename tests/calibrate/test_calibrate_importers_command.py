"""``planner import``: what it prints and writes, and hostile files within bounds."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import LLM, TRACE, planner, refused
from hypothesis import given
from hypothesis import strategies as st

from calibrate.importers.recognise import read_measured
from planner.errors import InputError

DATA = Path(__file__).parent / "data"
LOG = (
    "INFO non-default args: {'max_num_seqs': 32}\nINFO GPU KV cache size: 131,072 tokens\n"
    "INFO Maximum concurrency for 2,048 tokens per request: 64.00x\n"
)


def test_rows_are_printed_and_written_and_replayed_as_a_trace(tmp_path, simulate):
    ran = planner("import", DATA / "vllm_requests_rtx4090.csv", "-o", tmp_path / "rows.csv")
    assert ran.code == 0, ran.err
    assert "40 measured, 0 failed" in ran.out
    assert "arrivals: {kind: trace, path: " in ran.out
    replayed = simulate(TRACE, "traffic.arrivals.path=rows.csv", args=("-q", "--json"))
    assert replayed.code == 0, replayed.err
    assert json.loads(replayed.out)["requests"]["arrived"] == 40


def test_failed_requests_of_imported_rows_are_no_traffic(tmp_path, simulate):
    (tmp_path / "file.csv").write_text(
        "arrival_s,prompt_tokens,output_tokens,ttft_s,e2e_s,error\n"
        + "".join(
            f"{k},50,{20 if k % 4 else ''},0.1,1.0,{'' if k % 4 else 'x'}\n" for k in range(40)
        )
    )
    assert planner("import", tmp_path / "file.csv", "-o", tmp_path / "rows.csv").code == 0
    ran = simulate(TRACE, "traffic.arrivals.path=rows.csv", args=("-q", "--json"))
    document = json.loads(ran.out)
    assert document["requests"]["arrived"] == 30
    assert any(each["count"] == 10 for each in document["notices"])


def test_rows_without_arrivals_are_offered_as_lengths(tmp_path, simulate):
    text = "ttft_ms,e2e_ms,prompt_tokens,output_tokens\n20,12345,100,5\n30,12345,50,7\n"
    (tmp_path / "file.csv").write_text(text)
    ran = planner("import", tmp_path / "file.csv", "-o", tmp_path / "rows.csv")
    assert "kind: trace" not in ran.out
    assert f"lengths: {{kind: joint, path: {tmp_path / 'rows.csv'}}}" in ran.out
    assert "    12,345" in ran.out
    scenario = LLM.replace(
        "{kind: fixed, prompt: 100, output: 20}", "{kind: joint, path: rows.csv}"
    )
    assert simulate(scenario, args=("-q",)).code == 0


def test_json_has_rows_and_statistics_with_null_for_what_is_not_known(tmp_path):
    (tmp_path / "file.csv").write_text("isl,osl,e2e_s\n10,1,0.5\n")
    document = json.loads(planner("import", tmp_path / "file.csv", "--json").out)
    assert list(document) == [
        "schema_version", "format", "runs", "rows", "facts", "overrides", "notices",
    ]  # fmt: skip
    assert document["rows"] == [
        {
            "run": "run", "arrival_s": None, "prompt_tokens": 10, "output_tokens": 1,
            "ttft_s": None, "e2e_s": 0.5, "ok": True,
        }
    ]  # fmt: skip
    assert document["runs"][0]["metrics"]["e2e_s"]["p99"] == 0.5


def test_one_run_of_several_is_chosen_by_its_name(tmp_path):
    file = DATA / "vllm_cpu_requests_open.csv"
    both = planner("import", file, "-o", tmp_path / "both.csv")
    assert "choose one with --run" in both.out
    ran = planner("import", file, "--run", "long_30_r1", "-o", tmp_path / "one.csv")
    assert ran.code == 0
    lines = (tmp_path / "one.csv").read_text().splitlines()
    assert len(lines) == 21
    assert all(line.startswith("long_30_r1,") for line in lines[1:])
    said = refused(planner("import", file, "--run", "long_30"))
    assert said.startswith("--run: must be a run of the file, got 'long_30'; did you mean")


def test_facts_of_an_engine_are_ready_for_a_scenario(tmp_path, simulate):
    (tmp_path / "log.txt").write_text(LOG)
    ran = planner("import", tmp_path / "log.txt")
    options = ran.out.splitlines()[-1].removeprefix("In a scenario: ").split()
    assert options == [
        "--set", "service.engine.kv_tokens=131072", "--set", "service.engine.max_num_seqs=32",
        "--set", "service.engine.max_model_len=2048",
    ]  # fmt: skip
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival_s,prompt_tokens,output_tokens\n0,10,5\n1,10,5\n")
    ran = simulate(TRACE, args=("-q", "--json", *options))
    engine = json.loads(ran.out)["scenario"]["service"]["engine"]
    assert (engine["kv_tokens"], engine["max_num_seqs"]) == (131_072, 32)


def test_rows_are_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "log.txt").write_text(LOG)
    said = refused(planner("import", tmp_path / "log.txt", "-o", tmp_path / "rows.csv"))
    assert "--out: must be left out where a file has no single requests" in said
    file = DATA / "vllm_requests_rtx4090.csv"
    said = refused(planner("import", file, "-o", tmp_path / "log.txt" / "rows.csv"))
    assert "--out: must be a file that can be written" in said
    (tmp_path / "folder").mkdir()
    assert "nothing was written" in refused(planner("import", file, "-o", tmp_path / "folder"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "log.txt"]


BAD = {
    "empty": (b"", "must hold"),
    "blank": (b"\n \n", "must be of a known format"),
    "prose": (b"nothing to see here\n", "must be of a known format, got none of vllm bench"),
    "other json": (b'{"a": 1}', "must be of a known format"),
    "number": (b"[1]", "must be of a known format"),
    "cut json": (b'{"ttfts": [0.1, ', "must be JSON, got"),
    "second line": (
        b'{"mean_ttft_ms": 1, "duration": 1}\n{"a": \n',
        "3: must be JSON, got Expecting value; the file ends here: was it cut?",
    ),
    "two formats": (
        b'{"mean_ttft_ms": 1, "duration": 1}\n{"benchmarks": []}\n',
        "2: must be of vllm bench serve as the first document, got another; cut the file",
    ),
    "deep": (b"[" * 100_000, "must be JSON of a usual depth"),
    "long number": (b"[" + b"9" * 5000 + b"]", "must be JSON, got"),
    "latin-1": ('{"ttfts": ["é"]}'.encode("latin-1"), "must be UTF-8 text, got the byte 0xe9"),
    "nul": (b'{"a": "\0"}', "must be text, got a NUL byte"),
    "zip": (b"PK\x03\x04abcdef", "got a zip archive"),
    "cut gzip": (gzip.compress(b"x" * 1000)[:-12], "must be a whole gzip archive"),
    "guidellm csv": (b"Run Info,Run Info\n", "import its JSON instead"),
    "aiperf csv": (b"Metric,avg,min,max,sum\n", "import profile_export.jsonl instead"),
    "lengths only": (b"arrival_s,isl,osl\n0,1,1\n", "must have a column for e2e"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_the_reason(name, tmp_path):
    content, said = BAD[name]
    (tmp_path / "file").write_bytes(content)
    assert said in refused(planner("import", tmp_path / "file"))


@pytest.mark.parametrize("name", ["guidellm.csv", "profile_export_aiperf.csv"])
def test_real_files_with_a_better_one_beside_them_say_so(name):
    assert "instead" in refused(planner("import", DATA / "loadgen" / name))


def test_files_that_are_not_there_or_no_files_are_refused(tmp_path):
    assert "must exist" in refused(planner("import", tmp_path / "none"))
    assert "must be a file, got a folder" in refused(planner("import", tmp_path))


@pytest.mark.usefixtures("bounded")
def test_hostile_files_stop_at_a_limit(tmp_path):
    file = tmp_path / "file"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        for _ in range(300):
            packed.write(b" " * 2**20)
    assert "must hold at most 256 MiB" in refused(planner("import", file))
    file.write_bytes(b"[" + b"[]," * 20_000_000 + b"[]]")
    assert "must fit into memory" in refused(planner("import", file))
    said = refused(planner("import", file, "--max-size", "1 MiB"))
    assert "must hold at most 1 MiB" in said
    for line in (b"vllm:x{" + b"a" * 10**6 + b"} 1\n", b"vllm:x{" + b"}" * 10**6 + b" 1\n"):
        file.write_bytes(line)
        assert "must be a sample" in refused(planner("import", file))
    file.write_bytes(b"max_total_num_tokens=" + b"1" * 10**6 + b"\nLoad weight end." * 100_000)
    assert planner("import", file).code in {0, 2}


@pytest.mark.usefixtures("bounded")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "got a device or pipe" in refused(planner("import", tmp_path / "pipe"))


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_an_import_or_a_reason(content, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    (folder / "file").write_bytes(content)
    try:
        found = read_measured("file", folder)
    except InputError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert found.rows is not None or found.runs or found.facts


def test_importing_needs_neither_torch_nor_pandas():
    code = (
        "import sys\nfrom calibrate.importers.recognise import read_measured\n"
        f"read_measured({str(DATA / 'loadgen' / 'vllm_bench_serve.json')!r})\n"
        "print({'torch', 'pandas', 'scipy', 'numba', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "set()"


LONG = {
    "log": ("INFO GPU KV cache size: 131,072 tokens\n", "Running: 3 reqs, KV cache usage: 3 %\n"),
    "metrics": ('vllm:cache_config_info{block_size="16",num_gpu_blocks="500"} 1\n', "vllm:x 1\n"),
    "table": ("arrival_s,isl,osl,e2e_s\n", "1,100,20,0.4\n"),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_million_lines_are_read_within_a_gibibyte(kind, tmp_path):
    first, line = LONG[kind]
    (tmp_path / "file").write_text(first + line * 10**6)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from calibrate.importers.recognise import read_measured\n"
        "found = read_measured('file', Path(sys.argv[1]))\n"
        "assert found.facts or len(found.rows) == 10**6\n"
        "status = dict(l.split(':', 1) for l in open('/proc/self/status'))\n"
        "print(status['VmHWM'].split()[0])"  # not ru_maxrss, which begins with that of the parent
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True, text=True
    )
    assert int(ran.stdout) < 2**20  # KiB
