"""The words of the code: names that say what they hold, and first lines that stand alone."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.support.tools import tool

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("holdfast", "service", "workers", "training")


def test_hardly_any_name_is_a_filler() -> None:
    words = tool("words")
    counts = [words.count(package) for package in PACKAGES]
    fillers = sum((names for _, names, _ in counts), Counter[str]())
    assert sum(fillers.values()) < words.BAR * sum(total for total, _, _ in counts), fillers


@pytest.mark.parametrize("name", ["found", "item_found", "one", "ones", "leftMost", "KEPT"])
def test_a_filler_is_one_wherever_it_stands_in_a_name(name: str) -> None:
    assert tool("words").is_dialect(name)


@pytest.mark.parametrize("name", ["foundation", "done", "trial", "knownness", "reached"])
def test_other_words_are_none(name: str) -> None:
    assert not tool("words").is_dialect(name)


def test_every_kind_of_binding_is_counted() -> None:
    text = "def f(a, *b, c=0, **d):\n  for e in a:\n    with b as g: h = [i for i in c]\n"
    text += "  match a:\n    case [*j, k]: pass\n"
    assert set(tool("words").bound_names(ast.parse(text))) == set("fabcdeghijk")


def test_no_first_line_leaves_the_thing_unnamed() -> None:
    """`What ...` and `Whatever ...` tell a stranger nothing."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    unnamed = [
        f"{file.relative_to(ROOT)}: {text.splitlines()[0]}"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, kinds) and (text := ast.get_docstring(node) or "").startswith("What")
    ]
    assert unnamed == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_classes_of_a_package_share_a_name(package: str) -> None:
    names = Counter(
        node.name
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, times in names.items() if times > 1] == []
