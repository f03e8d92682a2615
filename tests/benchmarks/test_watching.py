"""What the watch's benchmark makes of runs: a limit kept, one that is not, and nothing watched."""

from typing import Any

import pytest

from benchmarks.watching import LIMIT, show

PLAIN = {"wall": 100.0, "cpu": 190.0, "callback": 0.0, "looks": 0, "refusals": 0}


def record(*shares: float, refusals: int = 8) -> dict[str, dict[str, Any]]:
    """Rounds of so much more time each."""
    runs: dict[str, dict[str, Any]] = {}
    for number, share in enumerate(shares):
        runs[f"plain 256 {number}"] = PLAIN
        runs[f"watched 256 {number}"] = {
            "wall": 100 * (1 + share),
            "cpu": 190 * (1 + share),
            "callback": 100 * share,
            "looks": 22,
            "refusals": refusals,
        }
    return runs


@pytest.mark.parametrize(
    ("shares", "refusals", "within"),
    [
        ((LIMIT - 0.01, 0.5, LIMIT - 0.01), 8, True),  # the median, not the mean
        ((LIMIT + 0.01, 0.0, LIMIT + 0.01), 8, False),
        ((0.01, 0.01), 8, False),  # a round is missing
        ((), 8, False),
        ((0.0, 0.0, 0.0), 0, False),  # a model that refuses nothing is not watched
    ],
)
def test_it_is_within_the_limit_only_where_every_round_was_watched(
    shares: tuple[float, ...], refusals: int, within: bool
) -> None:
    assert show(record(*shares, refusals=refusals), 3, 256) is within
