"""docs/settings.md: every setting with the sentence that stands below its field.

    .venv/bin/python tools/settings.py           print it
    .venv/bin/python tools/settings.py --write   put it into docs/

Kept by a test, so that a setting can neither be added in silence nor change behind its page.
"""

import ast
import sys
import types
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from holdfast import settings
from holdfast.settings import PREFIX, Settings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
TYPES = {str: "text", int: "whole number", float: "number", Path: "path", bool: "true or false"}
BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
HEAD = """\
# Settings

<!-- made by tools/settings.py from holdfast/settings.py -->

Every process reads its settings from the environment, once, when it starts. A variable that begins
with `HOLDFAST_` and is no setting is refused, and so is a value that does not fit.
(`HOLDFAST_ACCEL`, `cpu` or `gpu`, is no setting: it says which lock `make setup` takes.)

| variable | value | default | |
|---|---|---|---|
"""


def page() -> str:
    """The whole page, the settings in the order of their fields."""
    sentences = field_sentences()
    rows = (row(name, field, sentences) for name, field in Settings.model_fields.items())
    return HEAD + "".join(rows)


def field_sentences() -> dict[str, str]:
    """The text below each field, by its name; read here, since every command loads the settings."""
    tree = ast.parse(Path(settings.__file__).read_text(encoding="utf-8"))
    kinds = (node for node in tree.body if isinstance(node, ast.ClassDef))
    body = next(node.body for node in kinds if node.name == Settings.__name__)
    return {
        field.target.id: text.value.value
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def row(name: str, field: FieldInfo, sentences: dict[str, str]) -> str:
    """One setting as a row of the table."""
    if name not in sentences:
        raise SystemExit(f"{name} says nothing of itself; write a sentence below its field")
    cells = (f"`{PREFIX}{name.upper()}`", values(field), default(field), sentences[name])
    return f"| {' | '.join(' '.join(cell.split()) for cell in cells)} |\n"


def values(field: FieldInfo) -> str:
    """What may be set, such as "number > 0, ≤ 1"."""
    bounds = [
        f"{sign} {getattr(bound, name):g}"
        for bound in field.metadata
        for name, sign in BOUNDS
        if hasattr(bound, name)
    ]
    return f"{kind(field.annotation)} {', '.join(bounds)}"


def kind(annotation: Any) -> str:
    """A type in words; what may be None may be left unset."""
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(kind(part) for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"{kind(get_args(annotation)[0])}s, separated by `:`"
    return TYPES[annotation]


def default(field: FieldInfo) -> str:
    """What holds where the variable is unset; empty where the field's own sentence says it."""
    if field.is_required() or field.default in (None, ()):
        return ""
    shown = f"{field.default:g}" if isinstance(field.default, float) else field.default
    return f"`{shown}`"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
