"""Every command, option and exit code as a user meets them."""

import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CLOSED, LLM, PLANNER, STAGES, finish, planner, process, sets

from planner.report.files import FILES
from planner.scenario.bundled import list_bundled

#: Statements that make a run stop where a test wants to interrupt it.
_WAIT_IN = """
import time
import {module} as module
def wait(*_, **__):
    print("there", file=sys.stderr, flush=True)
    time.sleep(60)
{rest}
"""
SIMULATING = _WAIT_IN.format(module="planner.evaluate", rest="module.simulate = wait")
WRITING = _WAIT_IN.format(module="planner.report.files", rest="module.csv_chunks = wait")


@pytest.fixture
def scenario(tmp_path, compiled):  # noqa: ARG001 - what compiling says is not of the command
    path = tmp_path / "in" / "s.yaml"
    path.parent.mkdir()
    path.write_text(LLM)
    return path


@pytest.fixture
def quick(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text(STAGES)
    return path


def names(folder):
    return sorted(each.name for each in folder.iterdir())


# ---- exit codes


def test_a_run_that_meets_its_objectives_exits_0(scenario):
    ran = planner("simulate", scenario)
    assert (ran.code, ran.err) == (0, "")
    assert "ttft:p95<5s" in ran.out


def test_a_missed_objective_exits_3_and_still_reports(scenario):
    ran = planner("simulate", scenario, "--set", "objectives=ttft:p95<1us")
    assert (ran.code, ran.err) == (3, "")
    assert re.search(r"ttft:p95<1us +missed", ran.out)


def test_a_missed_objective_of_a_class_exits_3(quick):
    one = (
        "traffic={duration: 20 s, classes: [{name: a, arrivals: {kind: poisson, rate: 5 req/s},"
        " lengths: {kind: fixed, prompt: 1, output: 1}, objectives: 'e2e:p50<1us'}]}"
    )
    assert planner("simulate", quick, "--set", one).code == 3


def test_bad_input_exits_2(scenario):
    ran = planner("simulate", scenario, "--set", "fleet.replicas=none")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "planner: --set fleet.replicas=none: fleet.replicas: must be a whole number, got 'none'\n"
    )


def test_all_problems_of_a_file_are_said_at_once(scenario):
    scenario.write_text(LLM.replace("40 s", "40").replace("replicas: 2", "replicas: 0"))
    ran = planner("check", scenario)
    assert ran.code == 2
    assert [line.split(": ")[-2] for line in ran.err.splitlines()] == [
        "traffic.duration",
        "fleet.replicas",
    ]
    assert f"{scenario}:3:13: traffic.duration: " in ran.err


@pytest.fixture
def faulty(monkeypatch):
    def fail(*_args, **_options):
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("planner.evaluate.simulate", fail)
    monkeypatch.delenv("PLANNER_DEBUG", raising=False)


@pytest.mark.usefixtures("faulty")
def test_a_fault_of_ours_is_one_line_that_asks_for_a_report(scenario):
    ran = planner("simulate", scenario)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert "internal error: ZeroDivisionError: division by zero" in ran.err
    assert "please report it" in ran.err
    assert "PLANNER_DEBUG=1" in ran.err


@pytest.mark.usefixtures("faulty")
def test_a_fault_of_ours_shows_its_place_on_demand(scenario, monkeypatch):
    monkeypatch.setenv("PLANNER_DEBUG", "1")
    ran = planner("simulate", scenario)
    assert ran.code == 1
    assert ran.err.startswith("Traceback")
    assert ran.err.splitlines()[-1].startswith("planner: internal error: ")


