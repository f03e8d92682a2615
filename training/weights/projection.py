"""Drawing a policy back towards its baseline until what is shipped is within a bound.

theta(w) = (1 - w) * baseline + w * policy, rounded to the dtype that will stand on the disk: the
bound is checked on the weights that are shipped, not on those that were trained. Distance need not
grow with w all the way, so the line is scanned from the policy down in tenths, and only the tenth
in which the bound is first met is halved. At w = 0 stands the baseline itself, whose distance from
itself is 0 by definition, so there always is an answer; how little of the task it may keep is for
the gate to say.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from holdfast.repairs.plan import Plan
from training.devices.parallel import local, shard_like
from training.weights.shards import read_weights

SCANNED = 10  # equal steps from the policy back to the baseline
HALVINGS = 6  # of the step in which the bound is crossed: to a six-hundredth of the way


def largest_weight(distance: Callable[[float], float], bound: float) -> float:
    """The largest w in [0, 1], of those that are tried, at which `distance` is within `bound`.

    `distance` is not asked at 0. The last w that it is asked need not be the one returned.
    """
    above = 1.0
    for tenths in range(SCANNED, 0, -1):
        weight = tenths / SCANNED
        if distance(weight) <= bound:
            return weight if tenths == SCANNED else _bisect(distance, bound, weight, above)
        above = weight
    return _bisect(distance, bound, 0.0, above)


def _bisect(distance: Callable[[float], float], bound: float, within: float, above: float) -> float:
    for _ in range(HALVINGS):
        middle = (within + above) / 2
        if distance(middle) <= bound:
            within = middle
        else:
            above = middle
    return within


def line_to(
    policy: nn.Module, baseline: Mapping[str, Tensor], plan: Plan
) -> Callable[[float], None]:
    """A function that puts theta(w) into `policy`, as it will be read back from the disk.

    `baseline` is the whole state of its model on any device. Where the policy lies in shards, each
    process moves its own.
    """
    ends = {
        name: (local(shard_like(baseline[name].to(tensor.device), tensor)), local(tensor).clone())
        for name, tensor, _ in _stored_tensors(policy, plan)
    }

    def place(weight: float) -> None:
        with torch.no_grad():
            for name, tensor, dtype in _stored_tensors(policy, plan):
                local(tensor).copy_(torch.lerp(*ends[name], weight).to(dtype))

    return place


def _stored_tensors(policy: nn.Module, plan: Plan) -> Iterator[tuple[str, Tensor, torch.dtype]]:
    """Every floating tensor that is written, with the dtype it is written in."""
    state = policy.state_dict()
    for name, span in read_weights(plan.start_checkpoint).items():
        if span.floating is not None:
            dtype = torch.float32 if plan.store == "fp32" else span.floating
            yield name, state[name], dtype
