"""What every command does alike: -q, -v, and JSON as its published schema says."""

import copy
import gzip
import json
import os
from pathlib import Path

import jsonschema
import pytest
from command_line import LLM, STAGES, planner
from typer.main import get_command

import calibrate
from calibrate.cli.entry import app as calibration
from planner.cli.entry import app
from planner.cli.scenarios import Layout

ROOT = Path(__file__).parents[1]
LOADGEN = ROOT / "tests" / "calibrate" / "data" / "loadgen"
CPU = Path(calibrate.__file__).parent / "data" / "vllm_cpu"
#: Every command, as it is typed; `calibrate` hands over to commands of its own.
COMMANDS = {
    **{(name,): each for name, each in get_command(app).commands.items() if name != "calibrate"},
    **{("calibrate", name): each for name, each in get_command(calibration).commands.items()},
}
#: What the JSON of each command looks like; that of `schema` is JSON Schema itself.
LAYOUTS = {
    ("simulate",): {Layout.SIMULATE},
    ("sweep",): {Layout.SWEEP},
    ("capacity",): {Layout.CAPACITY},
    ("plan",): {Layout.PLAN},
    ("validate",): {Layout.VALIDATE, Layout.POINTS},
    ("import",): {Layout.IMPORT},
    ("check",): {Layout.CHECK},
    ("init",): {Layout.INIT},
    ("export",): {Layout.EXPORT},
    ("report",): {Layout.REPORT},
    ("calibrate", "run"): {Layout.CALIBRATE},
    ("calibrate", "fit"): {Layout.CALIBRATE},
    ("calibrate", "show"): {Layout.CALIBRATE},
    ("calibrate", "quality"): {Layout.QUALITY},
    ("calibrate", "endpoint"): {Layout.IMPORT},
}


