"""The direction in which a model tells a harmful request from a harmless one, before it answers.

The difference of its mean activations at the last token of harmful prompts and of look-alikes
(arXiv 2406.11717, 2509.06795): of requests of the rehearsal pool, which no gate asks. Along it 0 is
a harmless request and 1 a harmful one. No answer is needed, so none is generated.
"""

from collections.abc import Sequence

import numpy as np

from holdfast.errors import CheckpointRefused
from holdfast.models.directions import Array, Direction, direction_between
from holdfast.probes.engine import Arguments, Continuation, Message
from holdfast.suites import Request, load_suite
from workers.inference.transformers.engine import TransformersEngine

POOL = "rehearsal"
REQUESTS = 48  # of each kind
NO_ANSWER = "."  # stands where an answer would; what comes before it never sees it


def refusal_direction(engine: TransformersEngine, arguments: Arguments = ()) -> Direction:
    """The open model's direction; CheckpointRefused where it holds the same of both kinds."""
    harmful, benign = (
        np.stack(before_answers(engine, prompts, arguments=arguments))
        for prompts in pool_requests()
    )
    direction = direction_between(harmful, benign)
    if direction is None:
        raise CheckpointRefused(
            "it holds the same of harmful requests and of harmless ones, or no finite numbers, so "
            "it has no refusal direction: is it really the trusted model?"
        )
    return direction


def before_answers(
    engine: TransformersEngine,
    prompts: Sequence[str],
    layer: int | None = None,
    *,
    arguments: Arguments = (),
) -> list[Array]:
    """[layers, width] at the last token of each prompt in turn, of one layer or of all."""
    asked = [Continuation((Message("user", prompt),), NO_ANSWER) for prompt in prompts]
    layers = None if layer is None else (layer,)
    found = dict(engine.activations(asked, layers, arguments))
    return [found[at].prompt for at in range(len(asked)) if at in found]


def pool_requests() -> tuple[list[str], list[str]]:
    """REQUESTS harmful requests of the pool and as many look-alikes, spread evenly over it."""
    items = [item for item in load_suite(POOL).items if isinstance(item, Request)]
    kinds = ([item.prompt for item in items if item.kind == kind] for kind in ("harmful", "benign"))
    harmful, benign = ([of[at * len(of) // REQUESTS] for at in range(REQUESTS)] for of in kinds)
    return harmful, benign
