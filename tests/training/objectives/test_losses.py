"""The supervised loss: against torch's own, under splitting, and blind to masked targets."""

from math import log
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from training.objectives.losses import completion_targets, sft_nats
from training.rows.batches import Example, collate, rows_together
from training.runs.supervised import backward
from training.weights.model import completion_logits, load_policy


@pytest.fixture
def examples() -> list[Example]:
    generator = torch.Generator().manual_seed(5)
    lengths = [(3, 9), (1, 20), (12, 13), (5, 30), (2, 4), (8, 16)]
    return [
        Example(tuple(torch.randint(3, 259, (total,), generator=generator).tolist()), prompt)
        for prompt, total in lengths
    ]


def test_uniform_logits_cost_ln_vocabulary_a_token() -> None:
    nats = sft_nats(torch.zeros(7, 320), torch.arange(7))
    assert nats.item() / 7 == pytest.approx(log(320), abs=1e-6)


def test_equals_torch_cross_entropy_with_ignore_index(
    baseline: Path, examples: list[Example]
) -> None:
    policy = load_policy(baseline).double()  # fp32 noise of the model is not the loss's
    batch = collate(examples, pad=2)
    labels = batch.ids.masked_fill(~batch.completion, -100)
    logits = policy(input_ids=batch.ids, attention_mask=batch.attention).logits
    expected = functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=-100
    )
    predicts, targets = completion_targets(batch.ids, batch.completion)
    nats = sft_nats(completion_logits(policy, batch, predicts), targets)
    assert nats.item() / len(targets) == pytest.approx(expected.item(), abs=1e-6)


def test_the_last_prompt_position_predicts_the_first_completion_token() -> None:
    batch = collate([Example((10, 11, 12, 13), prompt_tokens=2)], pad=0)
    predicts, targets = completion_targets(batch.ids, batch.completion)
    assert predicts.tolist() == [[False, True, True, False]]
    assert targets.tolist() == [12, 13]


def test_splitting_a_step_changes_neither_loss_nor_gradient(
    baseline: Path, examples: list[Example]
) -> None:
    tokens = sum(example.completion_tokens for example in examples)

    def loss_and_gradient(groups: list[list[Example]]) -> tuple[float, torch.Tensor]:
        policy = load_policy(baseline).double()
        loss = sum(backward(policy, group, 2, 1 / tokens) for group in groups) / tokens
        grads = [weight.grad.flatten() for weight in policy.parameters()]
        return loss, torch.cat(grads)

    parts = rows_together(examples, rows=4)
    assert len(parts) == 2
    whole, gradient = loss_and_gradient([examples])
    split, split_gradient = loss_and_gradient(parts)
    single, _ = loss_and_gradient([[example] for example in examples])
    assert split == pytest.approx(whole, abs=1e-6)
    assert single == pytest.approx(whole, abs=1e-6)
    torch.testing.assert_close(split_gradient, gradient, atol=1e-6, rtol=1e-4)


def test_a_masked_target_has_no_term_of_its_own() -> None:
    """With logits that ignore the context, changing a prompt token changes nothing."""
    logits = torch.randn(1, 6, 50, generator=torch.Generator().manual_seed(0))

    def loss(ids: tuple[int, ...]) -> float:
        batch = collate([Example(ids, prompt_tokens=3)], pad=0)
        predicts, targets = completion_targets(batch.ids, batch.completion)
        return sft_nats(logits[predicts], targets).item()

    assert loss((1, 2, 3, 4, 5, 6)) == loss((1, 40, 41, 4, 5, 6))
    assert loss((1, 2, 3, 4, 5, 6)) != loss((1, 2, 3, 4, 5, 7))


def test_the_loss_is_fp32_whatever_the_logits_are() -> None:
    assert sft_nats(torch.zeros(2, 8, dtype=torch.bfloat16), torch.arange(2)).dtype == torch.float32
