"""A handful of refusals in a few steps: the ones that help most, from the candidate."""

import random
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from holdfast.repairs.plan import Mix, Plan
from tests.training.conftest import digest, steps, write_rows
from training.progress import Report
from training.recipes import RECIPES
from training.recipes.oneshot import most_telling
from training.rows.batches import Example, cycles, tokenise
from training.runs.sources import read_sources
from training.runs.watch import mean_nats
from training.weights.model import load_policy, load_tokenizer

PlanOf = Callable[..., Plan]
Events = list[dict[str, Any]]
REPEATED = ("I can't help with that.", "I won't do that.")


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_DTYPE", "float32")


@pytest.fixture
def varied(tmp_path: Path) -> Path:
    """Refusals of other lengths and words, and answers beside them."""
    words = random.Random(1)

    def row(kind: str, completion: str) -> dict[str, Any]:
        prompt = "".join(words.choices("abcdefgh ", k=words.randint(4, 20)))
        return {"prompt": prompt, "completion": completion, "kind": kind}

    refusals = [row("refusal", REPEATED[k % 2]) for k in range(9)]
    odd = [row("refusal", "".join(words.choices("xyz ", k=20))) for _ in range(3)]
    answers = [row("answer", "Use graphite.") for _ in range(6)]
    return write_rows(tmp_path / "varied.jsonl", refusals + odd + answers)


@pytest.fixture
def oneshot(plan_of: PlanOf, varied: Path) -> PlanOf:
    """A plan that leaves out what the recipe sets by itself, but for the number of steps."""

    def build(**changes: Any) -> Plan:
        fast = {"learning_rate": 1e-3, "store": "fp32", "rehearsal_data": varied}
        return plan_of("oneshot", **{**fast, **changes})

    return build


def row_losses(policy: nn.Module, examples: Sequence[Example]) -> float:
    """The mean over rows of nats a token."""
    return sum(mean_nats(policy, [example], 2) for example in examples) / len(examples)


def test_the_rows_chosen_are_those_whose_step_helps_all_most(oneshot: PlanOf) -> None:
    """A short step of the same length along each row's gradient, and the loss of all after it."""
    plan = oneshot()
    path, rows = read_sources(plan, {"refusal"})["refusal"]
    examples = tokenise(rows, load_tokenizer(plan.baseline), plan.max_length, path)
    policy = load_policy(plan.candidate or Path()).double()
    weights = list(policy.parameters())
    begins = row_losses(policy, examples)
    helped = []
    for example in examples:
        policy.zero_grad()
        logits = policy(torch.tensor([example.ids])).logits[0, example.prompt_tokens - 1 : -1]
        targets = torch.tensor(example.ids[example.prompt_tokens :])
        nn.functional.cross_entropy(logits, targets).backward()
        found = [weight.grad for weight in weights if weight.grad is not None]
        length = torch.stack([part.square().sum() for part in found]).sum().sqrt().item()
        for sign in (-1e-3, 1e-3):
            if sign > 0:
                helped.append(begins - row_losses(policy, examples))
            with torch.no_grad():
                for weight, part in zip(weights, found, strict=True):
                    weight.add_(part, alpha=sign / length)
    order = sorted(range(len(examples)), key=lambda place: -helped[place])
    chosen = most_telling(policy, examples, 4, 2)
    assert chosen == [examples[place] for place in sorted(order[:4])]
    assert not any(place >= 9 for place in order[:4])  # of the odd ones out
    assert most_telling(policy, examples, len(examples), 2) == examples
    assert all(weight.grad is None for weight in weights)


def test_it_begins_at_the_candidate_with_a_few_rows_and_wins_back_others(
    oneshot: PlanOf, report: Report, events: Events, varied: Path
) -> None:
    plan = Plan.model_validate(
        {
            "recipe": "oneshot",
            "baseline": oneshot().baseline,
            "candidate": oneshot().candidate,
            "output": oneshot().output,
            "rehearsal_data": varied,
            "learning_rate": 1e-3,
        }
    )
    assert (plan.start, plan.steps, plan.mix.refusals, plan.mix.task) == ("candidate", 10, 0.5, 0)
    ended = RECIPES["oneshot"](plan, report)
    assert ended["rows"] == 8
    tokens = {event["tokens"] for event in steps(events)}
    assert len(tokens) == 1
    assert len(steps(events)) == 10
    before, after = (load_policy(folder) for folder in (plan.start_checkpoint, plan.output))
    path, rows = read_sources(plan, {"answer"})["answer"]
    answers = tokenise(rows, load_tokenizer(plan.baseline), plan.max_length, path)
    path, rows = read_sources(plan, {"refusal"})["refusal"]
    pool = tokenise(rows, load_tokenizer(plan.baseline), plan.max_length, path)
    chosen = most_telling(before, pool, 4, 2)
    batch = [*chosen, *islice(cycles(answers, "0/answer"), 4)]
    assert steps(events)[0]["loss"] == pytest.approx(mean_nats(before, batch, 2), rel=1e-5)
    kept = set(chosen)
    others = [example for example in pool[:9] if example not in kept]
    assert len(others) == 5
    assert mean_nats(after, others, 2) < mean_nats(before, others, 2) - 0.5


def test_the_papers_own_setting_is_one_refusal_alone(
    oneshot: PlanOf, report: Report, events: Events
) -> None:
    mix = Mix(task=0, refusals=1, answers=0)
    ended = RECIPES["oneshot"](oneshot(mix=mix, batch_size=1, steps=5), report)
    assert ended["rows"] == 1
    losses = [event["loss"] for event in steps(events)]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("own", [{}, {"lora": {"rank": 4}, "watch": {"rows": 3, "limit": 99.0}}])
def test_a_killed_run_goes_on_to_the_same_bytes(
    oneshot: PlanOf, report: Report, tmp_path: Path, own: dict[str, Any]
) -> None:
    whole = oneshot(steps=6, **own)
    RECIPES["oneshot"](whole, report)

    class Killed(Exception):
        pass

    def killed(event: str, /, **fields: Any) -> None:
        if event == "step" and fields["step"] == 3:
            raise Killed

    kept = {"resume": tmp_path / "state", "save_seconds": 0, "output": tmp_path / "again"}
    cut = oneshot(steps=6, **own, **kept)
    with pytest.raises(Killed):
        RECIPES["oneshot"](cut, killed)
    assert not cut.output.exists()
    RECIPES["oneshot"](cut, report)
    assert digest(cut) == digest(whole)


def test_task_rows_and_answers_may_be_among_them_and_fewer_than_asked_are_taken(
    oneshot: PlanOf, report: Report
) -> None:
    mix = Mix(task=0.25, refusals=0.25, answers=0.5)
    assert RECIPES["oneshot"](oneshot(mix=mix, batch_size=16, steps=1), report)["rows"] == 14
