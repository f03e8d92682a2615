"""How many bound names are this project's own dialect: fillers that say nothing of what they hold.

    python3 tools/words.py          each package's share, and the files that hold most of them

Counted are parameters, assigned names and functions, each once a binding. A name counts where one
of its words is on the list: `found`, `item_found` and `ones` alike. Under 2 % is the bar; a test
holds it.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("holdfast", "service", "workers", "training")
DIALECT = frozenset(
    {
        *("found", "one", "ones", "asked", "told", "said", "seen", "kept", "known", "own", "most"),
        *("given", "taken", "left", "gone", "whole", "apart", "beside", "reach", "ground"),
    }
)
BAR = 0.02
WORST_FILES = 12


def bound_names(tree: ast.AST) -> Iterator[str]:
    """Parameters, assigned names (loops, `with` and comprehensions too), and functions."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def is_dialect(name: str) -> bool:
    """Whether a word of the name is on the list."""
    words = re.split(r"_|(?<=[a-z])(?=[A-Z])", name)
    return not DIALECT.isdisjoint(word.lower() for word in words)


def count(package: str) -> tuple[int, Counter[str], Counter[str]]:
    """How many names a package binds; its dialect by name, and by file."""
    total, names, files = 0, Counter[str](), Counter[str]()
    for file in sorted((ROOT / package).rglob("*.py")):
        for name in bound_names(ast.parse(file.read_text(encoding="utf-8"))):
            total += 1
            if is_dialect(name):
                names[name] += 1
                files[str(file.relative_to(ROOT))] += 1
    return total, names, files


def main() -> None:
    """The shares, the names and the files."""
    total, names, files = 0, Counter[str](), Counter[str]()
    for package in PACKAGES:
        bound, its_names, its_files = count(package)
        print(
            f"{package:<9} {sum(its_names.values()):>4} of {bound:>5}  {_share(its_names, bound)}"
        )
        total, names, files = total + bound, names + its_names, files + its_files
    print(f"together  {sum(names.values()):>4} of {total:>5}  {_share(names, total)}")
    print(", ".join(f"{name} {times}" for name, times in names.most_common(20)))
    for file, times in files.most_common(WORST_FILES):
        print(f"{times:>4}  {file}")
    sys.exit(sum(names.values()) >= BAR * total)


def _share(names: Counter[str], total: int) -> str:
    return f"{sum(names.values()) / total:.1%}"


if __name__ == "__main__":
    main()
