"""Write a waiver into a policy file, as a person would: one line, the rest of the file untouched.

A waiver belongs beside the checks that it excuses, under version control, where a reviewer sees it.
So it is text that is edited, not a document that is dumped again without its comments.
"""

import json
from pathlib import Path

from holdfast.errors import InvalidPolicy
from holdfast.new_files import write_new
from holdfast.plain_files import read_plain_text
from holdfast.policy.model import GatePolicy, Waiver
from holdfast.policy.text import MAX_BYTES, parse_policy

HEADING = "waivers:"


def waive(path: Path, waiver: Waiver) -> GatePolicy:
    """Add the waiver to the file and return the policy; nothing is written unless it then holds."""
    try:
        text = read_plain_text(path, MAX_BYTES, InvalidPolicy)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidPolicy(f"policy {path} cannot be read: {error}") from error
    before = parse_policy(text, source=str(path))
    changed = _with_line(text, _line(waiver), str(path))
    after = parse_policy(changed, source=str(path))
    if after != before.model_copy(update={"waivers": after.waivers}) or waiver not in after.waivers:
        raise InvalidPolicy(
            f"{path}: cannot add to its waivers here; add this line: {_line(waiver)}"
        )
    write_new(path, changed.encode(), InvalidPolicy)
    return after


def _line(waiver: Waiver) -> str:
    fields = waiver.model_dump(mode="json")
    inside = ", ".join(f"{key}: {_scalar(key, value)}" for key, value in fields.items())
    return f"  - {{{inside}}}"


def _scalar(key: str, value: str) -> str:
    return value if key == "expires" else json.dumps(value, ensure_ascii=False)


def _with_line(text: str, line: str, source: str) -> str:
    lines = text.rstrip("\n").split("\n")
    if HEADING in (bare := [row.rstrip() for row in lines]):
        lines.insert(bare.index(HEADING) + 1, line)
    elif any(row.startswith(HEADING) for row in lines):
        raise InvalidPolicy(f"{source}: its waivers stand on one line; put each on its own, below")
    else:
        lines += [HEADING, line]
    return "\n".join(lines) + "\n"
