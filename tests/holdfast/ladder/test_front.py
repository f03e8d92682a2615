"""The front: nothing on it is beaten, everything off it is, and what is unknown cannot win."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from holdfast.ladder.front import Scores, front

COST = st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.2, 0.5]))
REPAIRS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2),
    st.builds(
        Scores,
        safety=COST,
        over_refusal=COST,
        group_forgetting=COST,
        task=COST,
        capability=COST,
        seconds=COST,
    ),
    max_size=6,
)


def beats(one: Scores, other: Scores) -> bool:
    pairs = [(a, b) for (_, a), (_, b) in zip(one, other, strict=True)]
    worse = [
        (a is None and b is not None) or ((a or 0) > (b or 0) and b is not None) for a, b in pairs
    ]
    better = [(b is None and a is not None) or (a is not None and (a < (b or 0))) for a, b in pairs]
    return not any(worse) and any(better)


@given(REPAIRS)
def test_the_front_is_what_nobody_beats(repairs: Mapping[str, Scores]) -> None:
    expected = {
        name for name, own in repairs.items() if not any(beats(o, own) for o in repairs.values())
    }
    assert front(repairs) == expected
    assert bool(expected) == bool(repairs)


def test_twins_stand_on_the_front_together_and_the_unknown_does_not_beat() -> None:
    known = Scores(safety=0.2, over_refusal=0.1)
    found = front({"a": known, "b": known, "c": Scores(safety=0.2), "d": Scores(safety=0.1)})
    assert found == {"a", "b", "d"}
