"""A shell completes commands, options, their choices, and scenarios."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: What bash does when someone presses tab: fill in COMPREPLY for the words typed so far.
TAB = """
eval "$(_PLANNER_COMPLETE=source_bash planner)"
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_planner_completion planner
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def desk(tmp_path):
    """A folder with two scenarios of one's own, and a planner in the path."""
    planner = tmp_path / "bin" / "planner"
    planner.parent.mkdir()
    planner.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m planner "$@"\n')
    planner.chmod(0o755)
    (tmp_path / "work").mkdir()
    for name in ("chats.yaml", "mine.yml", "chat.csv"):
        (tmp_path / "work" / name).write_text("")
    return tmp_path


def completed(desk, words):
    path = f"{desk / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", TAB.format(words=words)],
        cwd=desk / "work",
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("planner si", {"simulate"}),
        ("planner simulate --se", {"--set", "--seed"}),
        ("planner simulate chat", {"chatbot", "chats.yaml"}),
        ("planner simulate ../work/m", {"../work/mine.yml"}),
        ("planner init bert", {"bert_intent"}),
        ("planner export chatbot --to k", {"k8s"}),
        ("planner schema ca", {"capacity", "calibrate"}),
        ("planner calibrate ''", {"run", "fit", "show", "endpoint", "quality"}),
        ("planner calibrate fit --ho", {"--hold"}),
        ("planner calibrate nothing --ho", set()),
    ],
)
def test_what_a_shell_offers(desk, words, expected):
    assert set(completed(desk, words)) == expected
