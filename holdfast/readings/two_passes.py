"""The noise floor of a checkpoint, from two passes of the same questions over it."""

from holdfast.errors import HarnessError
from holdfast.evidence.file import Evidence
from holdfast.readings.comparison import compare
from holdfast.readings.noise import ALPHA, Floor, Noise
from holdfast.stats.caps import rate_bounds


def noise_between(first: Evidence, second: Evidence) -> Noise:
    """The floor by two passes of one checkpoint; HarnessError where they are no such two."""
    found = compare(first, second)
    digests = {file.manifest.checkpoint.digest for file in (first, second)}
    if len(digests) != 1 or found.differences:
        raise HarnessError(f"the two passes differ in more than order: {found.differences}")
    floors = {
        one.probe: Floor(
            flips=(moved := one.worse + one.better + one.lost),  # a lost answer moved as well
            n=one.n,
            bound=rate_bounds(moved, one.n, ALPHA)[1],
        )
        for one in found.probes
    }
    backend = {name: str(value) for name, value in first.manifest.backend.model_dump().items()}
    return Noise(checkpoint=digests.pop(), backend=backend, probes=floors)
