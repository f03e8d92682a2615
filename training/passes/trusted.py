"""The trusted baseline's logits at the completion positions of the rows that a policy is held to.

It never changes, so each row is asked once, before training: its log-probabilities are kept in
fp16, together with the logarithm that normalises them, from which the logits come back. fp16 is
exact to a two-thousandth of a log-probability, which moves a KL divergence by some 1e-7 nats. They
take 2 bytes an entry of the vocabulary and position: 4 MB for 40 tokens of a vocabulary of 49,152.
Where all rows together take more than they may, the baseline stays in memory and is asked again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from training.passes.answers import answer_logits
from training.progress import Report
from training.rows.batches import Example, rows_together
from training.weights.model import load_policy

BYTES = 2  # of a kept log-probability
ROWS = 8  # that are asked together
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class RowLogProbs:
    """One row's log-probabilities [n, V] fp16, and their normalisers [n] fp32."""

    log_probs: Tensor
    normaliser: Tensor


class Reference:
    """The baseline's logits, cached or computed again; `model` is None if all are cached."""

    def __init__(
        self, model: nn.Module | None, pad: int, remembered: dict[Example, RowLogProbs]
    ) -> None:
        self._model, self.pad, self._remembered = model, pad, remembered

    def logits(self, examples: Sequence[Example], where: torch.device) -> Tensor:
        """Logits [N, V] fp32 at the N completion positions of `examples`, row after row."""
        if self._model is None:
            rows = [self._remembered[example] for example in examples]
            log_probs = torch.cat([row.log_probs for row in rows]).to(where).float()
            return log_probs + torch.cat([row.normaliser for row in rows]).to(where)[:, None]
        with torch.no_grad():
            return logits_of(self._model, examples, self.pad)[0].float()


def logits_of(model: nn.Module, examples: Sequence[Example], pad: int) -> tuple[Tensor, Tensor]:
    """A model's logits [N, V] at the completion positions of rows, and the tokens [N] there."""
    return answer_logits(model, [[example] for example in examples], pad)


def reference_of(
    model: nn.Module, examples: Iterable[Example], pad: int, megabytes: int, report: Report
) -> Reference:
    """Cache the model's log-probabilities of all rows if `megabytes` suffice; a note says which.

    Else the reference keeps `model`, and a row costs one more pass through it every time.
    """
    distinct = list(dict.fromkeys(examples))
    positions = sum(example.completion_tokens for example in distinct)
    vocabulary = model.get_output_embeddings().weight.shape[0]  # type: ignore[operator]
    needed = positions * vocabulary * BYTES / MEBIBYTE
    what = f"the baseline's log-probabilities of {len(distinct)} rows take {needed:.0f} MB"
    if needed > megabytes:
        report("note", text=f"{what}, more than {megabytes}; the baseline stays in memory instead")
        return Reference(model, pad, {})
    report("note", text=f"{what}, and are kept")
    remembered: dict[Example, RowLogProbs] = {}
    with torch.no_grad():
        for group in rows_together(distinct, ROWS):
            remembered |= zip(group, _row_log_probs(model, group, pad), strict=True)
    return Reference(None, pad, remembered)


def _row_log_probs(model: nn.Module, examples: Sequence[Example], pad: int) -> list[RowLogProbs]:
    logits = logits_of(model, examples, pad)[0].float()
    normaliser = logits.logsumexp(-1)
    log_probs = (logits - normaliser[:, None]).half().cpu()
    lengths = [example.completion_tokens for example in examples]
    pairs = zip(log_probs.split(lengths), normaliser.cpu().split(lengths), strict=True)
    return [RowLogProbs(ours.clone(), subtracted.clone()) for ours, subtracted in pairs]


def token_log_probs(folder: Path, examples: Iterable[Example], pad: int) -> dict[Example, Tensor]:
    """The baseline's log-probabilities [n] fp32 of each row's completion tokens."""
    model = load_policy(folder)
    log_probs_by_row: dict[Example, Tensor] = {}
    with torch.no_grad():
        for group in rows_together(list(dict.fromkeys(examples)), ROWS):
            logits, targets = logits_of(model, group, pad)
            log_probs = logits.float().log_softmax(-1).gather(-1, targets[:, None])[:, 0].cpu()
            lengths = [example.completion_tokens for example in group]
            log_probs_by_row |= zip(group, log_probs.split(lengths), strict=True)
    return log_probs_by_row
