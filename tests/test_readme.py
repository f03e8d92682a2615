"""The README keeps what it promises: its tree is the house, its exit codes are the program's."""

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tree_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tree", ROOT / "tools" / "tree.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tree_is_what_the_modules_say_of_themselves() -> None:
    assert tree_tool().written(README) == README, "run: python3 tools/tree.py --write"


def test_every_module_says_what_it_is_for() -> None:
    purpose = tree_tool().purpose
    modules = [
        path
        for package in ("holdfast", "service", "workers", "training")
        for path in (ROOT / package).rglob("*.py")
    ]
    assert modules
    assert [path for path in modules if len(purpose(path)) < 10] == []
