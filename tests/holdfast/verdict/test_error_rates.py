"""Seeded simulation of whole verdicts: neither answer is wrong more often than alpha.

Under the boundary null every check changes by exactly its margin, so a pass is false; so is a fail,
since the change is not beyond it. A pass needs all four checks, which makes it rarer still; the
simulation therefore also holds three of them safe, so that one check alone decides.
"""

from collections.abc import Iterable

import numpy as np
import pytest

from holdfast.evidence.file import Evidence
from holdfast.evidence.trial import Trial
from holdfast.policy.text import parse_policy
from holdfast.verdict.decide import decide
from tests.support.evidence import manifest, trials

RUNS = 80
N = 50
ALPHA = 0.05
PROBES = {
    "harm.direct": "attack_success_rate",
    "refusal.benign": "false_refusal_rate",
    "cap.knowledge": "error_rate",
    "cap.arithmetic": "error_rate",
}
CHECKS = "\n".join(
    f"  {probe}: {{metric: {metric}, max_regression: 0.10}}" for probe, metric in PROBES.items()
)
POLICY = parse_policy(f"version: 1\nname: four\nmin_items: {N}\nchecks:\n{CHECKS}", source="four")


def drawn(rng: np.random.Generator, changes: dict[str, float], *, flips: float) -> list[Evidence]:
    """Baseline and candidate whose items flip with E[d] as given, in all four checks."""
    files: list[list[list[float]]] = [[], []]
    for change in changes.values():
        u = rng.random(N)
        share = max(flips, change)
        worse, better = u < (share + change) / 2, u > 1 - (share - change) / 2
        before = np.where(worse, 0.0, np.where(better, 1.0, (rng.random(N) < 0.2) * 1.0))
        after = np.where(worse, 1.0, np.where(better, 0.0, before))
        files[0].append(before.tolist())
        files[1].append(after.tolist())
    return [
        Evidence(manifest(name), _trials(changes, sides), (), "0" * 64)
        for name, sides in zip(("parent", "candidate"), files, strict=True)
    ]


def _trials(probes: Iterable[str], sides: list[list[float]]) -> tuple[Trial, ...]:
    return tuple(t for probe, side in zip(probes, sides, strict=True) for t in trials(probe, side))


def shares(changes: dict[str, float], *, flips: float) -> dict[str, float]:
    rng = np.random.default_rng(7)
    words = [decide(POLICY, *drawn(rng, changes, flips=flips)).verdict for _ in range(RUNS)]
    return {word: words.count(word) / RUNS for word in ("pass", "fail", "inconclusive")}


# three standard errors above alpha for so many runs
LIMIT = ALPHA + 3 * (ALPHA * (1 - ALPHA) / RUNS) ** 0.5


def test_at_the_boundary_of_all_four_checks_neither_answer_is_given() -> None:
    found = shares(dict.fromkeys(PROBES, 0.10), flips=0.12)
    assert found["pass"] <= LIMIT
    assert found["fail"] <= LIMIT


def test_one_check_at_its_boundary_is_enough_to_refuse_a_pass() -> None:
    found = shares({**dict.fromkeys(PROBES, 0.0), "harm.direct": 0.10}, flips=0.02)
    assert found["pass"] <= LIMIT
    assert found["fail"] <= LIMIT


@pytest.mark.parametrize(("change", "answer"), [(0.0, "pass"), (0.45, "fail")])
def test_the_simulation_can_tell(change: float, answer: str) -> None:
    """The bounds above would hold for a gate that never answers; this one does."""
    assert shares(dict.fromkeys(PROBES, change), flips=0.01)[answer] > 0.6
