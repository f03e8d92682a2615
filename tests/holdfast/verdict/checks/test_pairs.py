import numpy as np
import pytest

from holdfast.evidence.file import cluster_order, gather
from holdfast.evidence.trial import Trial, scored
from holdfast.verdict.checks.pairs import Pairs, disagreements, pair_up
from tests.support.evidence import evidence, manifest, trials


def paired(before: list[float | None], after: list[float | None], *, clusters_of: int = 1) -> Pairs:
    files = [
        gather(manifest(), trials("harm.direct", side, clusters_of=clusters_of))
        for side in (before, after)
    ]
    return pair_up("harm.direct", *files)


def test_clusters_stand_in_the_order_of_their_hash() -> None:
    pairs = paired([0.0] * 20, [1.0] * 20, clusters_of=2)
    order = [cluster[0].cluster for cluster in pairs.clusters]
    assert order == sorted(order, key=lambda name: cluster_order("harm.direct", name))
    assert order != sorted(order)


def test_a_lost_pair_is_worse_for_one_answer_and_nothing_for_the_other() -> None:
    pairs = paired([0.0, 0.0, 1.0, 1.0], [1.0, None, 0.0, None], clusters_of=4)
    assert (pairs.n, pairs.lost, pairs.flips()) == (4, 2, (1, 1))
    assert pairs.changes(lost=1.0) == pytest.approx([(0.5 + 1) / 2])
    assert pairs.changes(lost=0.0) == pytest.approx([0.5])
    assert pairs.levels(lost=1.0) == pytest.approx([0.75])
    assert pairs.levels(lost=0.0) == pytest.approx([0.25])
    assert pairs.rates() == (0.5, 0.5)


def test_unseen_items_come_first_and_at_their_worst() -> None:
    plan = {"harm.direct": {"items": 5, "stopped_at": None}}
    before = evidence("p", {"harm.direct": [0.0] * 3})
    after = evidence("c", {"harm.direct": [0.0] * 3}, plan=plan)
    pairs = pair_up("harm.direct", before, after)
    assert (pairs.n, pairs.lost, pairs.unseen) == (5, 2, 2)
    assert np.array_equal(pairs.changes(lost=1.0), [1.0, 1.0, 0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("values", "clusters_of", "exact"),
    [([0.0, 1.0], 1, True), ([0.0, None], 1, True), ([0.0, 0.5], 1, False), ([0.0, 1.0], 2, False)],
)
def test_exact_tests_are_for_binary_items_that_share_nothing(
    values: list[float | None], clusters_of: int, exact: bool
) -> None:
    assert paired(values, values, clusters_of=clusters_of).exact is exact


def test_rates_weigh_clusters_not_items() -> None:
    big = [scored("harm.direct", f"a{n}", "big", 1.0) for n in range(9)]
    small = scored("harm.direct", "b", "small", 0.0)
    file = gather(manifest(), [*big, small])
    assert pair_up("harm.direct", file, file).rates() == (0.5, 0.5)


def test_variants_of_an_item_are_pairs_of_their_own() -> None:
    told = [
        Trial(t.probe, t.item, t.cluster, t.outcome, t.badness, variant=variant)
        for t in trials("harm.direct", [0.0])
        for variant in ("plain", "story")
    ]
    file = gather(manifest(), told)
    assert pair_up("harm.direct", file, file).n == 2


def test_another_cluster_in_each_file_is_a_disagreement() -> None:
    before = gather(manifest(), [scored("harm.direct", "i", "c1", 0.0)])
    after = gather(manifest(), [scored("harm.direct", "i", "c2", 0.0)])
    found = disagreements("harm.direct", before, after, sliced=False)
    assert found == ["item i is of another cluster in each file"]
