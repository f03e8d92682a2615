"""A response set: models' own answers that somebody judged good, as JSON Lines.

Recipe `hma` by gradient makes them likely (https://arxiv.org/abs/2309.06256, where they are the
answers of the highest reward). A worker writes them from what the candidate says, and from what the
baseline says where the candidate gives nothing good; a person may write them too.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from holdfast.errors import InvalidTaskData
from holdfast.models.chat_rendering import Turn
from holdfast.repairs.task_data import Row, read_objects, row_of

Responder = Literal["candidate", "baseline"]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer to one prompt, of kind `task` (a right one) or `refusal`, and who gave it."""

    row: Row
    by: Responder

    def to_json(self) -> dict[str, Any]:
        """The line of the file; the turns before the prompt only where there are some."""
        row = self.row
        line = {"kind": row.kind, "by": self.by, "prompt": row.prompt, "completion": row.completion}
        return line | ({"history": list(row.history)} if row.history else {})


def write_responses(path: Path, responses: Iterable[Response]) -> None:
    """Write the file, one answer a line."""
    lines = (json.dumps(response.to_json(), ensure_ascii=False) for response in responses)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_responses(path: Path) -> list[Response]:
    """Every answer of the file, at least one; raises InvalidTaskData naming file and line."""
    return read_objects(path, _response)


def _response(content: dict[str, Any], number: int, place: str) -> Response:
    match content:
        case {"kind": "task" | "refusal" as kind, "by": "candidate" | "baseline" as by}:
            row = row_of(content, number, place, kind)
            turns = [_turn(turn, place) for turn in content.get("history", [])]
            return Response(replace(row, history=tuple(turns)), by)
    raise InvalidTaskData(
        f"{place}: kind is {content.get('kind')!r} and by {content.get('by')!r}, expected "
        "'task' or 'refusal', and 'candidate' or 'baseline'"
    )


def _turn(turn: Any, place: str) -> Turn:
    match turn:
        case [str(role), str(words)]:
            return role, words
    raise InvalidTaskData(f"{place}: a turn of its history is no pair of role and words")
