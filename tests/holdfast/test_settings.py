"""Settings: what the environment may say, and the page that says what it means."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.errors import InvalidSettings
from holdfast.settings import (
    Settings,
    child_environment,
    make_folder,
    make_home,
    read_settings,
)
from tests.support.tools import tool

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def test_the_page_has_every_setting_as_it_is() -> None:
    page = tool("settings").page()
    assert PAGE.read_text(encoding="utf-8") == page, "run: python tools/settings.py --write"
    assert [n for n in Settings.model_fields if f"`HOLDFAST_{n.upper()}`" not in page] == []


def test_roots_are_separated_by_colons(tmp_path: Path) -> None:
    odd = tmp_path / "a,b"
    odd.mkdir()
    told = {"HOLDFAST_HOME": "/data", "HOLDFAST_CHECKPOINT_ROOTS": f"/models:{odd}:"}
    settings = read_settings(told)
    assert settings.checkpoint_roots == (Path("/models"), odd)
    with pytest.raises(InvalidSettings, match="separate folders by colons"):
        read_settings({**told, "HOLDFAST_CHECKPOINT_ROOTS": f"{tmp_path},/models"})


def test_a_root_that_children_would_read_as_two_is_refused() -> None:
    settings = read_settings({"HOLDFAST_HOME": "/data"}).model_copy(
        update={"checkpoint_roots": (Path("/a:b"),)}
    )
    with pytest.raises(InvalidSettings, match="colons separate"):
        child_environment(settings)


def test_what_children_are_told_is_what_was_set() -> None:
    given = {"HOLDFAST_HOME": "/data", "HOLDFAST_CHECKPOINT_ROOTS": "/models:/more"}
    settings = read_settings(given)
    assert read_settings(child_environment(settings)) == settings


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    make_home(tmp_path / "new" / "home")
    assert (tmp_path / "new" / "home").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file" / "home", Path("/proc/holdfast")):
        with pytest.raises(InvalidSettings, match=f"{home} cannot be written .*HOLDFAST_HOME"):
            make_home(home)


@pytest.mark.parametrize("make", [make_home, make_folder])
def test_whatever_makes_the_data_folder_makes_it_private(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    home = tmp_path / ".holdfast"
    make(home if make is make_home else home / "suites" / "more")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home, *home.rglob("*"))] in (
        [0o700],
        [0o700] * 3,
    )
    make(home)


def test_folders_are_made_with_their_parents_by_make_folder_alone() -> None:
    """Without, whoever comes first into a new data folder opens it to others."""
    root = Path(__file__).resolve().parents[2]
    makers = {
        str(file.relative_to(root))
        for package in ("holdfast", "service", "workers", "examples", "benchmarks")
        for file in (root / package).rglob("*.py")
        if "parents=True" in file.read_text(encoding="utf-8")
    }
    assert makers == {
        "holdfast/settings.py",
        "holdfast/db/session.py",  # of a database, wherever it lies; 0700
        "holdfast/new_files.py",  # where a person says that a file is to lie
        *(f"holdfast/cli/{name}.py" for name in ("canaries", "judges")),
        "workers/children/walls/showing.py",  # in a scratch folder of 0700
    }
