"""The README keeps what it promises: its tree is the house, its exit codes are the program's."""

from pathlib import Path

from tests.support.tools import tool

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tree_is_what_the_modules_say_of_themselves() -> None:
    assert tool("tree").written(README) == README, "run: python3 tools/tree.py --write"


def test_every_module_says_what_it_is_for() -> None:
    purpose = tool("tree").purpose
    modules = [
        path
        for package in ("holdfast", "service", "workers", "training")
        for path in (ROOT / package).rglob("*.py")
    ]
    assert modules
    assert [path for path in modules if len(purpose(path)) < 10] == []
