"""Functions, methods and classes that nothing calls: `make lint` fails on the first.

Vulture reads names, so what a framework finds by decorator, by base class or by a name in a string
is listed here. Fields are left out: they are documents' (tests/data/names.json holds those).
"""

import sys

from vulture import Vulture

from holdfast.cli.table import COMMANDS
from training.recipes import ELSEWHERE

PATHS = ("holdfast", "service", "workers", "training", "tests", "benchmarks", "examples", "tools")
DECORATORS = (
    *("@router.*", "@app.*", "@field_validator", "@model_validator", "@model_serializer"),
    *("@event.*", "@setup_logging.*", "@worker_*", "@pytest.*", "@*.connect*", "@property"),
)
HOOKS = (  # of SQLAlchemy, starlette, transformers, logging, argparse and others
    *("process_bind_param", "process_result_value", "convert", "to_string", "__call__"),
    *("load_dialect_impl", "bind_processor", "result_processor"),
    *(
        "on_train_begin",
        "on_step_end",
        "on_train_end",
        "error",
        "do_GET",
        "do_POST",
        "log_message",
        "handle_*",
    ),
)
NAMED = tuple(place.rpartition(":")[2] for place in ELSEWHERE.values())
KINDS = {"function", "method", "class", "import"}


def dead_code() -> list[str]:
    """`file:line: kind name` of each, in order."""
    commands = [command.run.rpartition(":")[2] for command in COMMANDS]
    names = [*HOOKS, *NAMED, *commands, "test_*", "upgrade", "downgrade", "pytest_*"]
    vulture = Vulture(ignore_names=names, ignore_decorators=list(DECORATORS))
    vulture.scavenge(PATHS)
    return [
        f"{item.filename}:{item.first_lineno}: {item.typ} {item.name}"
        for item in vulture.get_unused_code(min_confidence=60)
        if item.typ in KINDS
    ]


if __name__ == "__main__":
    unused = dead_code()
    sys.exit("\n".join(unused) if unused else 0)
