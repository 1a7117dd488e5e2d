"""Scenario files written to do harm, and names that a terminal would obey."""

import re

import pytest
from command_line import HEAD, LLM, planner, refused

pytestmark = pytest.mark.usefixtures("bounded")


# ---- scenarios: files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "s.yaml: must be a mapping with the keys of a scenario, got an empty file"),
        (b"- 1\n", "s.yaml: must be a mapping with the keys of a scenario, got a list"),
        (b"\x80\x81" * 99, "s.yaml:1:1: must be UTF-8 text, got byte 0x80"),
        (LLM.encode("utf-16"), "s.yaml:1:1: must be UTF-8 text"),
        (LLM.encode() + b"\0", "s.yaml:10:1: must be YAML"),
        (LLM.encode() + b"name: again\n", "s.yaml:10:1: name: must be given once"),
        (f"{LLM}---\n{LLM}".encode(), "s.yaml:10:1: must be YAML: found another document"),
        (LLM.replace("  dur", "\tdur").encode(), "indent with spaces, not with tabs"),
        (b"!!python/object/apply:os.system ['false']\n", "must not carry a tag"),
        (LLM.replace("small", "!!python/name:os.system").encode(), "must not carry a tag"),
        (b"a: &a [*a]\n", "must be nested at most 40 deep"),
        (
            b"a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
            + b"".join(
                b"a%d: &a%d [%s]\n" % (k, k, b",".join([b"*a%d" % (k - 1)] * 9))
                for k in range(1, 12)
            ),
            "must hold at most 100,000 values",
        ),
        (b"a: " + b"[" * 200_000, "must be nested at most 40 deep"),
        (b"a: " + b"{a: " * 50_000, "must be nested at most 40 deep"),
        (b"x" * 1_000_001, "must be a scenario of at most 1 MB"),
        (b"".join(b"key%d: 1\n" % k for k in range(5_000)), "key0: must be a known key"),
        (LLM.encode() + b"<<: {name: merged}\n", "must not merge keys"),
        (LLM.encode() + b"? [a, b]\n: 1\n", "must have text as keys"),
        (LLM.replace("small", r'"\ud800"').encode(), "s.yaml:1:7: name: must be valid"),
        (LLM.replace("40 s", "1:30").encode(), "s.yaml:3:13: traffic.duration: must be a duration"),
    ],
    ids=[
        "empty", "list", "binary", "UTF-16", "NUL", "duplicate key", "two documents", "tab",
        "tag", "tag of a value", "alias of itself", "bomb", "deep lists", "deep mappings", "huge",
        "many keys", "merge", "keys that are lists", "half a character", "sexagesimal",
    ],
)  # fmt: skip
def test_a_bad_scenario_file_is_refused_with_its_place(simulate, content, said):
    assert said in refused(simulate(content))


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + LLM.encode(), LLM.replace("\n", "\r\n")])
def test_files_of_other_systems_are_read(simulate, content):
    assert simulate(content).code == 0


# ---- what a terminal must not see


HOSTILE = r'"\e[31mRED\e]0;own\a\x9b2J\u202e"'
SEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.mark.parametrize(
    "changes",
    [
        [f"name={HOSTILE}"],
        [
            (f"traffic={{duration: 40 s, classes: [{{name: {HOSTILE}, objectives: 'ttft:p9<1s',"
            " arrivals: {kind: poisson, rate: 5 req/s},"
            " lengths: {kind: fixed, prompt: 9, output: 9}}]}")
        ],
        [f"service.before=[{{name: {HOSTILE}, overhead: 1 ms}}]"],
        [f"service={{kind: stages, stages: [{{name: {HOSTILE}, overhead: 1 ms}}]}}", "fleet=null"],
        [f"fleet.device={HOSTILE}"],
        [f"service.model={HOSTILE}"],
        [f"service.profile={HOSTILE}"],
        [f"objectives={HOSTILE}"],
        [f"{{{HOSTILE}: 1}}"],
        [f"traffic.arrivals={{kind: trace, path: {HOSTILE}}}", "traffic.lengths=null"],
        ["name.\x1b[31m=1"],
    ],
    ids=[
        "name", "class", "stage", "service", "device", "model", "profile", "objective", "set",
        "trace", "key",
    ],
)  # fmt: skip
def test_escape_sequences_reach_no_terminal(simulate, changes):
    ran = simulate(LLM, *changes)
    assert ran.code in {0, 2, 3}
    assert "internal error" not in ran.err
    assert not SEEN.search(ran.out + ran.err)


def test_escape_sequences_in_keys_and_columns_reach_no_terminal(simulate, replay):
    for ran in (
        simulate(LLM + '"\\e[31m": 1\n'),
        replay("\x1b[31m,b\n1,2\n"),
        replay(HEAD + "0,\x1b[31m,1\n"),
        planner("simulate", "\x1b[31m.yaml"),
        planner("init", "\x1b[31m"),
        planner("\x1b[31m"),
        planner("schema", "\x1b[31m"),
    ):
        assert ran.code == 2
        assert not SEEN.search(ran.out + ran.err)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "[red]x[/red]", "{{ 7 * 7 }}", "%s %n", "日本語 🚀"]
)
def test_names_are_printed_as_they_are(simulate, name):
    assert simulate(LLM, f"name='{name}'").out.startswith(f"{name} · ")