@pytest.fixture
def stages(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(STAGES)
    return path


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_can_be_quiet_and_verbose_and_prints_json(command):
    taken = {each for option in COMMANDS[command].params for each in option.opts}
    assert {"--quiet", "-q", "--verbose", "-v"} <= taken
    assert ("--json" in taken) == (command != ("schema",))
    assert all(each in planner(*command, "--help").out for each in ("--quiet", "--verbose"))


def test_every_json_has_a_schema_and_every_schema_a_command_and_a_place_in_the_docs():
    assert {*LAYOUTS, ("schema",)} == COMMANDS.keys()
    assert {each for many in LAYOUTS.values() for each in many} == set(Layout) - {Layout.SCENARIO}
    page = (ROOT / "docs" / "exit-codes-and-json.md").read_text()
    assert [each for each in Layout if f"`{each.value}`" not in page] == []
    assert [each for each in LAYOUTS if f"{' '.join(each)} --json" not in page] == []


def test_a_command_of_the_calibration_is_verbose_too():
    assert planner("calibrate", "show", "assumed", "-v").err.startswith("python 3.")


def test_verbose_says_what_ran_and_how_long_and_changes_no_result(stages):
    plain, verbose = planner("simulate", stages), planner("simulate", stages, "-v")
    assert (plain.code, plain.err) == (0, "")
    assert verbose.out == plain.out
    versions, took = verbose.err.splitlines()
    assert versions.startswith("python 3.")
    assert ", numba " in versions
    assert took.startswith("took ")


def test_a_quiet_command_that_has_nothing_to_hush_is_the_same(stages):
    assert planner("check", stages, "-q") == planner("check", stages)
    assert planner("init", "-q") == planner("init")


def test_verbose_shows_where_a_fault_of_ours_happened(stages, monkeypatch):
    monkeypatch.setattr("planner.evaluate.simulate", lambda *_a, **_k: 1 / 0)
    assert "Traceback" not in planner("simulate", stages).err
    shown = planner("simulate", stages, "-v").err
    assert shown.startswith("Traceback")
    assert "planner: internal error: ZeroDivisionError" in shown


def test_verbose_leaves_bad_input_as_it_is(tmp_path):
    ran = planner("check", tmp_path / "none.yaml", "-v")
    assert ran.code == 2
    assert ran.clean


def output_of(layout, tmp_path):
    """Return the JSON that a command prints in the layout that a schema describes."""
    (tmp_path / "s.yaml").write_text(STAGES if layout is Layout.CAPACITY else LLM)
    bound = ["--set", "objectives=e2e:p95<20ms"] if layout is Layout.CAPACITY else []
    points = tmp_path / "points.csv"
    if layout is Layout.POINTS:
        data = gzip.decompress((ROOT / "bench" / "points" / "measured_points.csv.gz").read_bytes())
        points.write_bytes(b"".join(data.splitlines(keepends=True)[:8]))
    arguments = {
        Layout.SIMULATE: ["simulate", tmp_path / "s.yaml"],
        Layout.SWEEP: ["sweep", tmp_path / "s.yaml", "--vary", "fleet.replicas=1,2"],
        Layout.CAPACITY: ["capacity", tmp_path / "s.yaml", *bound],
        Layout.PLAN: ["plan", tmp_path / "s.yaml", "--device", "L4", "--out", tmp_path / "plan"],
        Layout.VALIDATE: [
            "validate", CPU / "requests.csv.gz", "--scenario", CPU / "engine.yaml",
            "--run", "chat_30_r1", "--tolerance", "50%",
        ],
        Layout.POINTS: ["validate", points, "--by", "tp"],
        Layout.CALIBRATE: ["calibrate", "show", "xeon-1-thread"],
        Layout.IMPORT: ["import", LOADGEN / "profile_export_aiperf.json"],
        Layout.CHECK: ["check", tmp_path / "s.yaml"],
        Layout.INIT: ["init", "chatbot", tmp_path / "mine"],
        Layout.EXPORT: ["export", tmp_path / "s.yaml", "--to", "k8s"],
        Layout.REPORT: [
            "report", tmp_path / "run", "-o", tmp_path / "r.md", "--charts", tmp_path / "charts",
            "--tables", tmp_path / "tables",
        ],
    }  # fmt: skip
    if layout is Layout.REPORT:
        (tmp_path / "run").write_text(planner("simulate", tmp_path / "s.yaml", "--json").out)
    ran = planner(*arguments[layout], "--json")
    assert ran.out, ran.err
    return json.loads(ran.out)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    "layout", [each for each in Layout if each not in {Layout.SCENARIO, Layout.QUALITY}]
)  # that of the quality is made and checked where torch is
def test_what_a_command_prints_is_as_its_schema_says(layout, tmp_path):
    schema = json.loads(planner("schema", layout.value).out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    printed = output_of(layout, tmp_path)
    validator.validate(printed)
    for key in printed:  # nor does it take one that lacks a key, or has another
        less, more = copy.deepcopy(printed), {**printed, "nope": 1}
        del less[key]
        assert not validator.is_valid(less), key
        assert not validator.is_valid(more)


def test_files_that_a_command_wrote_are_where_its_json_says(tmp_path):
    printed = output_of(Layout.REPORT, tmp_path)
    files = [printed["report"], *printed["charts"], *printed["tables"]]
    assert all(map(os.path.isfile, files))
    assert set(printed["charts"]) == {str(each) for each in (tmp_path / "charts").iterdir()}
    assert set(printed["tables"]) == {str(each) for each in (tmp_path / "tables").iterdir()}
    made = output_of(Layout.INIT, tmp_path)
    assert made["files"][0] == str(tmp_path / "mine" / "chatbot.yaml")
    assert all(map(os.path.isfile, made["files"]))
    assert "chatbot" in made["scenarios"]


@pytest.mark.parametrize("profile", ["h100-sxm-vllm", "assumed"])
def test_a_fitted_profile_is_as_the_schema_says(profile):
    schema = json.loads(planner("schema", "calibrate").out)
    printed = json.loads(planner("calibrate", "show", profile, "--json").out)
    jsonschema.Draft202012Validator(schema).validate(printed)


@pytest.mark.parametrize("target", ["vllm", "k8s", "compose"])
def test_the_json_of_an_export_holds_the_text_and_what_it_cannot_say(stages, target):
    stages.write_text(LLM)
    printed = json.loads(planner("export", stages, "--to", target, "--json").out)
    said = planner("export", stages, "--to", target).out
    assert printed["text"] == said
    comments = " ".join(each.lstrip("# ") for each in said.splitlines() if each.startswith("#"))
    assert comments == " ".join([*printed["made"], *printed["notices"]])
    assert printed["args"][0] == "meta-llama/Meta-Llama-3.1-8B"


@pytest.mark.parametrize("file", sorted(LOADGEN.glob("*.json*")), ids=lambda path: path.name)
def test_whatever_is_imported_is_as_the_schema_says(file):
    ran = planner("import", file, "--json")
    schema = json.loads(planner("schema", "import").out)
    jsonschema.Draft202012Validator(schema).validate(json.loads(ran.out))


def test_a_reference_is_made_of_scenarios_alone():
    ran = planner("schema", "plan", "--markdown")
    assert ran.code == 2
    assert ran.err == "planner: --markdown: must be given for scenario alone, got plan\n"
