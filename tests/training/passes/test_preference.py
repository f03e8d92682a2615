"""Preference loss: published numbers, identities, finite differences; pairs as tokens."""

from collections.abc import Callable
from math import log
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from holdfast.errors import InvalidTaskData
from holdfast.repairs.task_data import PreferencePair
from training.objectives.losses import (
    answer_logprobs,
    completion_targets,
    log_ratio,
    margin_targets,
    nats_weights,
    preference_figures,
    preference_loss,
    sft_nats,
)
from training.passes.preference import (
    Contest,
    PreferenceSettings,
    draw_contests,
    pair_logprobs,
    prefer,
    preference_mean,
    tokenise_pairs,
)
from training.rows.batches import Example, collate
from training.weights.model import completion_logits, load_policy, load_tokenizer

POLICY = torch.tensor([[-12.0, -14.5], [-30.0, -28.0], [-5.5, -9.0]])
REFERENCE = torch.tensor([[-12.5, -13.0], [-31.0, -29.5], [-6.0, -7.0]])
DPO = PreferenceSettings(beta=0.1, gamma=None, pad=2)


@pytest.fixture
def contests() -> list[Contest]:
    generator = torch.Generator().manual_seed(3)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 259, (count,), generator=generator).tolist())

    sizes = [(7, 3, 12), (2, 9, 1), (11, 4, 4), (5, 20, 8), (3, 2, 30)]
    return [
        Contest(tokens(prompt), tokens(chosen), tokens(rejected), margin=float(k))
        for k, (prompt, chosen, rejected) in enumerate(sizes)
    ]


def test_the_published_numbers() -> None:
    h = log_ratio(POLICY, REFERENCE)
    assert h.tolist() == pytest.approx([2, -0.5, 2.5])
    losses = preference_loss(h, 0.1)
    assert losses.tolist() == pytest.approx([0.598139, 0.718460, 0.575939], abs=1e-6)
    assert losses.mean().item() == pytest.approx(0.630846, abs=1e-6)


def test_a_policy_that_is_its_reference_loses_ln_2_and_earns_nothing() -> None:
    assert preference_loss(log_ratio(POLICY, POLICY), 0.1).tolist() == pytest.approx([log(2)] * 3)
    figures = preference_figures(POLICY, POLICY, 0.1)
    assert figures == {"chosen_reward": 0, "rejected_reward": 0, "accuracy": 0, "margin": 0}


def test_swapped_answers_and_shifted_sums() -> None:
    h = torch.linspace(-8, 8, 33)
    difference = preference_loss(h, 0.3) - preference_loss(-h, 0.3)
    torch.testing.assert_close(difference, -0.3 * h)
    shifted = log_ratio(POLICY + 3.25, REFERENCE + 3.25)
    torch.testing.assert_close(shifted, log_ratio(POLICY, REFERENCE))


@pytest.mark.parametrize("target", [None, 0.5, 0.8, 1.0])
def test_the_gradient_is_that_of_finite_differences(target: float | None) -> None:
    h = torch.linspace(-5, 5, 11, dtype=torch.float64, requires_grad=True)
    soft = None if target is None else torch.full_like(h, target)
    assert torch.autograd.gradcheck(lambda one: preference_loss(one, 0.4, soft), h)
    if target is None:
        preference_loss(h, 0.4).sum().backward()
        torch.testing.assert_close(h.grad, -0.4 * torch.sigmoid(-0.4 * h.detach()))


def test_a_margin_is_matched_and_not_driven_to_infinity() -> None:
    beta, p = 0.2, margin_targets(torch.tensor([2.0], dtype=torch.float64), 0.3)
    h = torch.tensor([0.6 / beta], dtype=torch.float64, requires_grad=True)  # beta h = gamma margin
    loss = preference_loss(h, beta, p)
    loss.sum().backward()
    assert loss.item() == pytest.approx(0.650094, abs=1e-6)  # the entropy of p
    assert h.grad is not None
    assert h.grad.item() == pytest.approx(0, abs=1e-12)
    grid = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    assert grid[preference_loss(grid, beta, p).argmin()].item() * beta == pytest.approx(
        0.6, abs=3e-3
    )


def test_certain_margins_are_dpo_and_undecided_ones_pull_to_nought() -> None:
    h = torch.linspace(-5, 5, 11)
    torch.testing.assert_close(preference_loss(h, 0.3, torch.ones(11)), preference_loss(h, 0.3))
    undecided = preference_loss(h, 0.3, torch.full((11,), 0.5))
    assert h[undecided.argmin()].item() == 0
    assert undecided.min().item() == pytest.approx(log(2))


def test_three_reductions() -> None:
    parts = [(2, 10), (1, 30)]
    nats = [25.0, 45.0]

    def loss(weights: list[float]) -> float:
        return sum(w * n for w, n in zip(weights, nats, strict=True))

    assert loss(nats_weights(parts, "token_mean_global")) == pytest.approx(70 / 40)
    assert loss(nats_weights(parts, "token_mean_batch")) == pytest.approx((2.5 + 1.5) / 2)
    assert loss(nats_weights(parts, "seq_sum_mean")) == pytest.approx(70 / 3)


