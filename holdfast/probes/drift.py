"""drift.kl: how far the next-token distributions moved on the new task's own inputs.

Harm: none by itself. It is an early warning of forgetting, cheap enough for every save.
Inputs: prompts of the user's held-out task rows, each answered once by the baseline.
Judge: none; the measure is KL(baseline || candidate) summed over the answer's tokens, in nats,
weighted by them, so that the mean is nats a token. `ITEM first` is the same of the answer's first
five tokens, and `layer NNN` the relative distance of that layer's weights. Lower is less moved.
Limit: R2 of .71 on language models in the reference: it may warn, and never pass anything.
Reference: RL's Razor (arXiv 2509.04259). Asked of two checkpoints at once, in a child process.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from holdfast.evidence.trial import Measure
from holdfast.probes.question import Generate, Question, chat_of
from holdfast.probes.spec import MAX_TOKENS, BuiltProbe, ProbeSpec
from holdfast.repairs.task_data import Row

ALL_TOKENS, FIRST_TOKENS, LAYERS = "nats", "nats:first", "ratio"  # units of its measures
SPEC = ProbeSpec(
    "drift.kl",
    metric="kl",
    suite=None,  # prompts of the user's held-out task rows
    judge=None,
    items={"canary": 16, "demo": 32, "standard": 64, "full": 256},
    measure=True,
    advisory=True,
)
SHORT, LONG = 32, 512  # tokens of an answer: what was unlearnt shows early, and not all of it does


def questions(rows: Sequence[Row], max_tokens: int) -> tuple[Question, ...]:
    """One question for every different prompt of the rows; tier `full` reads LONG answers."""
    distinct = {_prompt_digest(row)[:16]: row for row in rows}
    tokens = LONG if max_tokens >= MAX_TOKENS["full"] else min(max_tokens, SHORT)
    return tuple(
        Question(item, item, (Generate(chat_of(row), tokens),)) for item, row in distinct.items()
    )


def _prompt_digest(row: Row) -> str:
    text = json.dumps(row.prompt_turns) if row.history else row.prompt
    return hashlib.sha256(text.encode()).hexdigest()


def measures(lines: Iterable[dict[str, Any]]) -> list[Measure]:
    """The lines that the child process printed, as measures of the candidate."""
    candidate_measures = []
    for line in lines:
        match line:
            case {"event": "drift", "item": item}:
                columns_by_unit = {ALL_TOKENS: ("kl", "tokens", item)}
                columns_by_unit[FIRST_TOKENS] = ("first_kl", "first_tokens", f"{item} first")
                candidate_measures += [
                    Measure(SPEC.name, name, line[value], line[weight], unit)
                    for unit, (value, weight, name) in columns_by_unit.items()
                ]
            case {"event": "weights", "place": place, "distance": distance}:
                candidate_measures.append(Measure(SPEC.name, place[-80:], distance, 1, LAYERS))
    return candidate_measures


PROBE = BuiltProbe(SPEC, questions, compared=True)
