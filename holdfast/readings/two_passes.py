"""The noise floor of a checkpoint, from two passes of the same questions over it.

Apart from what keeps it (holdfast/readings/noise.py), so that a command that shows a verdict, and
any floor beside it, loads no statistics.
"""

from holdfast.errors import HarnessError
from holdfast.evidence.file import Evidence
from holdfast.readings.comparison import compare
from holdfast.readings.noise import ALPHA, Floor, Noise
from holdfast.stats.caps import rate_bounds


def noise_between(first: Evidence, second: Evidence) -> Noise:
    """The floor by two passes of one checkpoint; HarnessError where they are no such two."""
    comparison = compare(first, second)
    digests = {file.manifest.checkpoint.digest for file in (first, second)}
    if len(digests) != 1 or comparison.differences:
        raise HarnessError(f"the two passes differ in more than order: {comparison.differences}")
    floors = {
        change.probe: Floor(
            # a lost answer moved as well
            flips=(moved := change.worse + change.better + change.lost),
            n=change.n,
            bound=rate_bounds(moved, change.n, ALPHA)[1],
        )
        for change in comparison.probes
    }
    backend = {name: str(value) for name, value in first.manifest.backend.model_dump().items()}
    return Noise(checkpoint=digests.pop(), backend=backend, probes=floors)
