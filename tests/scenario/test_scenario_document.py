from __future__ import annotations

import io
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from planner.errors import InputError
from planner.scenario.document import MAX_BYTES, MAX_DEPTH, Place, parse_yaml, read_text, text_of

WORDS = st.text(alphabet="abc_xyz", min_size=1, max_size=6)
#: Without a leading question mark, which ruamel writes in a flow mapping and cannot read there.
TEXTS = st.text(max_size=8).filter(lambda text: not text.startswith("?"))
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


def problems(text):
    try:
        document = parse_yaml(text, "x.yaml")
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return [str(problem) for problem in document.problems]


@given(st.dictionaries(WORDS, DATA, max_size=4))
def test_plain_data_is_read_as_ruamel_reads_it(data):
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(data, out)
    expected = YAML(typ="safe", pure=True).load(out.getvalue())
    assert parse_yaml(out.getvalue(), "x.yaml").data == expected


def test_every_key_and_value_has_its_place():
    document = parse_yaml("a: 1\nb:\n  - c: x\n  -   2\n", "x.yaml")
    assert document.data == {"a": 1, "b": [{"c": "x"}, 2]}
    assert document.keys["a",] == Place("x.yaml", 1, 1)
    assert document.values["a",] == Place("x.yaml", 1, 4)
    assert document.values["b", 0, "c"] == Place("x.yaml", 3, 8)
    assert document.values["b", 1] == Place("x.yaml", 4, 7)


def test_a_problem_without_a_place_of_its_own_stands_at_what_is_above_it():
    document = parse_yaml("a:\n  b: 1\n", "x.yaml")
    assert str(document.problem(("a", "c"), "must be given")) == "x.yaml:1:1: a.c: must be given"
    assert str(document.problem(("z",), "must be given")) == "x.yaml:1:1: z: must be given"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: 2\na: 3\n",
            "x.yaml:3:1: a: must be given once, got it again; the first is in line 1",
        ),
        (
            "a:\n\t- b\n",
            (
                "x.yaml:2:1: must be YAML: found character '\\t' that cannot start any token; "
                "indent with spaces, not with tabs"
            ),
        ),
        (
            "a: b: c\n",
            (
                "x.yaml:1:5: must be YAML: mapping values are not allowed here; "
                "put text with ': ' in quotes, and check the indentation"
            ),
        ),
        (
            "a: [1,\n",
            "x.yaml:2:1: must be YAML: expected the node content, but found '<stream end>'",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "x.yaml:2:1: must be YAML: found another document; a file holds one scenario",
        ),
        ("a: *x\n", "x.yaml:1:4: must be YAML: found undefined alias 'x'"),
        (
            "a: \x00\n",
            "x.yaml:1:4: must be YAML: special characters are not allowed",
        ),
        (
            "a: !!python/name:os.system x\n",
            (
                "x.yaml:1:4: a: must not carry a tag, got "
                "'tag:yaml.org,2002:python/name:os.system'; leave it out"
            ),
        ),
        ("a: !thing x\n", "x.yaml:1:4: a: must not carry a tag, got '!thing'; leave it out"),
        ("a: &b {c: 1}\nd:\n  <<: *b\n", "x.yaml:3:3: d.<<: must not merge keys; write them out"),
        ("? [1, 2]\n: 3\n", "x.yaml:1:3: must have text as keys, got a list or mapping"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_where_it_stands(text, message):
    assert problems(text) == [message]


@given(st.text(max_size=60))
def test_any_text_is_data_or_problems_with_the_files_name(text):
    for problem in problems(text):
        assert problem.startswith("x.yaml")


def test_aliases_count_as_often_as_they_are_expanded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    began = time.process_time()
    (problem,) = problems("\n".join(lines))
    assert "must hold at most 100,000 values, got more; check its aliases" in problem
    assert time.process_time() - began < 20


def test_an_alias_to_itself_is_refused():
    (problem,) = problems("a: &a [*a]\n")
    assert f"must be nested at most {MAX_DEPTH} deep" in problem


def test_deep_nesting_is_refused():
    (problem,) = problems("[" * 10_000)
    assert problem == f"x.yaml: must be nested at most {MAX_DEPTH} deep, got more"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000", 1000), ("0x10", 16), ("-3", -3), ("1e3", 1000.0), ("yes", "yes"),
        ("true", True), ("~", None), ("", None), ("2023-11-16", "2023-11-16"),
        ("1:30", "1:30"), ("'12'", "12"), ("012", 12), ("-.inf", -math.inf),
        ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    data = parse_yaml(f"a: {text}\n", "x.yaml").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_byte_order_marks_and_line_ends_change_nothing(tmp_path, newline, mark):
    path = tmp_path / "x.yaml"
    path.write_bytes(mark + newline.join([b"a: 1", b"b:", b"  c: 2", b""]))
    document = parse_yaml(read_text(path), "x.yaml")
    assert document.data == {"a": 1, "b": {"c": 2}}
    assert document.values["b", "c"] == Place("x.yaml", 3, 6)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            b"a: 1\nb: \xff\n",
            ":2:4: must be UTF-8 text, got byte 0xff; save the file as UTF-8",
        ),
        (
            b"# " + b"x" * MAX_BYTES,
            (
                ": must be a scenario of at most 1 MB, got more; put long tables and traces into "
                "files that the scenario names"
            ),
        ),
    ],
)
def test_files_that_cannot_be_scenarios(tmp_path, raw, message):
    path = tmp_path / "x.yaml"
    path.write_bytes(raw)
    with pytest.raises(InputError) as caught:
        read_text(path)
    assert str(caught.value) == f"{path}{message}"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="must be a readable file, got No such file"):
        read_text(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="must be a readable file, got Is a directory"):
        read_text(tmp_path)


def test_values_are_shown_as_a_user_wrote_them():
    values = [{}, [], None, True, "x", 1.5]
    assert [text_of(value) for value in values] == [
        "a mapping", "a list", "nothing", "true", "'x'", "1.5",
    ]  # fmt: skip
