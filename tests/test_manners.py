"""What every command does alike: -q, -v, and JSON as its published schema says."""

import copy
import gzip
import json
from pathlib import Path

import jsonschema
import pytest
from command_line import LLM, STAGES, planner

import calibrate
from planner.cli.options import app
from planner.cli.scenarios import Layout

ROOT = Path(__file__).parents[1]
LOADGEN = ROOT / "tests" / "calibrate" / "data" / "loadgen"
CPU = Path(calibrate.__file__).parent / "data" / "vllm_cpu"
#: `calibrate` hands over to commands of its own.
COMMANDS = [
    each.name or each.callback.__name__
    for each in app.registered_commands
    if each.callback.__name__ != "calibrate"
]


@pytest.fixture
def stages(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(STAGES)
    return path


@pytest.mark.parametrize("command", ["run", "fit", "show", "endpoint"])
def test_so_can_every_command_of_the_calibration(command):
    said = planner("calibrate", command, "--help").out
    assert "--quiet" in said
    assert "--verbose" in said
    assert planner("calibrate", "show", "assumed", "-v").err.startswith("python 3.")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_quiet_and_verbose(command):
    said = planner(command, "--help").out
    assert "--quiet" in said
    assert "--verbose" in said


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
    }  # fmt: skip
    ran = planner(*arguments[layout], "--json")
    assert ran.out, ran.err
    return json.loads(ran.out)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("layout", [each for each in Layout if each is not Layout.SCENARIO])
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


@pytest.mark.parametrize("file", sorted(LOADGEN.glob("*.json*")), ids=lambda path: path.name)
def test_whatever_is_imported_is_as_the_schema_says(file):
    ran = planner("import", file, "--json")
    schema = json.loads(planner("schema", "import").out)
    jsonschema.Draft202012Validator(schema).validate(json.loads(ran.out))


def test_a_reference_is_made_of_scenarios_alone():
    ran = planner("schema", "plan", "--markdown")
    assert ran.code == 2
    assert ran.err == "planner: --markdown: must be given for scenario alone, got plan\n"
