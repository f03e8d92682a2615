"""What paired items show of two averages, on evidence whose truth is known."""

from collections.abc import Mapping

import pytest

from benchmarks.paired_items import Paired, of_rates, of_task, reached, shown, which_way
from holdfast.evidence.file import Evidence, gather
from holdfast.evidence.trial import Measure, Trial, scored, unscored
from tests.support.evidence import manifest

NOTHING = Paired(100, 0.2, 0.2, worse=0.6, better=0.6)


def evidence(bad: Mapping[str, bool | None], nats: Mapping[str, float] | None = None) -> Evidence:
    """Items that are bad, good or unscored (None), and rows of four tokens with their nats."""
    trials: list[Trial] = [
        unscored("harm.direct", item, item, "empty")
        if value is None
        else scored("harm.direct", item, item, float(value))
        for item, value in bad.items()
    ]
    measures = [
        Measure("task.retention", item, value, 4.0, "nats") for item, value in (nats or {}).items()
    ]
    return gather(manifest(), trials, measures)


def test_only_items_that_both_scored_are_pairs() -> None:
    before = evidence({"a": True, "b": False, "c": None, "d": True})
    after = evidence({"a": False, "b": False, "c": True, "e": True})
    found = of_rates([(before, after)], "harm.direct")
    assert (found.n, found.before, found.after) == (2, 0.5, 0.0)


def test_flips_one_way_are_shown_and_seeds_are_put_together() -> None:
    before = evidence({f"i{k}": True for k in range(4)})
    after = evidence({f"i{k}": False for k in range(4)})
    one, two = (of_rates([(before, after)] * seeds, "harm.direct") for seeds in (1, 2))
    assert (one.n, two.n) == (4, 8)
    assert two.better < 0.05 < one.better
    assert two.worse > 0.9
    assert of_rates([(after, before)] * 2, "harm.direct").worse == pytest.approx(two.better)


def test_rows_are_compared_by_nats_a_token() -> None:
    rows = {f"r{k}": 4.0 + k for k in range(8)}
    before, after = evidence({}, rows), evidence({}, {item: n - 1 for item, n in rows.items()})
    found = of_task([(before, after)])
    assert found.before - found.after == pytest.approx(0.25)
    assert found.better < 0.05 < found.worse
    assert which_way(found).startswith("better, p 0.00")
    same = of_task([(before, before)])
    assert (same.n, same.worse, same.better) == (8, 1.0, 1.0)


@pytest.mark.parametrize(
    ("worse", "better", "expected"),
    [
        (0.6, 0.01, "better"),
        (0.6, 0.03, "nothing"),  # three tests: Holm asks .0167 of the least
        (0.03, 0.6, "worse"),  # what speaks against it needs no correction
        (0.6, 0.6, "nothing"),
    ],
)
def test_better_is_corrected_and_worse_is_not(worse: float, better: float, expected: str) -> None:
    assert shown([NOTHING, Paired(50, 0.2, 0.2, worse, better), NOTHING]) == expected


def test_a_gain_for_a_loss_is_a_trade_and_no_pair_at_all_cannot_tell() -> None:
    gain, loss = Paired(9, 0, 0, 0.9, 0.001), Paired(9, 0, 0, 0.01, 0.9)
    assert shown([gain, loss, NOTHING]) == "trade"
    assert shown([gain, Paired(0, 0, 0, 1.0, 1.0), NOTHING]) == "cannot tell"


@pytest.mark.parametrize(
    ("found", "good"),
    [
        (["better", "better", "trade", "nothing"], True),
        (["better", "nothing", "nothing", "nothing"], False),
        (["better", "better", "better", "worse"], False),
        (["better", "better", "better", "cannot tell"], False),
        ([], False),
    ],
)
def test_the_target_is_two_better_and_none_worse(found: list[str], good: bool) -> None:
    assert reached(dict(enumerate(found))) == good