def apart(policy: nn.Module, contest: Contest) -> list[Tensor]:
    """Log-probabilities of both answers, each in a row of its own."""
    sums = []
    for answer in (contest.chosen, contest.rejected):
        batch = collate([Example(contest.prompt + answer, len(contest.prompt))], pad=2)
        predicts, targets = completion_targets(batch.ids, batch.completion)
        sums.append(-sft_nats(completion_logits(policy, batch, predicts), targets))
    return sums


def test_the_sums_are_those_of_answers_in_rows_of_their_own(
    baseline: Path, contests: list[Contest]
) -> None:
    policy = load_policy(baseline).double()  # rounding of the model is not the layout's
    expected = torch.stack([torch.stack(apart(policy, contest)) for contest in contests])
    torch.testing.assert_close(
        pair_logprobs(policy, contests, pad=2), expected, atol=1e-5, rtol=1e-6
    )


def test_the_gradient_is_the_same_together_apart_and_in_parts(
    baseline: Path, contests: list[Contest]
) -> None:
    policy = load_policy(baseline).double()
    reference = pair_logprobs(policy, contests, pad=2).detach() + 0.5 * torch.randn(
        5, 2, generator=torch.Generator().manual_seed(0)
    )

    def gradient() -> Tensor:
        grads = [weight.grad.flatten() for weight in policy.parameters() if weight.grad is not None]
        policy.zero_grad()
        return torch.cat(grads)

    sums = torch.stack([torch.stack(apart(policy, contest)) for contest in contests])
    loss = preference_loss(log_ratio(sums, reference), 0.1).mean()
    loss.backward()
    expected = gradient()
    for rows in (1, 4, 100):
        figures = prefer(policy, contests, reference, DPO, rows)
        assert figures["loss"] == pytest.approx(loss.item(), abs=1e-6)
        torch.testing.assert_close(gradient(), expected, atol=1e-6, rtol=1e-4)
    assert figures["tokens"] == sum(len(one.chosen) + len(one.rejected) for one in contests)
    assert figures["accuracy"] == preference_figures(sums, reference, 0.1)["accuracy"]
    assert preference_mean(policy, contests, reference, DPO) == pytest.approx(loss.item(), abs=1e-6)


def test_margins_reach_the_loss(baseline: Path, contests: list[Contest]) -> None:
    policy = load_policy(baseline).double()
    reference = pair_logprobs(policy, contests[:1], pad=2).detach()
    margins = PreferenceSettings(beta=0.1, gamma=1.0, pad=2)
    plain = prefer(policy, contests[:1], reference, DPO, 8)
    policy.zero_grad()
    undecided = prefer(policy, contests[:1], reference, margins, 8)  # its margin is 0
    assert plain["loss"] == pytest.approx(undecided["loss"], abs=1e-5)
    assert all(weight.grad.abs().max() < 1e-5 for weight in policy.parameters())


def test_answer_sums_are_not_means() -> None:
    logits = torch.zeros(5, 8)
    sums = answer_logprobs(logits, torch.arange(5), torch.tensor([0, 0, 0, 1, 1]), 2)
    assert sums.tolist() == pytest.approx([-3 * log(8), -2 * log(8)])


def test_pairs_become_tokens_with_one_prompt_for_both(baseline: Path) -> None:
    tokenizer = load_tokenizer(baseline)
    (contest,) = tokenise_pairs(
        [PreferencePair("a?", "No.", "Yes!", 0.5, 1)], tokenizer, 96, Path("f")
    )
    assert tokenizer.decode(contest.prompt).endswith("<|im_start|>assistant\n")
    assert tokenizer.decode(contest.chosen) == "No.<|im_end|>"
    assert tokenizer.decode(contest.rejected) == "Yes!<|im_end|>"
    assert contest.margin == 0.5


def test_pairs_that_cannot_be_told_apart_are_left_out(baseline: Path) -> None:
    tokenizer = load_tokenizer(baseline)
    same = PreferencePair("a?", "x" * 90 + "y", "x" * 90 + "z", None, 1)
    long = PreferencePair("x" * 200, "No.", "Yes.", None, 2)
    good = PreferencePair("a?", "No.", "Yes.", None, 3)
    assert len(tokenise_pairs([same, long, good], tokenizer, 60, Path("f"))) == 1
    with pytest.raises(InvalidTaskData, match="of 2 pairs none has two different answers"):
        tokenise_pairs([same, long], tokenizer, 60, Path("f"))


def test_draws_go_round_and_a_longer_run_begins_like_a_shorter_one(
    contests: list[Contest],
) -> None:
    draw: Callable[[int], list[list[int]]] = lambda steps: draw_contests(  # noqa: E731
        contests, steps=steps, pairs=3, seed=1
    )
    assert draw(10)[:4] == draw(4)
    flat = [place for step in draw(5) for place in step]
    assert sorted(flat) == sorted(list(range(5)) * 3)


def test_a_label_that_is_wrong_one_time_in_ten_gives_conservative_dpos_figure() -> None:
    """A soft target of .9, on the pairs whose plain mean is .630846."""
    h = torch.tensor([2.0, -0.5, 2.5])
    assert preference_loss(h, 0.1).mean().item() == pytest.approx(0.630846, abs=1e-6)
    soft = preference_loss(h, 0.1, torch.full((3,), 0.9))
    assert soft.mean().item() == pytest.approx(0.644179, abs=1e-6)
