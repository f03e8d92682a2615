"""The tree of docs/map.md: every module with the first sentence of its own docstring.

    python3 tools/tree.py           print it
    python3 tools/tree.py --write   put it into docs/map.md

Kept by a test, so that the tree can neither rot nor say something else than the file does.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("holdfast", "service", "workers", "training")
BEGIN, END = "<!-- tree: python3 tools/tree.py --write -->\n", "<!-- end of tree -->\n"


def tree() -> str:
    """One line a module, indented as the folders are."""
    return "".join(line for package in PACKAGES for line in folder(ROOT / package, 0))


def folder(path: Path, depth: int) -> list[str]:
    """The lines of a package: its own purpose, its modules, then its folders."""
    lines = [f"{'  ' * depth}{path.name + '/':<{28 - 2 * depth}}{purpose(path / '__init__.py')}\n"]
    for module in sorted(path.glob("*.py")):
        if module.stem != "__init__":
            indent = "  " * (depth + 1)
            lines.append(f"{indent}{module.name:<{26 - 2 * depth}}{purpose(module)}\n")
    for inner in sorted(path.iterdir()):
        if (inner / "__init__.py").is_file():
            lines += folder(inner, depth + 1)
    return lines


def purpose(module: Path) -> str:
    """The first sentence of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return first.split(". ")[0].rstrip(".")


def written(page: str) -> str:
    """The page with today's tree between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}```\n{tree()}```\n{END}{after}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        file = ROOT / "docs" / "map.md"
        file.write_text(written(file.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(tree())
