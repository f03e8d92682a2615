"""One model in memory whose weights are set in place to any average of two checkpoints.

Both searches for ratios (training/merging/simplex_search.py and gradient_search.py) try averages
so: both checkpoints are streamed into the policy, a tensor at a time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from holdfast.errors import NotBuilt
from holdfast.repairs.plan import Plan
from training.merging.averaging import average
from training.merging.pairing import Pair
from training.merging.streaming import read_alike
from training.weights.model import load_policy, stored_weights


@dataclass(frozen=True, slots=True)
class Mixture:
    """A policy, its own tensors by the names of the files, and the two that it is mixed of."""

    policy: nn.Module
    state: Mapping[str, Tensor]
    pair: Pair
    folders: tuple[Path, Path]

    @torch.no_grad()
    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Put the average with these weights of the candidate into the policy."""
        for name, (baseline, candidate) in self.alike():
            if name in weights and baseline.is_floating_point():
                into = self.state[name]
                average(baseline.to(into.device), candidate.to(into.device), weights[name], into)

    def alike(self) -> Iterator[tuple[str, list[Tensor]]]:
        """Every tensor by name, as baseline and candidate store it."""
        return read_alike(self.folders, (self.pair.baseline, self.pair.candidate))


def mixture_of(pair: Pair, plan: Plan, candidate: Path) -> Mixture:
    """The baseline as a policy whose weights can be set; NotBuilt where loading packs tensors."""
    policy = load_policy(plan.baseline)
    state = weights_in_place(policy)
    return Mixture(policy, state, pair, (plan.baseline, candidate))


def weights_in_place(policy: nn.Module) -> dict[str, Tensor]:
    """The policy's own tensors by the names of the files; NotBuilt where loading changes more."""
    state = stored_weights(policy)
    policy_addresses = {tensor.data_ptr() for tensor in policy.state_dict().values()}
    if packed := [
        name for name, tensor in state.items() if tensor.data_ptr() not in policy_addresses
    ]:
        raise NotBuilt(
            f"{packed[0]!r} is packed with others when transformers loads it, so ratios cannot be "
            "tried in place; give hma.ratios"
        )
    return state
