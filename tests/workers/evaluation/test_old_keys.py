"""What commit b196b6b asked and stored is found again: questions, sampling and keys of answers.

A new option of any of them is written only where it is set, so none of these may ever move.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from holdfast.checkpoints.checkpoint import CheckpointRef
from holdfast.policy.budget import Limits
from holdfast.policy.text import load_policy
from holdfast.probes.engine import Backend, Sampling
from holdfast.probes.question import Question
from holdfast.probes.table import CATALOGUE, PROBES
from holdfast.repairs.task_data import Row
from holdfast.suites import load_suite
from tests.support.evidence import hex_of
from workers.evaluation.answers import answer_key
from workers.evaluation.case import Case, Side

OLD = json.loads((Path(__file__).parents[2] / "data" / "b196b6b" / "keys.json").read_bytes())
ROWS = [
    Row("How long is the trip?", "Call +1 202 555 0143 and ask.", "task", 1),
    Row("Add 2 and 3.", "5", "task", 2),
]
TASK = [
    {"item": "0", "asks": [{"prompt": "Is it so?", "text": " yes"}]},
    {
        "item": "1",
        "asks": [{"prompt": "Sum:", "max_tokens": 9, "temperature": 0.7, "until": ["\n"]}],
    },
]
SAMPLINGS = {
    "greedy": Sampling(max_tokens=48),
    "drawn": Sampling(max_tokens=256, temperature=0.7, seed=3),
    "ended": Sampling(max_tokens=8, until=("\n", ".")),
}


def first_questions() -> dict[str, Question]:
    """The first question of each probe; of one that asks in forms, the first of each form."""
    first: dict[str, Question] = {}
    for name, spec in CATALOGUE.items():
        if spec.suite is not None and not PROBES[name].in_rows:
            items = load_suite(spec.suite).items[:1]
            forms = sorted({form for tier in spec.variants.values() for form in tier})
            for asked in PROBES[name].questions(items, 48, *([forms] if forms else [])):
                first[f"{name} {asked.variant}"] = asked
    for name in ("task.retention", "leak.memory"):
        first[name] = PROBES[name].questions(ROWS, 48)[0]
    for number, asked in enumerate(PROBES["cap.lm_eval"].questions(TASK)):
        first[f"cap.lm_eval {number}"] = asked
    return first


def key_of(name: str, asked: Question) -> str:
    probe = name.partition(" ")[0]
    digest = f"sha256:{hex_of('checkpoint')}"
    checkpoint = CheckpointRef("aligned", Path("/aligned"), digest, (), hex_of("template"), ())
    side = Side("baseline", checkpoint, (probe,))
    case = Case(
        evaluation_id="eval_0",
        policy=load_policy("standard"),
        tier="standard",
        split="screen",
        sides=(side,),
        template="{{ messages }}",
        sampling=SAMPLINGS["greedy"],
        questions={},
        suites={probe: hex_of(probe)},
        judges={},
        repairs=None,
        limits=Limits(),
    )
    return answer_key(case, side, probe, asked, Backend("vllm", "0.32.0", "bfloat16"))


def stored_keys(name: str, asked: Question) -> dict[str, Any]:
    fingerprint = sha256(asked.fingerprint().encode()).hexdigest()
    return {"fingerprint_sha256": fingerprint, "answer_key": key_of(name, asked)}


@pytest.mark.parametrize("name", OLD["questions"])
def test_a_question_is_found_under_its_old_key(name: str) -> None:
    assert stored_keys(name, first_questions()[name]) == OLD["questions"][name]


@pytest.mark.parametrize("name", OLD["sampling"])
def test_sampling_says_of_itself_what_it_said(name: str) -> None:
    assert json.loads(json.dumps(SAMPLINGS[name].to_json())) == OLD["sampling"][name]
