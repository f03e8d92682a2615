"""The constraint while training: distance from the baseline, its noise, and the way back."""

from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from holdfast.repairs.knobs import Anchor
from training.passes.trusted import logits_of, reference_of, token_log_probs
from training.progress import Report
from training.rows.batches import Example
from training.runs.constraint import Constraint, distance, noise_floor
from training.weights.model import load_policy

Events = list[dict[str, Any]]
ROWS = [Example(tuple(range(10 + k, 22 + 3 * k)), prompt_tokens=5 + k % 3) for k in range(6)]
PAD = 2


@pytest.mark.parametrize("megabytes", [1024, 0], ids=["remembered", "asked again"])
def test_distance_is_the_mean_over_rows_of_torchs_kl_a_token(
    baseline: Path, candidate: Path, report: Report, megabytes: int
) -> None:
    theirs, ours = load_policy(baseline), load_policy(candidate)
    reference = reference_of(theirs, [*ROWS, ROWS[0]], PAD, megabytes, report)
    expected, first = [], []
    for row in ROWS:
        said, saying = (logits_of(m, [row], PAD)[0].float().log_softmax(-1) for m in (theirs, ours))
        nats = functional.kl_div(saying, said, log_target=True, reduction="none").sum(-1)
        expected.append(nats.mean().item())
        first.append(nats[:5].mean().item())
    found = distance(ours, ROWS, reference, "forward_kl")
    assert found.all_tokens == pytest.approx(sum(expected) / len(ROWS), rel=2e-2)
    assert found.first == pytest.approx(sum(first) / len(ROWS), rel=2e-2)
    assert distance(theirs, ROWS, reference, "reverse_kl").all_tokens < 1e-4


def test_what_is_kept_says_its_size_and_gives_the_logits_back(
    baseline: Path, report: Report, events: Events
) -> None:
    model = load_policy(baseline)
    reference = reference_of(model, ROWS, PAD, 1024, report)
    assert events[0]["text"] == (
        f"the baseline's log-probabilities of 6 rows take {88 * 320 * 2 / 2**20:.0f} MB, "
        "and are kept"
    )
    expected, targets = logits_of(model, ROWS[2:4], PAD)
    found = reference.logits(ROWS[2:4], torch.device("cpu"))
    torch.testing.assert_close(found, expected.detach().float(), atol=2e-2, rtol=0)
    said = token_log_probs(baseline, ROWS, PAD)
    chosen = expected.float().log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    torch.testing.assert_close(
        torch.cat([said[row] for row in ROWS[2:4]]), chosen.detach(), atol=2e-2, rtol=0
    )


def test_the_noise_floor_is_small_and_not_nothing(baseline: Path, report: Report) -> None:
    model = load_policy(baseline)
    reference = reference_of(model, ROWS, PAD, 1024, report)
    assert 0 < noise_floor(model, ROWS, reference, "forward_kl") < 1e-2


def constraint_on(baseline: Path, report: Report, bound: float) -> Constraint:
    reference = reference_of(load_policy(baseline), ROWS, PAD, 1024, report)
    return Constraint(Anchor(every=2), bound, ROWS, reference)


def test_three_looks_far_above_put_the_last_weights_within_back(
    baseline: Path, candidate: Path, report: Report, events: Events
) -> None:
    constraint = constraint_on(baseline, report, 1e-3)
    policy, memory = load_policy(baseline), dict[str, Any]()
    good = {name: weight.detach().clone() for name, weight in policy.named_parameters()}
    assert not constraint.should_end(policy, 0, memory, report)
    policy.load_state_dict(load_policy(candidate).state_dict())
    for step in range(1, 6):
        assert not constraint.should_end(policy, step, memory, report)
    assert memory["above"] == 2
    constraint.should_end(policy, 6, memory, report)
    assert [event["step"] for event in events if event["event"] == "anchor"] == [0, 2, 4, 6]
    assert events[-1]["text"].endswith("weights of step 0 again")
    assert memory["above"] == 0
    for name, weight in policy.named_parameters():
        assert torch.equal(weight, good[name])


def test_what_was_never_within_goes_on(candidate: Path, baseline: Path, report: Report) -> None:
    constraint = constraint_on(baseline, report, 1e-3)
    policy, memory = load_policy(candidate), dict[str, Any]()
    before = policy.state_dict()["model.norm.weight"].clone()
    for step in range(0, 8, 2):
        constraint.should_end(policy, step, memory, report)
    assert memory["above"] == 4
    assert torch.equal(policy.state_dict()["model.norm.weight"], before)


def test_a_slip_is_forgiven(baseline: Path, candidate: Path, report: Report) -> None:
    constraint = constraint_on(baseline, report, 1e-3)
    far, near, memory = load_policy(candidate), load_policy(baseline), dict[str, Any]()
    for step, policy in enumerate((near, far, far, near, far, far)):
        constraint.should_end(policy, 2 * step, memory, report)
    assert (memory["above"], memory["within_step"]) == (2, 6)


def test_no_bound_is_never_far_above(candidate: Path, baseline: Path, report: Report) -> None:
    memory: dict[str, Any] = {}
    constraint_on(baseline, report, inf).should_end(load_policy(candidate), 0, memory, report)
    assert memory["above"] == 0


def test_the_watch_looks_as_well_and_ends_the_run(baseline: Path, report: Report) -> None:
    class Never:
        def should_end(
            self, policy: Any, step: int, memory: dict[str, Any], report: Report
        ) -> bool:
            return step == 3

    plain = constraint_on(baseline, report, 1.0)
    both = Constraint(plain.knobs, 1.0, ROWS, plain.reference, Never())
    policy = load_policy(baseline)
    looks = [both.should_end(policy, step, {}, report) for step in range(5)]
    assert looks == [False, False, False, True, False]
