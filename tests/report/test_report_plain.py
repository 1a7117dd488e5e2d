"""Text of strangers, made safe for a terminal."""

import textwrap

from hypothesis import given
from hypothesis import strategies as st

from planner.report.plain import held, laid_out, plain


@given(st.text())
def test_plain_text_can_be_printed(text):
    assert plain(text).isprintable()


@given(st.text())
def test_text_that_can_be_printed_stays_as_it_is(text):
    assert plain(plain(text)) == plain(text)
    if text.isprintable():
        assert plain(text) == text


def test_what_a_terminal_obeys_is_shown_instead():
    assert plain("a\x1b[31m\x9b2J\u202eb\r\n") == r"a\x1b[31m\x9b2J\u202eb\r\n"
    assert plain("one\ntwo\t", keep="\n") == "one\ntwo\\t"
    assert plain("\udcff") == r"\udcff"


@given(st.lists(st.sampled_from(["of", "the traffic", "25 %", "43 %", "a,"]), min_size=1))
def test_no_line_of_a_report_begins_with_a_per_cent_sign(words):
    text = " ".join(words)
    lines = textwrap.wrap(held(text), 12)
    shown = laid_out("\n".join(lines))
    assert not any(line.startswith("%") for line in shown.splitlines())
    assert " ".join(shown.split()) == " ".join(text.split())
