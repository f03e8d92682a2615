"""One short conversation through a chat template, in a process that is allowed to die of it.

Jinja's sandbox keeps a template from reaching out, not from running for ever or filling the
memory, and a template comes with the checkpoint. So before the first prompt the canary is rendered
once by a child with five seconds of processor time. What else may be wrong with the template (its
syntax, an exception that it raises) ends the child too, and is left to the engine's own rendering,
which says it better.
"""

import json
import resource
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from holdfast.errors import CheckpointRefused

CPU_SECONDS = 5
WALL_SECONDS = 60.0  # a busy machine gives those five slowly
MEMORY_BYTES = 1 << 30
MAX_CHARACTERS = 1 << 20
TOO_LONG = 3  # the child's exit code; the limit on its processor time ends it by a signal
CANARY = [{"role": "user", "content": "Is anybody there?"}]


@cache
def check_template(template: str) -> None:
    """Raise CheckpointRefused where the template does not end within the canary's limits."""
    command = [sys.executable, "-m", "workers.inference.template_canary"]
    try:
        done = subprocess.run(
            command, input=template.encode(), capture_output=True, timeout=WALL_SECONDS, check=False
        )
        ended = done.returncode >= 0 and done.returncode != TOO_LONG
    except subprocess.TimeoutExpired:
        ended = False
    if not ended:
        raise CheckpointRefused(
            f"the chat template does not render one short conversation in {CPU_SECONDS} s, "
            f"{MEMORY_BYTES >> 30} GiB and {MAX_CHARACTERS:,} characters; use the template of "
            "the checkpoint's base model"
        )


class _Generation(Extension):
    """The block tag that training templates put around an answer; it renders as its content."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def render_canary(template: str) -> str:
    """The canary as transformers would render it, but for what a limit cuts short."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    template_globals: dict[str, Any] = {
        "strftime_now": datetime.now(UTC).strftime,
        "raise_exception": _raise,
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    compiled = environment.from_string(template, globals=template_globals)
    return compiled.render(messages=CANARY, add_generation_prompt=True)


def _raise(message: str) -> None:
    raise ValueError(message)


def main() -> int:
    """The child: limit itself, read the template, render."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    template = sys.stdin.read()
    try:
        text = render_canary(template)
    except MemoryError:
        return TOO_LONG
    return TOO_LONG if len(text) > MAX_CHARACTERS else 0


if __name__ == "__main__":
    sys.exit(main())
