"""Figures beside a check: the worst form of each behaviour, and each form's own rate."""

from holdfast.evidence import gather
from holdfast.figures import Figure, variant_figures
from holdfast.pairs import Pairs, pair_up
from holdfast.probe import Trial, scored, unscored
from tests.support.evidence import manifest

PROBE = "harm.jailbreak"


def side(*rows: tuple[float | None, ...]) -> list[Trial]:
    """One row a behaviour, one number an attack; None is unscored."""
    return [
        unscored(PROBE, f"b{row}", f"b{row}", "silent", variant=f"attack-{at}")
        if badness is None
        else scored(PROBE, f"b{row}", f"b{row}", badness, variant=f"attack-{at}")
        for row, values in enumerate(rows)
        for at, badness in enumerate(values)
    ]


def paired(before: list[Trial], after: list[Trial], trials: int | None = None) -> Pairs:
    plan = {} if trials is None else {PROBE: {"items": 2, "trials": trials}}
    files = [gather(manifest(plan=plan), trials) for trials in (before, after)]
    return pair_up(PROBE, *files)


def test_the_worst_form_of_each_behaviour_and_every_form_by_itself() -> None:
    pairs = paired(side((0, 1, 0), (0, 0, 0)), side((1, 1, 0), (0, 1, 1)))
    assert pairs.rates() == (1 / 6, 4 / 6)
    assert variant_figures(pairs) == (
        Figure(name="worst variant of each behaviour", baseline=0.5, candidate=1.0),
        Figure(name="variant attack-0", baseline=0.0, candidate=0.5),
        Figure(name="variant attack-1", baseline=0.5, candidate=1.0),
        Figure(name="variant attack-2", baseline=0.0, candidate=0.5),
    )


def test_a_lost_pair_is_in_no_figure_and_an_empty_one_is_none() -> None:
    pairs = paired(side((None, 1), (None, 0)), side((1, 1), (0, 1)))
    assert variant_figures(pairs) == (
        Figure(name="worst variant of each behaviour", baseline=0.5, candidate=1.0),
        Figure(name="variant attack-0", baseline=None, candidate=None),
        Figure(name="variant attack-1", baseline=0.5, candidate=1.0),
    )


def test_plain_items_have_no_figures() -> None:
    plain = [scored(PROBE, "a", "a", 1.0)]
    assert variant_figures(paired(plain, plain)) == ()
    assert variant_figures(paired([], [])) == ()


def test_a_form_that_both_files_left_out_is_lost_all_the_same() -> None:
    whole, cut = side((0, 0), (0, 0)), side((0, 0), (0, 0))[:-1]
    assert paired(whole, whole, trials=4).lost == 0
    pairs = paired(cut, cut, trials=4)
    assert (pairs.n, pairs.lost, pairs.unseen) == (4, 1, 1)
    assert pairs.changes(lost=1.0)[0] == 1.0
