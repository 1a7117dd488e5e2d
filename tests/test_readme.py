"""The README's output is the tool's, and its own-traffic example works as written."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def planner(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "planner", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


def ageless(text):
    return re.sub(r"\(\d+ days\s+old\)", "(n days old)", re.sub(r"\s+", " ", text))


def test_the_output_shown_is_that_of_the_main_command():
    (shown,) = re.findall(
        r"```text\n\$ planner simulate scenarios/chatbot.yaml\n(.*?)```", README, re.DOTALL
    )
    done = planner("simulate", "scenarios/chatbot.yaml", cwd=ROOT)
    assert done.returncode == 0
    assert ageless(done.stdout) == ageless(shown)


def test_the_scenario_for_ones_own_traffic_runs_on_a_trace_with_its_columns(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(text)
    rows = [
        f"2026-11-0{1 + k // 1000}T00:{k // 60 % 60:02}:{k % 60:02}Z,{200 + k % 90},{50 + k % 40}"
        for k in range(900)
    ]
    (tmp_path / "mine.csv").write_text("request_ts,in_tok,out_tok\n" + "\n".join(rows) + "\n")
    assert planner("check", "mine.yaml", cwd=tmp_path).returncode == 0
    done = planner("simulate", "mine.yaml", "--set", "fleet.replicas=1", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "900 requests arrived" in done.stdout
