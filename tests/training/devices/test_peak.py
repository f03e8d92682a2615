"""The peak of a block: what was held in it, and not what was held before."""

import sys

import pytest
import torch

from training.devices.peak import peak_memory, resident_bytes

MEGABYTES = 128

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no /proc")


def held(megabytes: int) -> int:
    """The peak of a block that holds so much for a while."""
    with peak_memory() as peak:
        kept = torch.ones(megabytes << 18)  # 4 bytes each
        for _ in range(20):
            kept += 1
    assert peak.memory is not None
    return peak.memory


def test_a_peak_is_of_its_own_block() -> None:
    small, large, again = held(1), held(MEGABYTES), held(1)
    assert (large - small) / 2**20 == pytest.approx(MEGABYTES, rel=0.2)
    assert abs(again - small) / 2**20 < MEGABYTES / 3


def test_a_block_that_breaks_ends_its_watcher() -> None:
    with pytest.raises(ZeroDivisionError), peak_memory() as peak:
        _ = 1 / 0
    assert peak.memory is None or peak.memory > 0
    assert (resident_bytes() or 0) > 0
