"""Docstrings and pages name only modules, settings and commands that are there."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from holdfast.cli import NOT_BUILT
from holdfast.cli.table import COMMANDS
from holdfast.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("holdfast", "service", "workers", "training")
PAGES = sorted(
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
    if page.name != "benchmarks.md"  # which tells of versions that are gone
)
OF_SET_UP = {"HOLDFAST_ACCEL"}  # read by tools/bootstrap.py, before there are settings
FILE = re.compile(rf"\b(?:{'|'.join(PACKAGES)}|tools|tests|examples|benchmarks)/[\w/]+\.py\b")
DOTTED = re.compile(rf"\b(?:{'|'.join(PACKAGES)})(?:\.[a-z_]\w*)+\b")
FORMATS = {"xml", "md", "jsonl"}
COMMAND = re.compile(r"`holdfast ([a-z]+)(?: ([a-z]+))?")


def texts() -> dict[str, str]:
    """Pages whole, and of every module its docstrings."""
    found = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documented = (node for node in ast.walk(tree) if isinstance(node, kinds))
        found[str(file.relative_to(ROOT))] = "\n".join(
            ast.get_docstring(node) or "" for node in documented
        )
    return found


TEXTS = texts()


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or a name in one."""
    path = ROOT / dotted.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module, _, name = dotted.rpartition(".")
    for file in (
        ROOT / f"{module.replace('.', '/')}.py",
        ROOT / module.replace(".", "/") / "__init__.py",
    ):
        if file.is_file() and re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")):
            return True
    return "." in module and is_there(module) and name[:1].isupper()


@pytest.mark.parametrize("place", TEXTS)
def test_what_a_text_names_is_there(place: str) -> None:
    text = TEXTS[place]
    files = [
        file for file in FILE.findall(text) if "NAME" not in file and not (ROOT / file).is_file()
    ]
    dotted = [name for name in DOTTED.findall(text) if name.rpartition(".")[2] not in FORMATS]
    names = [name for name in dotted if not is_there(name)]
    known = {f"HOLDFAST_{name.upper()}" for name in Settings.model_fields} | OF_SET_UP
    settings = [
        name for name in re.findall(r"\bHOLDFAST_[A-Z_]+[A-Z]\b", text) if name not in known
    ]
    commands = {command.name for command in COMMANDS} | set(NOT_BUILT)
    words = {name.split()[0] for name in commands}
    missing = [
        f"holdfast {verb} {rest}".strip()
        for verb, rest in COMMAND.findall(text)
        if verb not in words or (verb not in commands and rest and f"{verb} {rest}" not in commands)
    ]
    assert (files, names, settings, missing) == ([], [], [], [])


def test_a_name_that_is_gone_is_seen() -> None:
    assert not is_there("holdfast.decision.settle")
    assert is_there("holdfast.verdict.settle")
    assert is_there("holdfast.verdict.settle.settle")
    assert find_spec("holdfast.verdict.settle") is not None
