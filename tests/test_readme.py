"""README, map and index keep what they promise: short, whole, and true of the house."""

import re
from pathlib import Path

import pytest

from tests.support.tools import tool

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAP = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
INDEX = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
LINES = 150


def test_the_tree_is_what_the_modules_say_of_themselves() -> None:
    assert tool("tree").written(MAP) == MAP, "run: python3 tools/tree.py --write"


def test_every_module_says_what_it_is_for() -> None:
    purpose = tool("tree").purpose
    modules = [
        path
        for package in ("holdfast", "service", "workers", "training")
        for path in (ROOT / package).rglob("*.py")
    ]
    assert modules
    assert [path for path in modules if len(purpose(path)) < 10] == []


def test_the_readme_is_short_and_its_rooms_are_there() -> None:
    assert len(README.splitlines()) <= LINES
    house = README.partition("## The house")[2].partition("```")[2].partition("```")[0]
    package = ""
    for line in house.splitlines():
        package = line.partition("/")[0] if line[:1].isalpha() else package
        rooms = [word for word in line.split() if word.endswith("/") and word != f"{package}/"]
        assert [room for room in rooms if not (ROOT / package / room).is_dir()] == []
    named = {word.strip("/") for word in house.split() if word.endswith("/")}
    rooms = {path.parent.name for path in (ROOT / "holdfast").glob("*/__init__.py")}
    assert rooms <= named


def test_the_index_has_a_line_for_every_page() -> None:
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages == set(re.findall(r"^- \[([a-z-]+\.md)\]\(\1\): ", INDEX, re.MULTILINE))


@pytest.mark.parametrize(
    "page",
    ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))],
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    files = [target for target in targets if "://" not in target]
    assert [file for file in files if not ((ROOT / page).parent / file).exists()] == []
