"""Every block of code in the README and the docs runs, or says in the page why it does not.

A comment on the line before a block says what is done with it:

- ``<!-- not run: reason -->``: nothing;
- ``<!-- file: mine.yaml -->``: it is that file, beside which the blocks after it run.

Without one, ``bash`` and ``python`` run, ``text`` that starts with ``$ planner`` runs and has to
print what the page shows, and ``yaml`` has to parse. Blocks of a page share a folder, in order.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from planner.scenario.document import parse_yaml
from planner.scenario.reference import reference_text

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!-- (not run|file): (.+?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
#: A command after its prompt, over several lines where each but the last ends in ``\``; output.
COMMAND = re.compile(r"\$ ((?:[^\n]*\\\n)*[^\n]*)\n(.*)", re.DOTALL)
#: An hour and a half of steady traffic, and what a load generator and an engine wrote.
ROWS = "".join(f"{8 * k},{200 + 37 * k % 900},{50 + 13 * k % 200}\n" for k in range(600))
SERVED = (
    (Path(__file__).parent / "calibrate/data/loadgen/vllm_bench_serve.json").read_text().strip()
)
FASTER = SERVED.replace('"request_rate": 2.0', '"request_rate": 4.0')
#: Files of the reader's own that a page speaks of.
OWN = {
    "README.md": {"mine.csv": f"request_ts,in_tok,out_tok\n{ROWS}"},
    "getting-started.md": {"trace.csv": f"arrival_s,prompt_tokens,output_tokens\n{ROWS}"},
    "importing.md": {
        "results.json": SERVED,
        "results.jsonl": f"{SERVED}\n{FASTER}",
        "vllm.log": "INFO 12-11 [kv_cache_utils.py:1286] GPU KV cache size: 686,320 tokens\n",
    },
}


class Block(NamedTuple):
    mark: str
    about: str
    language: str
    text: str


def blocks_of(page):
    found = [Block(*(each or "" for each in groups)) for groups in BLOCK.findall(page.read_text())]
    fences = re.findall(r"^```", page.read_text(), re.MULTILINE)
    assert len(fences) == 2 * len(found), "a fence that is not read as a block"
    return found


@pytest.fixture
def desk(tmp_path, compiled):  # noqa: ARG001 - compiles first
    """A folder as a reader has it: scenarios, data, and a planner in the path and in .venv."""
    for folder in ("scenarios", "calibrate"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    script = f'#!/bin/sh\nexec "{sys.executable}" -m planner "$@"\n'
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    planner = tmp_path / ".venv" / "bin" / "planner"
    planner.write_text(script)
    planner.chmod(0o755)
    return tmp_path


def run(desk, *command):
    path = f"{desk / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(desk / "kept"),
    }
    done = subprocess.run(command, cwd=desk, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def plainly(text):
    """Return a text without what depends on the day, and all blanks alike."""
    text = re.sub(r"\(\d+ days\s+old\)", "(n days old)", text)
    return re.sub(r"\s+", " ", text).strip()


def execute(block, desk):
    """Run a block as its language says; return whether it was run, written or read."""
    if block.mark == "file":
        (desk / block.about).write_text(block.text)
    elif block.language == "bash":
        run(desk, "bash", "-euo", "pipefail", "-c", block.text)
    elif block.language == "python":
        run(desk, sys.executable, "-c", block.text)
    elif block.language == "text" and block.text.startswith("$ "):
        command, shown = COMMAND.fullmatch(block.text).groups()
        assert plainly(run(desk, "bash", "-c", command)) == plainly(shown)
    elif block.language == "yaml":
        assert not parse_yaml(block.text, "block").problems
    else:
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_runs_or_says_why_not(page, desk):
    for name, text in OWN.get(page.name, {}).items():
        (desk / name).write_text(text)
    marked = [each for each in blocks_of(page) if each.mark != "not run"]
    left = [each for each in marked if not execute(each, desk)]
    assert all(each.language == "text" for each in left), left


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_is_one_by_its_indentation_alone(page):
    """Such a block would not be seen, and so not run."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\n {4,}(?![-*] |\d+\. ).+", text, re.MULTILINE) == []


def test_a_page_runs_what_it_shows_unless_all_needs_torch():
    found = [(page.name, each) for page in PAGES for each in blocks_of(page)]
    commands = [(name, each) for name, each in found if each.language in {"bash", "python"}]
    assert all(len(each.about) > 10 for _, each in found if each.mark == "not run")
    ran = {name for name, each in commands if each.mark != "not run"}
    assert {name for name, _ in commands} - ran == {"calibration.md"}
    elsewhere = [
        each for name, each in found if name != "calibration.md" and each.mark == "not run"
    ]
    assert sum(each.mark != "not run" for _, each in commands) > len(elsewhere)


def test_the_reference_of_scenarios_is_that_of_the_models():
    found = (ROOT / "docs" / "scenario-reference.md").read_text()
    assert found == reference_text(), "planner schema --markdown > docs/scenario-reference.md"
    headings = re.findall(r"^## (\w+)$", found, re.MULTILINE)
    links = set(re.findall(r"\]\(#(\w+)\)", found))
    assert links == {each.lower() for each in headings} - {"scenario"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"\w+:", link):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            assert target.exists(), link
            if anchor and target.suffix == ".md":
                assert anchor in anchors(target), link


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_leads_to_every_page():
    text = PAGES[0].read_text()
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name}" not in text] == []