def test_memory_that_runs_out_is_no_fault_of_ours(scenario, monkeypatch):
    def fail(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr("planner.evaluate.simulate", fail)
    ran = planner("simulate", scenario)
    assert ran.code == 2
    assert ran.err.startswith("planner: must fit into memory")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
@pytest.mark.parametrize("where", [SIMULATING, WRITING], ids=["simulating", "writing"])
def test_an_interrupt_leaves_nothing_behind(quick, tmp_path, where, number, code):
    out = tmp_path / "runs" / "out"
    started = process("simulate", quick, "--out", out, before=where)
    assert started.stderr.readline() == b"there\n"
    if where is WRITING:
        assert list(out.parent.iterdir()), "files are being written beside their place"
    started.send_signal(number)
    ran = finish(started)
    assert ran.code == code
    assert ran.out == ""
    assert ran.err == ("planner: interrupted\n" if number == signal.SIGINT else "")
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_an_interrupt_while_the_program_is_imported_is_no_traceback(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    ran = finish(process("check", "chatbot", PYTHONPATH=f"{tmp_path}:{Path.cwd()}"))
    assert ran == (130, "", "planner: interrupted\n")


# ---- usage


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--no-such"], "No such option: --no-such. See planner --help"),
        (["simualte"], "No such command 'simualte'. Did you mean 'simulate'? See planner --help"),
        (["simulate"], "Missing argument 'SCENARIO'. See planner simulate --help"),
        (["simulate", "x", "y"], "unexpected extra argument"),
        (["simulate", "x", "--jsn"], "--json"),
        (["simulate", "x", "--seed"], "--seed"),
        (["simulate", "x", "--seed", "one"], "--seed"),
        (["simulate", "x", "--seed", "-1"], "--seed"),
        (["simulate", "x", "--set"], "--set"),
        (["schema", "other"], "'other'"),
        (["check"], "Missing argument 'SCENARIO'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_exits_2_and_says_what_is_wrong(args, said):
    ran = planner(*args)
    assert (ran.code, ran.out) == (2, "")
    assert ran.clean
    assert said in ran.err


def test_without_arguments_help_is_shown():
    ran = finish(process())
    assert ran.code == 2
    assert "Traceback" not in ran.err
    for command in ("simulate", "check", "init", "schema"):
        assert command in ran.out


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_has_help(option):
    for command in ("simulate", "check", "init", "schema"):
        ran = planner(command, option)
        assert ran.code == 0, command
        assert command in ran.out


def test_version():
    ran = planner("--version")
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(r"planner \d+\.\d+\.\d+\S*\n", ran.out)


def test_shells_are_completed():
    detect = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run(
        [PLANNER, "--show-completion", "bash"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, **detect},
    )
    assert "_PLANNER_COMPLETE" in shown.stdout
    asked = {"_PLANNER_COMPLETE": "complete_bash", "COMP_WORDS": "planner sim", "COMP_CWORD": "1"}
    offered = subprocess.run(
        [PLANNER], capture_output=True, check=False, text=True, env={**os.environ, **asked}
    )
    assert offered.stdout.split() == ["simulate"]


# ---- naming a scenario


def test_a_bundled_scenario_is_known_by_name():
    ran = planner("check", "article_example")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("article_example")


def test_a_path_may_hold_spaces_and_letters_of_any_script(tmp_path):
    path = tmp_path / "my größe 模型" / "a b.yaml"
    path.parent.mkdir()
    path.write_text(STAGES)
    out = tmp_path / "out put é"
    assert planner("simulate", path, "--out", out).code == 0
    command = json.loads((out / "run.json").read_text())["command"]
    assert f"'{path}'" in command


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chatbott", "did you mean 'chatbot'?"),
        ("nowhere.yaml", "no such file; bundled scenarios: "),
        (".", "got a folder"),
        ("", "got nothing"),
        ("a" * 5000, "file name too long"),
        ("/dev/zero", "a device or pipe"),
        ("/dev/null", "a device or pipe"),
    ],
    ids=["near", "missing", "folder", "empty", "long", "endless", "null"],
)
def test_what_is_no_scenario_is_refused(name, said):
    for command in ("simulate", "check"):
        ran = planner(command, name)
        assert (ran.code, ran.out) == (2, "")
        assert ran.clean
        assert said in ran.err


def test_links_and_pipes_are_no_scenarios(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for name in ("pipe", "one"):
        ran = planner("simulate", tmp_path / name)
        assert ran.code == 2
        assert ran.clean


# ---- options of simulate


def test_set_changes_a_value_and_may_be_repeated(quick):
    ran = planner("simulate", quick, "--json", *sets("name=other", "simulation.warmup=1 s"))
    scenario = json.loads(ran.out)["scenario"]
    assert scenario["name"] == "other"
    assert scenario["simulation"]["warmup"] == "1 s"


def test_seed_decides_what_is_drawn(quick):
    def drawn(*args):
        result = json.loads(planner("simulate", quick, "--json", *args).out)
        return result["seed"], result["requests"], result["metrics"]

    assert drawn("--seed", 7) == drawn("--seed", 7) == drawn("--set", "simulation.seed=7")
    assert drawn("--seed", 7)[2] != drawn("--seed", 8)[2]


def test_json_is_one_object_in_ascii_and_nothing_else(scenario):
    ran = planner("simulate", scenario, "--json", "--set", r'name="größe \e[31m \u202e"')
    assert ran.code == 0
    assert ran.out.isascii()
    assert "\x1b" not in ran.out
    assert json.loads(ran.out)["scenario"]["name"].startswith("größe \x1b")


def test_json_reports_a_missed_objective_with_exit_code_3(quick):
    ran = planner("simulate", quick, "--json", "--set", "objectives=e2e:p50<1us")
    assert ran.code == 3
    assert [each["met"] for each in json.loads(ran.out)["objectives"]] == [False]


def test_quiet_says_nothing_on_standard_error(scenario, monkeypatch):
    monkeypatch.setattr("planner.evaluate.is_compiled", lambda: False)
    assert "Compiling" in planner("simulate", scenario).err
    assert planner("simulate", scenario, "-q").err == ""
    assert planner("simulate", scenario, "--quiet").err == ""


def test_stages_need_no_compiler(quick, monkeypatch):
    monkeypatch.setattr("planner.evaluate.is_compiled", lambda: False)
    assert planner("simulate", quick).err == ""


def test_check_says_what_a_scenario_amounts_to(scenario):
    ran = planner("check", scenario)
    assert (ran.code, ran.err) == (0, "")
    offered = r"^\d+ requests in 40 s, [\d.]+ req/s; on average 100 prompt and 20 output tokens$"
    assert re.search(offered, ran.out, re.MULTILINE)
    assert "llama-3.1-8b on 2 x H100" in ran.out


# ---- --out


def run_into(scenario, out, *args):
    ran = planner("simulate", scenario, "--out", out, *args)
    assert ran.code == 0, ran.err
    return {name: (out / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("text", [LLM, STAGES, CLOSED], ids=["llm", "stages", "closed loop"])
def test_the_same_input_gives_the_same_bytes(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    one, two = (run_into(path, tmp_path / name) for name in ("one", "two"))
    for name in FILES:
        typed = str(tmp_path / "one").encode(), str(tmp_path / "two").encode()
        assert one[name].replace(*typed) == two[name], name
    assert one["requests.csv.gz"] == two["requests.csv.gz"]
    assert one["scenario.yaml"] == two["scenario.yaml"]


def test_files_of_a_run_agree_with_its_json(scenario, tmp_path):
    files = run_into(scenario, tmp_path / "out", "--seed", "5")
    summary = json.loads(files["summary.json"])
    printed = json.loads(planner("simulate", scenario, "--json", "--seed", "5").out)
    assert summary | {"command": ""} == printed | {"command": ""}
    rows = gzip.decompress(files["requests.csv.gz"]).decode().splitlines()
    assert len(rows) - 1 == summary["requests"]["arrived"]
    run = json.loads(files["run.json"])
    assert (run["seed"], run["command"]) == (5, summary["command"])
    assert {"python", "numpy", "numba", "latency-planner"} <= set(run["versions"])


def test_the_resolved_scenario_runs_to_the_same_result(scenario, tmp_path):
    first = run_into(scenario, tmp_path / "out", "--set", "fleet.replicas=1")
    again = run_into(tmp_path / "out" / "scenario.yaml", tmp_path / "again")
    assert first["requests.csv.gz"] == again["requests.csv.gz"]
    assert first["scenario.yaml"] == again["scenario.yaml"]


def test_files_are_written_also_where_an_objective_is_missed(quick, tmp_path):
    ran = planner("simulate", quick, "--out", tmp_path / "out", "--set", "objectives=e2e:p50<1us")
    assert ran.code == 3
    assert names(tmp_path / "out") == sorted(FILES)


def test_a_folder_with_other_files_is_refused_before_anything_runs(quick, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr("planner.evaluate.simulate", lambda *_, **__: pytest.fail("it ran"))
        ran = planner("simulate", quick, "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (2, "")
    assert "--force" in ran.err
    assert names(tmp_path / "out") == ["thesis.tex"]
    run_into(quick, tmp_path / "out", "--force")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"
    run_into(quick, tmp_path / "out")  # it is ours now


@pytest.mark.parametrize("where", ["/dev/null/out", "/proc/nowhere/out", "/dev/null"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(quick, where, monkeypatch):
    monkeypatch.setattr("planner.evaluate.simulate", lambda *_, **__: pytest.fail("it ran"))
    ran = planner("simulate", quick, "--out", where)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("planner: --out: must be a directory")


def test_a_full_disk_leaves_nothing_half_written(quick, tmp_path):
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))"
    ran = finish(process("simulate", quick, "--out", tmp_path / "runs" / "out", before=full))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("planner: --out: ")
    assert "nothing was written" in ran.err
    assert names(tmp_path / "runs") == []


# ---- standard output


def test_a_reader_that_leaves_ends_the_run_in_silence(quick):
    for args in (["simulate", quick], ["simulate", quick, "--json"], ["schema"]):
        started = process(*args)
        started.stdout.close()
        code, err = started.wait(60), started.stderr.read()
        started.stderr.close()
        assert (code, err) == (141, b""), args


def test_head_sees_what_it_wants(quick):
    command = f"{PLANNER} simulate {quick} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, check=False, text=True
    )
    assert done.stdout == "classifier · stages: encoder\n"
    assert done.stderr == ""
    assert done.returncode in {0, 141}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")  # noqa: PTH110
def test_standard_output_that_is_full_is_said(quick):
    for args in (["simulate", quick], ["schema"]):
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            done = subprocess.run(
                [PLANNER, *args], stdout=full, stderr=subprocess.PIPE, check=False, text=True
            )
        assert done.returncode == 2
        assert done.stderr == (
            "planner: standard output: must be writable, got: No space left on device\n"
        )


def test_output_without_unicode_loses_no_figure(quick):
    plain = finish(process("simulate", quick, PYTHONIOENCODING="ascii"))
    full = finish(process("simulate", quick))
    assert plain.code == full.code == 0
    assert plain.out.isascii()
    assert re.findall(r"\d[\d.,]*", plain.out) == re.findall(r"\d[\d.,]*", full.out)


def test_a_name_that_no_encoding_can_hold_is_printed_all_the_same(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe.yaml"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - a name of bytes
        file.write(STAGES)
    ran = subprocess.run([PLANNER, "simulate", path, "--json"], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    json.loads(ran.stdout)
    wrong = subprocess.run([PLANNER, "check", b"\xff\xfe"], capture_output=True, check=False)
    assert wrong.returncode == 2
    assert b"Traceback" not in wrong.stderr


def on_a_terminal(*args, **env):
    """Return what a terminal of 200 columns gets."""
    ours, theirs = pty.openpty()
    started = subprocess.Popen(
        [PLANNER, *map(str, args)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], "HOME": "/", "TERM": "xterm", "COLUMNS": "200", **env},
    )
    os.close(theirs)
    got = b""
    while select.select([ours], [], [], 30)[0]:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end has gone
            break
        if not chunk:
            break
        got += chunk
    os.close(ours)
    assert started.wait(30) == 0
    return got.decode()


def test_colour_is_for_terminals_that_want_it(quick):
    escape = "\x1b["
    assert escape in on_a_terminal("simulate", quick)
    assert escape not in on_a_terminal("simulate", quick, NO_COLOR="1")
    assert escape not in on_a_terminal("simulate", quick, TERM="dumb")
    assert escape not in planner("simulate", quick).out


@pytest.mark.parametrize("columns", ["20", "80", "100", "400"])
def test_the_report_keeps_to_a_screen(scenario, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    lines = planner("simulate", scenario).out.splitlines()
    assert max(map(len, lines)) <= min(max(int(columns), 80), 100)


# ---- init and schema


def test_init_lists_what_there_is():
    ran = planner("init")
    assert ran.code == 0
    assert tuple(ran.out.split()) == list_bundled()


def test_init_copies_a_scenario_that_runs(tmp_path):
    ran = planner("init", "article_example", tmp_path / "new")
    assert ran.code == 0
    copied = ran.out.splitlines()
    assert str(tmp_path / "new" / "article_example.yaml") == copied[0]
    assert all(map(os.path.exists, copied))
    assert planner("check", copied[0]).code == 0
    assert planner("init", "article_example", tmp_path / "new").code == 0


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "article_example.yaml").write_text("mine")
    ran = planner("init", "article_example", tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert (tmp_path / "article_example.yaml").read_text() == "mine"


@pytest.mark.parametrize("folder", ["/dev/null/x", "/proc/nowhere"])
def test_init_says_where_it_cannot_write(folder):
    ran = planner("init", "article_example", folder)
    assert ran.code == 2
    assert ran.clean


def test_init_offers_near_names():
    ran = planner("init", "chatbox")
    assert ran.code == 2
    assert "did you mean 'chatbot'?" in ran.err


def test_schema_prints_either_schema():
    assert planner("schema").out == planner("schema", "scenario").out
    assert "traffic" in json.loads(planner("schema").out)["properties"]
    assert "steady" in json.loads(planner("schema", "simulate").out)["properties"]


def shell(line, folder):
    """Return what came of a line of bash in `folder`, where ``$RUN`` is the command line."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    env["RUN"] = f"{sys.executable} -m planner"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=env, capture_output=True, check=False
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_errors(closed, tmp_path):
    (tmp_path / "s.yaml").write_text(STAGES)
    ran = shell(f"$RUN simulate s.yaml -q --out run {closed}", tmp_path)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert (tmp_path / "run" / "summary.json").exists()


def test_a_folder_that_is_gone_is_said(tmp_path):
    ran = shell("mkdir gone && cd gone && rmdir ../gone && $RUN check chatbot", tmp_path)
    assert ran.returncode == 2
    assert b"the current folder must exist" in ran.stderr
