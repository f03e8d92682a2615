"""Pairs of answers as tokens, and the gradient of preferring one to the other.

Both answers of a pair follow the same prompt, which is often the longer half and is computed once
(training/passes/answers.py); logits are made at answer tokens only. The baseline's side of the loss
is a constant (training/passes/reference.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from holdfast.errors import InvalidTaskData
from holdfast.repairs.task_data import PreferencePair, Row
from training.devices.parallel import from_first_rank, gather_in_order, rank_places, total
from training.devices.processes import world
from training.objectives.losses import (
    answer_logprobs,
    log_ratio,
    margin_targets,
    preference_figures,
    preference_loss,
)
from training.passes.answers import answer_logits
from training.rows.batches import Example, cycles, example_of, refuse_unembedded

PAIRS = 8  # that are scored together


@dataclass(frozen=True, slots=True)
class Contest:
    """One tokenised pair; both answers follow the same `prompt`. `margin` is 0 where unknown."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    margin: float

    @property
    def tokens(self) -> int:
        """Tokens that go through the model, the prompt once."""
        return len(self.prompt) + len(self.chosen) + len(self.rejected)

    @property
    def examples(self) -> tuple[Example, Example]:
        """Both answers as rows, the chosen one first."""
        ours, theirs = self.prompt + self.chosen, self.prompt + self.rejected
        return Example(ours, len(self.prompt)), Example(theirs, len(self.prompt))


@dataclass(frozen=True, slots=True)
class PreferenceSettings:
    """Settings of the preference loss: DPO's beta, MMPO's gamma (or none), the padding token."""

    beta: float
    gamma: float | None
    pad: int


def tokenise_pairs(
    pairs: Sequence[PreferencePair], tokenizer: PreTrainedTokenizerBase, max_length: int, path: Path
) -> list[Contest]:
    """Tokenise pairs, cutting both answers at `max_length` tokens.

    Left out are those whose prompt fills that, and those whose answers are the same once cut; the
    caller counts them by the difference. Raises InvalidTaskData if none is left.
    """
    answered = [
        [
            example_of(Row(pair.prompt, text, "refusal", pair.line), tokenizer, max_length, path)
            for text in (pair.chosen, pair.rejected)
        ]
        for pair in pairs
    ]
    refuse_unembedded(chain.from_iterable(answered), tokenizer)
    contests = []
    for pair, (first, second) in zip(pairs, answered, strict=True):
        if first.ids != second.ids and first.completion_tokens and second.completion_tokens:
            contests.append(_contest(first, second, pair.margin or 0.0))
    if not contests:
        raise InvalidTaskData(
            f"{path}: of {len(pairs)} pairs none has two different answers within max_length "
            f"{max_length}; raise max_length"
        )
    return contests


def _contest(first: Example, second: Example, margin: float) -> Contest:
    prompt = first.prompt_tokens
    return Contest(first.ids[:prompt], first.ids[prompt:], second.ids[prompt:], margin)


def draw_contests(
    contests: Sequence[Contest], *, steps: int, pairs: int, seed: int
) -> list[list[int]]:
    """The indices of each step's contests, in cycles that are reshuffled every time round."""
    cycle = cycles(range(len(contests)), f"{seed}/pairs")
    return [[next(cycle) for _ in range(pairs)] for _ in range(steps)]


def pair_logprobs(policy: nn.Module, contests: Sequence[Contest], pad: int) -> Tensor:
    """Summed log-probabilities of both answers, in nats: [P, 2], chosen first."""
    groups = [contest.examples for contest in contests]
    logits, targets = answer_logits(policy, groups, pad)
    counts = [example.completion_tokens for group in groups for example in group]
    answer = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(targets.device)
    return answer_logprobs(logits, targets, answer, len(counts)).view(-1, 2)


def preference_losses(
    policy: nn.Module, contests: Sequence[Contest], reference: Tensor, how: PreferenceSettings
) -> tuple[Tensor, Tensor]:
    """The loss of each contest [P], in nats, and the policy's log-probabilities [P, 2].

    reference: [P, 2], the baseline's log-probabilities.
    """
    sums = pair_logprobs(policy, contests, how.pad)
    target = None
    if how.gamma is not None:
        margins = torch.tensor([contest.margin for contest in contests], device=sums.device)
        target = margin_targets(margins, how.gamma)
    return preference_loss(log_ratio(sums, reference.to(sums.device)), how.beta, target), sums


def prefer(
    policy: nn.Module,
    contests: Sequence[Contest],
    reference: Tensor,
    how: PreferenceSettings,
    rows: int,
    *,
    scale: float = 1.0,
) -> dict[str, float]:
    """Add `scale` times the gradient of the contests' mean loss; returns that loss, and figures.

    `rows` are answers that go through the model together: two make one pair, the least there is.
    """
    mine, counted = rank_places(len(contests))
    rank_contests, theirs = [contests[place] for place in mine], reference[mine]
    mean, sums = 0.0, []
    for part in pair_parts(rank_contests, max(1, rows // 2)):
        loss, part_sums = preference_losses(
            policy, [rank_contests[place] for place in part], theirs[part], how
        )
        learnt = loss[[place < counted for place in part]].sum()
        (learnt * (scale * world() / len(contests))).backward()
        mean += learnt.item() / len(contests)
        sums.append((part, part_sums.detach().cpu()))
    return {
        "loss": total(mean),
        "tokens": sum(len(contest.chosen) + len(contest.rejected) for contest in contests),
        **preference_figures(gather_in_order(_in_order(sums), len(contests)), reference, how.beta),
    }


def preference_mean(
    policy: nn.Module, contests: Sequence[Contest], reference: Tensor, how: PreferenceSettings
) -> float:
    """The contests' mean loss in nats a pair, measured without a gradient."""
    nats = 0.0
    with torch.no_grad():
        for part in pair_parts(contests, PAIRS):
            pairs = [contests[place] for place in part]
            nats += preference_losses(policy, pairs, reference[part], how)[0].sum().item()
    return from_first_rank(nats / len(contests))


def pair_parts(contests: Sequence[Contest], pairs: int) -> Iterator[list[int]]:
    """Indices of the contests in parts by length, the longest first, so that little is padding."""
    ordered = sorted(range(len(contests)), key=lambda k: contests[k].tokens, reverse=True)
    for k in range(0, len(ordered), pairs):
        yield ordered[k : k + pairs]


def _in_order(parts: Sequence[tuple[list[int], Tensor]]) -> Tensor:
    """Log-probabilities [P, 2] in the order of the contests."""
    places = [place for part, _ in parts for place in part]
    log_probs = torch.cat([sums for _, sums in parts])
    return log_probs[torch.tensor(places).argsort()]
