"""One family on the transformers engine, in float32, beside plain forward passes of one row."""

from pathlib import Path

import torch

from benchmarks.families.outcome import Outcome
from holdfast.errors import CheckpointRefused
from holdfast.probes.engine import Backend
from tests.support.plain_forward import other_answers, score_deviation
from tests.support.tiny_families import build_tiny
from workers.inference.transformers.engine import TransformersEngine

RIGHT_WITHIN = 1e-3  # nats of a few tokens


def check(family: str, scratch: Path) -> Outcome:
    """Scores, and greedy answers in a batch and alone."""
    folder = build_tiny(family, scratch / family, dtype=torch.float32)
    engine = TransformersEngine(Backend("transformers", "check", "float32"))
    try:
        engine.open(folder, None)
    except CheckpointRefused as error:
        return Outcome(refused=str(error))
    nats = score_deviation(engine, folder)
    return Outcome(nats=nats, right=nats < RIGHT_WITHIN and not other_answers(engine, folder))
