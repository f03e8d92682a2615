"""Resume a killed run where it was, to the same bytes.

Everything that a step changes is kept: weights that are trained, the optimizer's moments, what the
recipe and the watch remember. Which rows a step sees and what it draws hang
on the seed and the step alone, so they need no keeping. The file is replaced whole, by a rename;
one that another plan wrote is refused, because its steps would mean something else. Of several
processes the first one gathers and writes it, so it does not matter how many go on with it; to the
same bytes, as many as there were.
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.checkpoints.view_paths import without_places
from holdfast.errors import InvalidPlan
from holdfast.repairs.plan import Plan
from training.devices.parallel import from_first_rank, gather_shards, shard_like, shard_values_like
from training.devices.processes import rank, world
from training.progress import Report
from training.weights.model import trained_weights
from training.weights.output import atomic_file

STATE = "state.pt"


class Resume:
    """Saves and loads the state of one run, if the plan names a folder for it."""

    def __init__(
        self,
        plan: Plan,
        policy: nn.Module,
        optimizer: torch.optim.Optimizer,
        memory: dict[str, Any],
    ) -> None:
        self._plan, self._policy, self._optimizer, self._memory = plan, policy, optimizer, memory
        self._saved = time.monotonic()
        refuse_place(plan)
        # now, since the rows that are read are these, whatever the file holds when a state is kept
        self._digest = "" if plan.resume is None else plan_digest(plan)

    def first_step(self, report: Report) -> int:
        """Load the saved state and return the step to go on with; 0 if there is none."""
        file = self._file
        if file is None or not all_have_state(file):
            return 0
        # several would hold as many copies of it, and each needs its share alone
        state = read_state(file)
        if state["plan"] != self._digest:
            raise InvalidPlan(
                f"{file} was kept by another plan, or of other task rows; remove it to begin anew, "
                "or give the plan that was being run"
            )
        trained = dict(trained_weights(self._policy))
        with torch.no_grad():
            for name, weight in state["weights"].items():
                trained[name].copy_(shard_like(weight, trained[name]))
        self._optimizer.load_state_dict(shard_moments(state["optimizer"], list(trained.values())))
        self._memory.clear()
        self._memory.update(shard_values_like(state["memory"], trained))
        step: int = state["step"]
        report("note", text=f"going on after step {step}")
        return step

    def save(self, done: int) -> None:
        """Save the state after `done` steps, if the last save is old enough."""
        file = self._file
        if (
            file is None
            or from_first_rank(time.monotonic() - self._saved) < self._plan.save_seconds
        ):
            return
        self._saved = time.monotonic()
        state = {
            "plan": self._digest,
            "step": done,
            "weights": gather_shards(dict(trained_weights(self._policy))),
            "optimizer": gather_shards(self._optimizer.state_dict()),
            "memory": gather_shards(self._memory),
        }
        if rank() > 0:
            return
        with atomic_file(file) as partial:
            write_state(state, partial)
        self._saved = time.monotonic()

    @property
    def _file(self) -> Path | None:
        return None if self._plan.resume is None else self._plan.resume / STATE


def refuse_place(plan: Plan) -> None:
    """Raise InvalidPlan where a state could not be kept, before any step is taken."""
    place = plan.resume
    if place is not None and (place == plan.output or (place.exists() and not place.is_dir())):
        raise InvalidPlan(
            f"resume is {place}, which is the output or no folder; name a folder of its own"
        )


def read_state(file: Path) -> dict[str, Any]:
    """Read a saved state; InvalidPlan if the file is damaged."""
    try:
        state: dict[str, Any] = torch.load(
            file, weights_only=True, map_location="cpu", mmap=world() > 1
        )
    except (RuntimeError, EOFError, UnpicklingError) as error:
        raise InvalidPlan(f"{file} is damaged; remove it to begin anew") from error
    return state


def write_state(state: dict[str, Any], path: Path) -> None:
    """torch.save, raising the system's error and not torch's own where the disk fails."""
    with path.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def all_have_state(file: Path) -> bool:
    """Whether a saved state exists; InvalidPlan if the processes disagree."""
    exists = file.exists()
    if from_first_rank(exists) != exists:
        raise InvalidPlan(f"{file} is not seen by every process; name a folder that all share")
    return exists


def shard_moments(state: dict[str, Any], weights: Sequence[Tensor]) -> dict[str, Any]:
    """An optimizer's state with every moment sharded as its weight is."""
    moments = {
        place: {
            name: shard_like(value, weights[place])
            if value.shape == weights[place].shape
            else value
            for name, value in weight_moments.items()
        }
        for place, weight_moments in state["state"].items()
    }
    return {**state, "state": moments}


def will_resume(plan: Plan) -> bool:
    """Whether a killed run of the plan left a state, so that its `memory` will be brought back."""
    return plan.resume is not None and all_have_state(plan.resume / STATE)


def plan_digest(plan: Plan) -> str:
    """SHA-256 in hex of everything in a plan that changes its steps, and of the task's rows."""
    places = {"output", "reference_cache", "resume", "save_seconds"}
    rows = b"" if plan.task_data is None else plan.task_data.read_bytes()
    document = without_places(plan.model_dump_json(exclude=places))
    return hashlib.sha256(document.encode() + rows).hexdigest()
