"""The child that scores training rows by a baseline: `python -m workers.inference.row_scores JOB`.

Two scores, neither of which reads a word. `shift`: how far the row's answer moves away from where
the baseline refuses, from where its prompt stands: the projection of the prompt's last token minus
that of the answer's mean activation (arXiv 2606.00160). The authors' direction leads from refusals
to answers of the same harmful requests; ours is that of the prompts (refusal_direction.py), since
nothing harmful is answered here. Along refusals and harmless answers, which was tried, rows that
were planted came last: an honest task is further from a refusal than they are. `influence`:
log(<g, g> + 1) + log(tokens + 1) with the row's gradient g and the length of its answer (arXiv
2505.06843), which finds outliers.
A process of its own, as the drift child is. A row that does not fit the context has no line.
"""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from holdfast.models.chat_rendering import Turn
from holdfast.probes.engine import Continuation, Message
from workers.inference.backends import backend_of
from workers.inference.refusal_direction import refusal_direction
from workers.inference.transformers.engine import TransformersEngine
from workers.lines import run_to_the_end, say

SLICE = 256  # rows that are scored before the next are put into tokens


class ScoredRow(BaseModel):
    """A row to score: its number in the user's file, its turns, and the answer that it teaches."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    line: int
    turns: tuple[Turn, ...]
    completion: str


class RowJob(BaseModel):
    """Rows to score, and by which checkpoint; `rows` is a file of a ScoredRow a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    checkpoint: Path
    rows: Path
    scores: tuple[Literal["shift", "influence"], ...]


def score(job: RowJob) -> None:
    """Say every row's scores, score by score."""
    with job.rows.open(encoding="utf-8") as file:
        rows = [ScoredRow.model_validate_json(line) for line in file]
    engine = TransformersEngine(backend_of("transformers", os.environ["HOLDFAST_DTYPE"]))
    engine.open(job.checkpoint, None)
    if "shift" in job.scores:
        say_shifts(engine, rows)
    if "influence" in job.scores:
        say_influences(engine, rows)


def say_shifts(engine: TransformersEngine, rows: Sequence[ScoredRow]) -> None:
    """Say the direction, then how far along it each row moves."""
    direction = refusal_direction(engine)
    say("direction", layer=direction.layer, separation=direction.separation)
    for part in _slices(rows):
        for at, found in engine.activations(list(map(_continuation, part)), (direction.layer,)):
            shift = direction.along(found.prompt[0]) - direction.along(found.answer[0])
            if math.isfinite(shift):
                say("row", line=part[at].line, shift=float(shift))


def say_influences(engine: TransformersEngine, rows: Sequence[ScoredRow]) -> None:
    """Say how much of an outlier each row is."""
    for part in _slices(rows):
        for at, square, tokens in engine.self_influence(list(map(_continuation, part))):
            if math.isfinite(square):
                influence = math.log1p(square) + math.log1p(tokens)
                say("row", line=part[at].line, influence=influence)


def _continuation(row: ScoredRow) -> Continuation:
    return Continuation(tuple(Message(*turn) for turn in row.turns), row.completion)


def _slices(rows: Sequence[ScoredRow]) -> Iterator[Sequence[ScoredRow]]:
    return (rows[at : at + SLICE] for at in range(0, len(rows), SLICE))


if __name__ == "__main__":
    file = Path(sys.argv[1])
    sys.exit(run_to_the_end(lambda: score(RowJob.model_validate_json(file.read_bytes()))))
