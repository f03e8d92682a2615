from dataclasses import replace

import numpy as np
import pytest

from holdfast.evidence.file import cluster_order, gather
from holdfast.evidence.trial import Trial, scored
from holdfast.verdict.checks.lost import ANY, NO_BETTER, NO_WORSE
from holdfast.verdict.checks.pairs import Pairs, TrialPair, disagreements, every_form, pair_up
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
    assert pairs.changes(ANY).high == pytest.approx([(0.5 + 1) / 2])
    assert pairs.changes(NO_BETTER).low == pytest.approx([0.5])
    assert pairs.levels(ANY).high == pytest.approx([0.75])
    assert pairs.levels(NO_BETTER).low == pytest.approx([0.25])
    assert pairs.rates() == (0.5, 0.5)


def test_unseen_items_have_no_place_and_may_be_at_their_worst() -> None:
    plan = {"harm.direct": {"items": 5, "stopped_at": None}}
    before = evidence("p", {"harm.direct": [0.0] * 3})
    after = evidence("c", {"harm.direct": [0.0] * 3}, plan=plan)
    pairs = pair_up("harm.direct", before, after)
    assert (pairs.n, pairs.lost, pairs.unseen) == (5, 2, 2)
    changes, levels = pairs.changes(ANY), pairs.levels(NO_BETTER)
    assert np.array_equal(changes.low, [0.5] * 3)
    assert (changes.unplaced, changes.floor, changes.ceiling) == (2, 0.0, 1.0)
    assert (levels.unplaced, levels.floor, levels.ceiling) == (2, 0.0, 1.0)
    assert (pairs.changes(NO_BETTER).floor, pairs.changes(NO_WORSE).ceiling) == (0.5, 0.5)


def test_flips_that_lie_between_are_counted_where_badness_is_yes_or_no() -> None:
    sides: list[float | None] = [0.0, 0.0, None, 1.0]
    pairs = paired(sides, [0.0, None, None, None], clusters_of=2)
    flips = dict(zip([c[0].cluster for c in pairs.clusters], pairs.changes(ANY).steps, strict=True))
    assert flips == {"c0000": 1, "c0001": 4}
    assert not replace(pairs, graded=True).changes(ANY).steps.any()
    assert not replace(pairs, fractions=True).changes(ANY).steps.any()
    halves = paired([0.5, 0.0], [0.0, None], clusters_of=2)
    assert not halves.levels(ANY).steps.any()


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


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_grade_on_either_side_takes_the_exact_tests_away(side: str) -> None:
    grades: list[float | None] = [0.0, 0.5]
    plain: list[float | None] = [0.0, 1.0]
    pairs = paired(grades, plain) if side == "before" else paired(plain, grades)
    assert (pairs.yes_or_no, pairs.exact) == (False, False)
    assert paired(plain, plain).yes_or_no


def test_pairs_of_a_run_that_may_stop_or_of_grades_have_no_exact_tests() -> None:
    pair = TrialPair("i", "plain", "c", "a", 0.0, 1.0)
    pairs = Pairs((pair, replace(pair, item="j", cluster="d", group="b")), unseen=3)
    assert pairs.exact
    for marked in (replace(pairs, sequential=True), replace(pairs, graded=True)):
        parts = (marked.only("a"), marked.without("a"))
        assert not any(part.exact for part in (marked, *parts))
        assert [(part.n, part.unseen) for part in parts] == [(1, 0), (1, 0)]
        assert [part.pairs[0].group for part in parts] == ["a", "b"]


def test_at_its_worst_every_answer_is_bad_and_only_the_baseline_can_lose_one() -> None:
    sides = ((0.0, 0.0), (1.0, 0.0), (0.0, None), (None, 0.0))
    pairs = Pairs(
        tuple(
            TrialPair(f"i{at}", "plain", f"c{at}", "ab"[at % 2], *side)
            for at, side in enumerate(sides)
        )
    )
    assert [pair.after for pair in pairs.at_worst().pairs] == [1.0, 1.0, 1.0, 1.0]
    assert [pair.after for pair in pairs.at_worst("a").pairs] == [1.0, 1.0, 1.0, None]
    assert [pair.after for pair in pairs.at_worst("b").pairs] == [0.0, 1.0, 0.0, 1.0]
    assert (pairs.at_worst().lost, pairs.lost, pairs.groups) == (1, 2, ("a", "b"))


@pytest.mark.parametrize(("lost", "too_many"), [(0, False), (2, False), (3, True)])
def test_a_share_of_the_pairs_may_be_lost_and_no_more(lost: int, *, too_many: bool) -> None:
    pairs = paired([0.0] * 100, [*[None] * lost, *[0.0] * (100 - lost)])
    assert pairs.too_many_lost(0.02) is too_many
    assert replace(pairs, unseen=5).too_many_lost(0.02)
    assert not Pairs(()).too_many_lost(0.0)


