"""The order of the rungs after other ladders: what has repaired goes first, by what it cost."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ladder.history import in_order, past_of
from holdfast.ladder.rungs import LADDER, Confirm, Make, Past, Resources, Rung, SplitResult, Try
from holdfast.ladder.steps import next_step

EVERYTHING = frozenset(rung.recipe for rung in LADDER)
PASS, LOST = SplitResult("pass", doubt=0.0005), SplitResult("fail", ("harm.direct",))
NAMES = [rung.name for rung in LADDER]
PASTS = st.dictionaries(
    st.sampled_from(NAMES), st.builds(Past, st.just(4), st.integers(0, 4), st.floats(1, 1e4))
)


def test_tries_are_added_up_by_their_rung() -> None:
    slow = Rung("rehearsal")
    found = past_of(
        [
            Try("a", slow, seconds=300.0, screen=PASS, confirm=PASS),
            Try("b", slow, seconds=100.0, screen=PASS, confirm=LOST),
            Try("c", slow, seconds=200.0, screen=PASS),
            Try("d", Rung("ptst"), seconds=60.0, error="it broke"),
        ]
    )
    assert found == {"rehearsal": Past(3, 1, 600.0), "ptst": Past(1, 0, 60.0)}


def test_without_a_repair_the_ladder_is_climbed_as_it_stands() -> None:
    assert in_order(LADDER, {}) == list(LADDER)
    assert in_order(LADDER, {"rehearsal": Past(3, 0, 900.0)}) == list(LADDER)


def test_what_has_repaired_goes_first_by_its_seconds_for_each_repair() -> None:
    past = {"rehearsal": Past(2, 2, 720.0), "kl_anchor": Past(4, 1, 1600.0), "ptst": Past(9)}
    names = [rung.name for rung in in_order(LADDER, past)]
    assert names[:2] == ["rehearsal", "kl_anchor"]
    assert names[2:] == [name for name in NAMES if name not in {"rehearsal", "kl_anchor"}]


@given(st.lists(st.tuples(st.integers(1, 4), st.floats(1, 900)), min_size=2, max_size=4))
def test_no_other_order_takes_less_time_on_average(rates: list[tuple[int, float]]) -> None:
    """Against every order, for rungs that hold independently as often as they did."""
    rungs = LADDER[: len(rates)]
    past = {r.name: Past(4, n, 4 * each) for r, (n, each) in zip(rungs, rates, strict=True)}

    def seconds(order: list[Rung]) -> float:
        total, unrepaired = 0.0, 1.0
        for rung in order:
            total += unrepaired * past[rung.name].seconds / past[rung.name].tries
            unrepaired *= 1 - past[rung.name].repairs / past[rung.name].tries
        return total

    best = min(seconds(list(order)) for order in permutations(rungs))
    assert seconds(in_order(rungs, past)) == pytest.approx(best)


def climbed(good: set[str], past: dict[str, Past]) -> str | None:
    """The recipe that a ladder ends with, where these rungs pass and the others do not."""
    here = Resources(EVERYTHING, task_data=True, candidates=99, seconds_remaining=3600.0, past=past)
    tries: list[Try] = []
    while isinstance(step := next_step(tries, here), (Make, Confirm)):
        if isinstance(step, Make):
            asked = PASS if step.rung.name in good else LOST
            tries.append(Try(step.rung.name, step.rung, screen=asked))
        else:
            tries = [t if t.id != step.id else Try(t.id, t.rung, confirm=PASS) for t in tries]
    return step.repair  # type: ignore[union-attr]


@given(st.sets(st.sampled_from(NAMES)), PASTS)
def test_no_repair_is_lost_to_another_order(good: set[str], past: dict[str, Past]) -> None:
    """One may be won: which ratios are worth their own try hangs on the averages before it."""
    found = climbed(good, past)
    assert found is not None or climbed(good, {}) is None
    assert found is None or found in good
