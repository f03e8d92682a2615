"""The published error rates: enumerated cells by hand, and that "ours" is what the verdict does."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.deciders import CLUSTERED, TABLES, Clusters, said_of, shown
from benchmarks.false_answers import largest, size, size_with_losses
from benchmarks.power_picture import draw
from benchmarks.simulated import ClusteredCase, clusters, flip_shares, looked_at, table_chances
from holdfast.evidence.file import Evidence, cluster_order, gather
from holdfast.evidence.trial import Trial, scored, unscored
from holdfast.policy.model import GatePolicy
from holdfast.policy.text import parse_policy
from holdfast.stats.betting import betting_p
from holdfast.stats.paired import exact_p
from holdfast.stats.sides import Side
from holdfast.verdict.decide import decide
from tests.support.evidence import manifest

PROBE = "harm.direct"
N = 24
MARGIN = 0.1


def policy(*, sequential: bool = False, max_unscored: float = 0.2) -> GatePolicy:
    text = (
        f"version: 1\nname: one\nmin_items: 1\nmax_unscored: {max_unscored}\n"
        f"sequential: {str(sequential).lower()}\nchecks:\n"
        f"  {PROBE}: {{metric: attack_success_rate, max_regression: {MARGIN}}}\n"
    )
    return parse_policy(text, source="one")


def judged(changes: list[list[int | None]], *, sequential: bool = False) -> str:
    """The verdict on clusters of these changes, in the order that is fixed for them."""
    names = [f"c{number:03d}" for number in range(len(changes))]
    names.sort(key=lambda name: cluster_order(PROBE, name))
    sides: list[list[Trial]] = [[], []]
    for name, cluster in zip(names, changes, strict=True):
        for number, change in enumerate(cluster):
            place = (PROBE, f"{name}-{number}", name)
            before = float(change == -1)
            sides[0].append(scored(*place, before))
            lost = unscored(*place, "the model said nothing")
            sides[1].append(lost if change is None else scored(*place, before + change))
    files: list[Evidence] = [
        gather(manifest(name), trials, ())
        for name, trials in zip(("parent", "candidate"), sides, strict=True)
    ]
    return decide(policy(sequential=sequential), *files).verdict


def said(verdict: str) -> tuple[bool, bool]:
    return verdict == "pass", verdict == "fail"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, N), st.integers(0, N // 2), st.integers(0, 2))
def test_ours_on_tables_is_the_verdict(worse: int, better: int, lost: int) -> None:
    """At most half get better: a baseline that is bad nearly everywhere makes its check blind."""
    better = min(better, N - worse)
    lost = min(lost, N - worse - better)
    quiet = N - worse - better - lost
    kinds: list[int | None] = [*[1] * worse, *[-1] * better, *[None] * lost, *[0] * quiet]
    expected = (
        bool(shown("holdfast", N, MARGIN, 0.05, "pass")[worse + lost, better]),
        bool(shown("holdfast", N, MARGIN, 0.05, "fail")[worse, better]),
    )
    assert said(judged([[kind] for kind in kinds])) == expected


@pytest.mark.parametrize("side", ["pass", "fail"])
@pytest.mark.parametrize("better", [0, 2, 5])
def test_the_edge_of_ours_is_the_edge_of_the_verdict(side: Side, better: int) -> None:
    answers = shown("holdfast", 40, MARGIN, 0.05, side)[: 41 - better, better]
    turn = int(np.flatnonzero(np.diff(answers))[0])
    verdicts = [
        judged([[1]] * worse + [[-1]] * better + [[0]] * (40 - worse - better))
        for worse in (turn, turn + 1)
    ]
    expected = [side, "inconclusive"] if side == "pass" else ["inconclusive", side]
    assert verdicts == expected


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([-1, 0, 0, 0, 1]), min_size=2, max_size=9), min_size=1, max_size=40
    )
)
def test_ours_on_clusters_is_the_verdict(changes: list[list[int]]) -> None:
    """A pass only where the worst, every good answer turned bad, would have been shown to fail."""
    held = np.array([[place < len(cluster) for place in range(9)] for cluster in changes])
    d = np.array([[*cluster, *[0] * (9 - len(cluster))] for cluster in changes], dtype=float)
    runs, worst = Clusters(d[None], held), Clusters((held & (d >= 0)).astype(float)[None], held)
    passes, fails = (
        bool(said_of("holdfast", runs, MARGIN, 0.05, side)[0]) for side in ("pass", "fail")
    )
    could_fail = bool(said_of("holdfast", worst, MARGIN, 0.05, "fail")[0])
    assert said(judged([list(cluster) for cluster in changes])) == (passes and could_fail, fails)


@pytest.mark.parametrize("change", [0.0, 0.1, 0.4])
def test_ours_at_the_looks_is_the_verdict(change: float) -> None:
    """The last look is the whole suite: the betting test of everything, looked at before or not."""
    paths = looked_at(60, MARGIN, change, change + 0.05, runs=2000, seed=3)
    assert paths.sizes == (40, 60)
    rng = np.random.default_rng(3)
    u = rng.random((2000, 60))
    up, down = change + 0.025, 0.025
    for run in range(12):
        d = (u[run] < up).astype(int) - (u[run] > 1 - down)
        at_the_end = tuple(bool(paths.log_p[s][run, -1] <= np.log(0.05)) for s in ("pass", "fail"))
        assert said(judged([[int(one)] for one in d], sequential=True)) == at_the_end
        for look, size_then in enumerate(paths.sizes):
            x = (d[:size_then] + 1) / 2
            p = betting_p(x, (MARGIN + 1) / 2, side="fail")
            assert paths.log_p["fail"][run, look] == pytest.approx(np.log(p))


@pytest.mark.parametrize("decider", TABLES)
@pytest.mark.parametrize("side", ["pass", "fail"])
def test_answers_follow_the_change(decider: str, side: Side) -> None:
    """Nothing but zeros of 40 passes at a margin of .2; everything worse fails."""
    answers = shown(decider, 40, 0.2, 0.05, side)
    assert answers[0, 0] == pytest.approx(float(side == "pass"))
    assert answers[40, 0] == pytest.approx(float(side == "fail"))
    assert ((answers >= 0) & (answers <= 1 + 1e-9)).all()


def test_chances_of_tables_by_hand() -> None:
    chances = table_chances(5, change=0.1, psi=0.3)
    assert chances.sum() == pytest.approx(1)
    assert chances[2, 1] == pytest.approx(comb(5, 2) * comb(3, 1) * 0.2**2 * 0.1 * 0.7**2)


def test_the_bootstrap_is_the_sum_over_all_resamples() -> None:
    """Of four pairs, one worse: all 4^4 resamples counted."""
    d = np.array([1, 0, 0, 0])
    means = [d[list(drawn)].mean() for drawn in product(range(4), repeat=4)]
    for margin in (0.3, 0.5, 0.6, 0.9):
        beyond = float(np.mean([mean >= margin for mean in means]))
        assert shown("bootstrap", 4, margin, 0.05, "pass")[1, 0] == (beyond <= 0.05)
        assert shown("bootstrap", 4, margin, 0.4, "pass")[1, 0] == (beyond <= 0.4)


@pytest.mark.parametrize("side", ["pass", "fail"])
def test_the_false_answers_of_a_cell_counted_table_by_table(side: Side) -> None:
    n, margin = 14, 0.1
    tables = [(worse, better) for worse in range(n + 1) for better in range(n + 1 - worse)]
    wrong = [table for table in tables if exact_p(*table, n, margin, side=side) <= 0.05]
    most = 0.0
    for psi in flip_shares(margin):
        up, down = (psi + margin) / 2, (psi - margin) / 2
        chances = [
            comb(n, w) * comb(n - w, b) * up**w * down**b * max(0.0, 1 - psi) ** (n - w - b)
            for w, b in wrong
        ]
        most = max(most, sum(chances))
    assert size(n, margin, side)["holdfast"] == pytest.approx(most, abs=1e-12)
    assert most <= 0.05


FALSE_ANSWERS = {  # of 40 pairs at a margin of .05: as published, in the third digit
    "pass": {"holdfast": 0.048, "tango": 0.052, "wald": 0.1285, "bootstrap": 0.1285, "bca": 0.1285},
    "fail": {"holdfast": 0.048, "tango": 0.073, "wald": 0.076, "bootstrap": 0.049, "bca": 0.048},
}


@pytest.mark.parametrize("side", ["pass", "fail"])
def test_published_cells(side: Side) -> None:
    found = size(40, 0.05, side)
    for decider, chance in FALSE_ANSWERS[side].items():
        assert found[decider] == pytest.approx(chance, abs=5e-4)


def test_the_largest_is_looked_for_over_the_flips() -> None:
    always = np.ones((7, 7))
    assert largest({"always": always}, 6, 0.1)["always"] == pytest.approx(1)


def test_losing_the_worse_pairs_gains_nothing() -> None:
    whole = size(40, 0.1, "pass")
    hidden = size_with_losses(40, 0.1, 2, "pass", "worse")
    assert (hidden["holdfast"] or 0) <= (whole["holdfast"] or 0) + 1e-9
    assert (hidden["wald"] or 0) > (whole["wald"] or 0)


@pytest.mark.parametrize("graded", [False, True])
def test_clusters_change_by_what_they_should(graded: bool) -> None:
    case = ClusteredCase(40, alike=0.5, psi=0.3, graded=graded)
    drawn = next(clusters(case, 0.05, 2000, seed=1))
    assert drawn.means.mean() == pytest.approx(0.05, abs=0.004)
    assert sorted(set(drawn.held.sum(axis=1))) == list(range(2, 10))
    assert drawn.items.shape == (2000, drawn.held.sum())
    both = np.corrcoef(drawn.changes[..., 0].ravel(), drawn.changes[..., 1].ravel())[0, 1]
    assert both == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("decider", CLUSTERED)
def test_deciders_of_clusters_tell_far_from_near(decider: str) -> None:
    case = ClusteredCase(100, alike=0.2, psi=0.1)
    same, worse = (next(clusters(case, change, 2000, seed=2)) for change in (0.0, 0.4))
    for side, far, near in (("pass", same, worse), ("fail", worse, same)):
        assert said_of(decider, far, 0.15, 0.05, side).mean() > 0.9  # type: ignore[arg-type]
        assert said_of(decider, near, 0.15, 0.05, side).mean() < 0.02  # type: ignore[arg-type]


def test_the_picture_has_a_line_for_each() -> None:
    chances = dict.fromkeys([*TABLES, "sequential"], 0.5)
    at = "n 280, margin 0.05"
    record = {
        f"power: pass, {at}, unchanged, flips 0.1": chances,
        f"power: fail, {at}, 0.2 worse": chances,
    }
    picture = draw(record, [0.1], [0.2])
    assert picture.count("<path") == 2 * 7
    assert "prefers-color-scheme:dark" in picture