def test_clusters_that_differ_in_size_are_planned_for_as_the_largest() -> None:
    asked = [scored("harm.direct", f"i{n}", f"c{n // 3}", 0.0) for n in range(7)]
    plan = {"harm.direct": {"items": 10}}
    files = [gather(manifest(name, plan=plan), asked) for name in ("p", "c")]
    stopping = every_form("harm.direct", *files, sequential=True)
    assert (stopping.planned, stopping.independent, stopping.unseen) == (3, 3, 3)
    fixed = every_form("harm.direct", *files)
    assert (fixed.planned, fixed.independent) == (0, 3)
    nothing = gather(manifest("e", plan=plan))
    assert every_form("harm.direct", nothing, nothing, sequential=True).planned == 10


def test_forms_of_one_item_are_one_item_of_a_plan() -> None:
    plan = {"harm.direct": {"items": 6}}
    asked = [
        scored("harm.direct", f"i{n}", f"c{n // 2}", 0.0, variant=variant)
        for n in range(4)
        for variant in ("plain", "story")
    ]
    files = [gather(manifest(name, plan=plan), asked) for name in ("p", "c")]
    pairs = every_form("harm.direct", *files, sequential=True)
    assert (len(pairs.pairs), pairs.unseen, pairs.planned) == (8, 2, 3)


@pytest.mark.parametrize(("trials_planned", "unseen"), [(None, 0), (6, 0), (9, 3)])
def test_up_to_its_stop_a_run_must_hold_every_form(trials_planned: int | None, unseen: int) -> None:
    names = sorted((f"c{n}" for n in range(8)), key=lambda name: cluster_order("harm.direct", name))
    plan = {"harm.direct": {"items": 16, "stopped_at": 3, "trials": trials_planned}}
    asked = [
        scored("harm.direct", f"{name}-{n}", name, 0.0) for name in names[:5] for n in range(2)
    ]
    files = [gather(manifest(name, plan=plan), asked) for name in ("p", "c")]
    pairs = every_form("harm.direct", *files, sequential=True)
    assert [cluster[0].cluster for cluster in pairs.clusters] == names[:3]
    assert (len(pairs.pairs), pairs.unseen, pairs.planned) == (6, unseen, 8)


def test_a_plan_of_a_run_that_stopped_elsewhere_says_nothing_of_the_forms_up_to_here() -> None:
    names = sorted((f"c{n}" for n in range(8)), key=lambda name: cluster_order("harm.direct", name))
    asked = [scored("harm.direct", name, name, 0.0) for name in names]
    early = {"items": 8, "stopped_at": 3, "trials": 3}
    late = {"items": 8, "stopped_at": 7, "trials": 7}
    files = [
        gather(manifest(name, plan={"harm.direct": plan}), asked)
        for name, plan in (("p", early), ("c", late))
    ]
    assert every_form("harm.direct", *files, sequential=True).unseen == 0


def test_clusters_that_a_stop_counts_and_nobody_has_are_unseen() -> None:
    plan = {"harm.direct": {"items": 8, "stopped_at": 5}}
    asked = [scored("harm.direct", f"i{n}", f"c{n // 2}", 0.0) for n in range(6)]
    files = [gather(manifest(name, plan=plan), asked) for name in ("p", "c")]
    assert every_form("harm.direct", *files, sequential=True).unseen == 2


def test_items_of_a_cluster_stand_by_name_whatever_the_files_order() -> None:
    asked = [scored("harm.direct", name, "c", value) for name, value in (("b", 1.0), ("a", 0.0))]
    files = [replace(gather(manifest(name), asked), trials=tuple(asked)) for name in ("p", "c")]
    assert [pair.item for pair in every_form("harm.direct", *files).pairs] == ["a", "b"]


def test_contradictions_are_found_on_every_item_of_either_file() -> None:
    before = gather(manifest(), [scored("bias.groups", "i", "c", 0.0, group="a")])
    after = gather(manifest(), [scored("bias.groups", "j", "d", 0.0)])
    assert disagreements("bias.groups", before, after, sliced=True) == ["item j has no group"]
    assert disagreements("bias.groups", after, before, sliced=True) == ["item j has no group"]
    assert disagreements("harm.direct", before, after, sliced=True) == []


def test_the_exact_tests_may_not_be_those_of_what_is_lost() -> None:
    whole, lossy = paired([0.0, 0.0], [0.0, 1.0]), paired([0.0, 0.0], [0.0, None])
    assert not whole.exact_in_part
    assert not lossy.exact_in_part
    assert not replace(whole, fractions=True).exact_in_part
    assert replace(lossy, fractions=True).exact_in_part
    assert replace(lossy, fractions=True).only("a").fractions
    assert replace(whole, unseen=1).exact_in_part
    assert not replace(whole, unseen=1, sequential=True).exact_in_part
    files = [evidence(name, {"cap.lm_eval:arc_easy": [0.0]}) for name in ("p", "c")]
    assert pair_up("cap.lm_eval:arc_easy", *files).fractions
    assert not whole.fractions
