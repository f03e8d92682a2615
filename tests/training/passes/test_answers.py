"""One answer whatever the layout: trees against rows of their own, family by family."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from training.passes import answers
from training.passes.answers import TREES, answer_logits, cheapest, cost
from training.rows.batches import Example
from training.weights.model import load_policy

SMALL = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
}


@pytest.fixture
def pairs() -> list[list[Example]]:
    """Three pairs that share a system turn; of one, both answers begin with the same token."""
    generator = torch.Generator().manual_seed(3)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 259, (count,), generator=generator).tolist())

    system = tokens(9)
    prompts = [system + tokens(count) for count in (2, 7, 4)]
    first = tokens(1)
    groups = [[prompt + first + tokens(5), prompt + first + tokens(12)] for prompt in prompts[:1]]
    groups += [[prompt + tokens(3), prompt + tokens(8)] for prompt in prompts[1:]]
    return [
        [Example(ids, len(prompt)) for ids in group]
        for prompt, group in zip(prompts, groups, strict=True)
    ]


def model(model_type: str, **knobs: Any) -> nn.Module:
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **SMALL | knobs)
    policy: nn.Module = AutoModelForCausalLM.from_config(config).double().eval()
    return policy


def one_by_one(policy: nn.Module, groups: Sequence[Sequence[Example]]) -> Tensor:
    """Logits of each example in a row of its own, which is never padded."""
    found = []
    for example in (example for group in groups for example in group):
        logits = policy(input_ids=torch.tensor([example.ids])).logits[0]
        found.append(logits[example.prompt_tokens - 1 : -1])
    return torch.cat(found)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", sorted(TREES))
def test_a_tree_says_what_rows_of_their_own_say(
    pairs: list[list[Example]], model_type: str, attention: str
) -> None:
    policy = model(model_type)
    policy.set_attn_implementation(attention)  # type: ignore[operator]
    trees = cheapest(policy, pairs, pad=2)
    assert trees is not None
    assert trees.ids.shape[0] == 1
    logits, targets = answer_logits(policy, pairs, pad=2)
    torch.testing.assert_close(logits, one_by_one(policy, pairs), atol=1e-6, rtol=1e-5)
    learnt = [token for group in pairs for one in group for token in one.ids[one.prompt_tokens :]]
    assert targets.tolist() == learnt


@pytest.mark.parametrize("model_type", ["gemma2", "mistral", "qwen2"])
def test_a_window_that_rows_fit_into_leaves_trees_and_another_does_not(
    pairs: list[list[Example]], model_type: str
) -> None:
    windows = {"sliding_window": 24, "use_sliding_window": True, "max_window_layers": 1}
    policy = model(model_type, **windows)
    assert max(len(one.ids) for group in pairs for one in group) <= 24
    assert (trees := cheapest(policy, pairs, pad=2)) is not None
    assert trees.ids.shape[1] > 24
    logits, _ = answer_logits(policy, pairs, pad=2)
    torch.testing.assert_close(logits, one_by_one(policy, pairs), atol=1e-6, rtol=1e-5)
    policy = model(model_type, **windows | {"sliding_window": 16})
    assert cheapest(policy, pairs, pad=2) is None
    logits, _ = answer_logits(policy, pairs, pad=2)
    torch.testing.assert_close(logits, one_by_one(policy, pairs), atol=1e-6, rtol=1e-5)


def test_an_unknown_family_is_read_row_by_row(
    baseline: Path, pairs: list[list[Example]], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load_policy(baseline)
    assert cheapest(policy, pairs, pad=2) is not None
    monkeypatch.setattr(answers, "TREES", frozenset())
    assert cheapest(policy, pairs, pad=2) is None


def test_what_shares_nothing_stays_apart_and_long_pairs_share_their_own_prompt_only(
    baseline: Path,
) -> None:
    policy = load_policy(baseline)
    strangers = [[Example((k, *range(20, 120)), 50)] for k in range(3, 7)]
    assert cheapest(policy, strangers, pad=2) is None
    long = [
        [Example((k,) * 600 + (answer,) * 40, 600) for answer in (11, 12)] for k in (3, 4, 5, 6)
    ]
    trees = cheapest(policy, long, pad=2)
    assert trees is not None
    assert trees.ids.shape == (4, 680)


def test_attention_costs_the_square_of_a_row() -> None:
    assert cost(2, 50, 64) == 2 * cost(1, 50, 64)
    assert cost(1, 1000, 64) > 2 * cost(1, 500, 64)
    assert cost(1, 300, 576) < cost(4, 100, 576)
