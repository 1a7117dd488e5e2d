from __future__ import annotations

import pytest

from planner.errors import InputError
from planner.scenario import bundled
from planner.scenario.bundled import copy_scenario, find_scenario, list_bundled

YAML = (
    "name: chat\ntraffic: {arrivals: {kind: trace, path: traces/chat.csv.gz}}\nother: ../no.csv\n"
)


@pytest.fixture(params=["wheel", "checkout"])
def folder(request, tmp_path, monkeypatch):
    """Return the folder of bundled scenarios of an installation of our own."""
    package = tmp_path / "site" / "planner"
    home = (
        package / "bundled_scenarios" if request.param == "wheel" else package.parent / "scenarios"
    )
    (home / "traces").mkdir(parents=True)
    package.mkdir(exist_ok=True)
    (home / "chat.yaml").write_text(YAML, encoding="utf-8")
    (home / "voice.yaml").write_text("name: voice\n", encoding="utf-8")
    (home / "scenario.schema.json").write_text("{}\n", encoding="utf-8")
    (home / "traces" / "chat.csv.gz").write_bytes(b"\x1f\x8b")
    (home / "traces" / "other.csv.gz").write_bytes(b"")
    (home / "traces" / "LICENSES.md").write_text("CC-BY-4.0\n", encoding="utf-8")
    (home.parent / "no.csv").write_text("", encoding="utf-8")
    monkeypatch.setattr(bundled, "_PACKAGE", package)
    return home


def test_scenarios_are_listed_by_name(folder):
    assert folder.is_dir()
    assert list_bundled() == ("chat", "voice")


def test_a_scenario_is_found_by_its_path_or_its_bundled_name(folder, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("", encoding="utf-8")
    assert find_scenario(own) == own
    assert find_scenario("chat") == folder / "chat.yaml"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chatt", ("chatt: must be a scenario file or the name of a bundled scenario, got no such "
                  "file; did you mean 'chat'?")),
        ("x/chat.yaml", ("x/chat.yaml: must be a scenario file or the name of a bundled scenario, "
                        "got no such file; did you mean 'chat'?")),
        ("zzz", ("zzz: must be a scenario file or the name of a bundled scenario, got no such "
                "file; bundled scenarios: chat, voice")),
        ("/", ("/: must be a scenario file or the name of a bundled scenario, got a folder; "
              "bundled scenarios: chat, voice")),
    ],
)  # fmt: skip
def test_what_is_no_scenario_is_answered_with_near_names(name, message):
    with pytest.raises(InputError) as caught:
        find_scenario(name)
    assert str(caught.value) == message


@pytest.mark.usefixtures("folder")
def test_a_copy_has_the_schema_the_traces_it_names_and_their_licence(tmp_path):
    target = tmp_path / "mine"
    files = copy_scenario("chat", target)
    there = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert there == [
        "chat.yaml",
        "scenario.schema.json",
        "traces/LICENSES.md",
        "traces/chat.csv.gz",
    ]
    assert files[0] == target / "chat.yaml"
    assert sorted(files) == sorted(target / name for name in there)
    assert files[0].read_text(encoding="utf-8") == YAML


@pytest.mark.usefixtures("folder")
def test_a_copy_overwrites_nothing_and_shares_what_is_the_same(tmp_path):
    copy_scenario("chat", tmp_path / "mine")
    copy_scenario("voice", tmp_path / "mine")
    (tmp_path / "mine" / "chat.yaml").write_text("name: edited\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"chat\.yaml: must not be there yet"):
        copy_scenario("chat", tmp_path / "mine")
    assert (tmp_path / "mine" / "chat.yaml").read_text(encoding="utf-8") == "name: edited\n"


@pytest.mark.usefixtures("folder")
def test_only_bundled_scenarios_are_copied(tmp_path):
    with pytest.raises(InputError, match="got 'chta'; did you mean 'chat'"):
        copy_scenario("chta", tmp_path)


def test_an_installation_without_scenarios_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "_PACKAGE", tmp_path / "planner")
    with pytest.raises(InputError, match="no bundled scenarios"):
        list_bundled()
