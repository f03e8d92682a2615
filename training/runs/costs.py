"""The time and memory of a run with two objectives, beside plain fine-tuning of as many steps.

Plain fine-tuning is what its own turns on the task would make alone: the same rows, weights and
optimizer, on the same machine in the same minutes. So nothing has to be run for the comparison.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from statistics import median

from training.devices.peak import Peak, peak_memory
from training.objectives.alternation import Objective

Clock = Callable[[], float]


@dataclass(slots=True)
class Costs:
    """Seconds and peak bytes of the turns so far; `began` is before anything of the recipe's own.

    `steps` and `step_seconds` are of the run itself, what it measured between them included.
    """

    clock: Clock = time.monotonic
    measure: Callable[[], AbstractContextManager[Peak]] = peak_memory
    began: float = field(init=False)
    steps: int = 0
    step_seconds: float = 0.0
    run_seconds: float = 0.0
    task_seconds: list[float] = field(default_factory=list)
    peaks: dict[Objective, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin to count."""
        self.began = self.clock()

    @contextmanager
    def turn(self, objective: Objective) -> Iterator[None]:
        """A turn on an objective: forward and backward, and no step of the optimizer."""
        with self.measure() as peak:
            began = self.clock()
            yield
            if objective == "task":
                self.task_seconds.append(self.clock() - began)
        if peak.memory is not None:
            self.peaks[objective] = max(peak.memory, self.peaks.get(objective, 0))

    @contextmanager
    def step(self) -> Iterator[None]:
        """The gradient of one step, whatever turns and measurements it is made of."""
        began = self.clock()
        yield
        self.steps += 1
        self.step_seconds += self.clock() - began

    @contextmanager
    def run(self) -> Iterator[None]:
        """All steps with what every run does between them: clip, optimizer, report, save."""
        began = self.clock()
        yield
        self.run_seconds += self.clock() - began

    def beside_plain(self) -> dict[str, float | None]:
        """Time and memory as multiples of plain fine-tuning's; None where it had no such turn."""
        seconds: float | None = None
        if self.steps and self.task_seconds:
            between = (self.run_seconds - self.step_seconds) / self.steps
            plain = self.steps * (median(self.task_seconds) + between)
            seconds = (self.clock() - self.began) / plain if plain > 0 else None
        task = self.peaks.get("task")
        memory = max(self.peaks.values()) / task if task else None
        return {"time_beside_plain": seconds, "memory_beside_plain": memory}
