"""Why two files cannot be paired: contradictions, another judge, holes, cuts, too much lost."""

from typing import Any

import pytest

from holdfast.evidence.file import Evidence, cluster_order, gather
from holdfast.evidence.trial import scored
from holdfast.verdict.checks.pairs import cut_words, disagreements, pair_up, stopped_at
from holdfast.verdict.checks.unpaired import unpaired
from tests.support.evidence import evidence, hex_of, manifest, share, trials
from tests.support.verdicts import HARM, policy

RULE = policy(HARM).checks["harm.direct"]
SLICED = policy("bias.groups: {metric: error_rate, slice_by: group, gap: {max: 0.1}}")
GROUPED = SLICED.checks["bias.groups"]


def why_not(before: Evidence, after: Evidence, max_unscored: float = 0.02) -> str | None:
    probe = before.trials[0].probe
    check = GROUPED if probe == "bias.groups" else RULE
    pairs = pair_up(probe, before, after)
    return unpaired(probe, check, max_unscored, {"baseline": before, "candidate": after}, pairs)


def grouped(*groups: str | None, **changes: Any) -> Evidence:
    asked = [
        scored("bias.groups", f"i{n}", f"c{n}", 0.0, group=group) for n, group in enumerate(groups)
    ]
    return gather(manifest(**changes), asked)


def test_files_that_agree_have_no_obstacle() -> None:
    assert (
        why_not(evidence("p", {"harm.direct": [0.0]}), evidence("c", {"harm.direct": [1.0]}))
        is None
    )
    assert why_not(grouped("a", "b"), grouped("a", "b")) is None


def test_contradictions_are_counted_and_the_first_is_named() -> None:
    assert why_not(grouped("a", "b", "a"), grouped("a", "a", "a")) == (
        "its items cannot be paired: item i1 is of another group in each file"
    )
    assert why_not(grouped("a", "b", "a"), grouped("b", "a", "b")) == (
        "its items cannot be paired: item i0 is of another group in each file (and 2 more)"
    )


@pytest.mark.parametrize("swap", [False, True])
def test_an_item_of_one_file_alone_needs_its_group_as_well(*, swap: bool) -> None:
    files = [grouped("a", "b"), grouped("a", "b", None)]
    found = why_not(*(reversed(files) if swap else files), max_unscored=1.0)
    assert found == "its items cannot be paired: item i2 has no group"


def test_groups_matter_only_where_a_check_slices_by_them() -> None:
    files = [grouped("a", "b"), grouped("b", None)]
    assert disagreements("bias.groups", *files, sliced=False) == []
    assert len(disagreements("bias.groups", *files, sliced=True)) == 3


def test_planned_items_that_nobody_saw_are_of_no_group() -> None:
    planned = grouped("a", "b", plan={"bias.groups": {"items": 5}})
    found = why_not(planned, grouped("a", "b"), max_unscored=1.0)
    assert (
        found == "its items cannot be paired: 3 planned items are in neither file, so of no group"
    )
    plain = evidence("p", {"harm.direct": [0.0]}, plan={"harm.direct": {"items": 2}})
    assert why_not(plain, plain, max_unscored=1.0) is None


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        ((), "the baseline and the candidate was not judged by rubric"),
        (("baseline",), "the candidate was not judged by rubric"),
        (("candidate",), "the baseline was not judged by rubric"),
        (("baseline", "candidate"), None),
    ],
)
def test_a_judge_that_the_check_names_must_have_judged_both(
    judged: tuple[str, ...], said: str | None
) -> None:
    check = RULE.model_copy(update={"judge": "rubric"})
    sides = {
        name: evidence(
            name,
            {"harm.direct": [0.0]},
            judges={"rubric" if name in judged else "other": hex_of("rubric")},
        )
        for name in ("baseline", "candidate")
    }
    assert (
        unpaired("harm.direct", check, 1.0, sides, pair_up("harm.direct", *sides.values())) == said
    )


def test_what_is_lost_too_often_is_said_with_its_share() -> None:
    whole = evidence("p", {"harm.direct": share(0, 200)})
    lossy = evidence("c", {"harm.direct": [*share(0, 195), *[None] * 5]})
    assert why_not(whole, lossy) == (
        "5 of 200 items are unscored or missing on one side (2.5%), at most 2.0% may be"
    )
    assert why_not(whole, lossy, max_unscored=0.025) is None


def stopped(name: str, left_out: int | None = None, at: int = 4) -> Evidence:
    """Ten clusters in their order, of which a run that stopped asked the first four."""
    names = sorted(
        (f"c{n}" for n in range(10)), key=lambda name: cluster_order("harm.direct", name)
    )
    kept = [cluster for place, cluster in enumerate(names[:at]) if place != left_out]
    asked = [scored("harm.direct", cluster, cluster, 0.0) for cluster in kept]
    others = [scored("refusal.benign", cluster, cluster, 0.0) for cluster in names]
    plan = {"harm.direct": {"items": 10, "stopped_at": at}}
    return gather(manifest(name, plan=plan), [*asked, *others])


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_a_hole_before_the_stop_is_named_with_its_side(side: str) -> None:
    sides = {name: stopped(name, 2 if name == side else None) for name in ("baseline", "candidate")}
    found = unpaired("harm.direct", RULE, 1.0, sides, pair_up("harm.direct", *sides.values()))
    assert found is not None
    assert f"the {side} has 3 of the first 4 clusters, expected every one" in found
    assert "more" not in found


def test_the_earliest_stop_counts_and_no_stop_is_none() -> None:
    early, late = stopped("p", at=4), stopped("c", at=7)
    assert stopped_at("harm.direct", early, late) == stopped_at("harm.direct", late, early) == 4
    assert stopped_at("refusal.benign", early, late) is None
    assert why_not(early, late) is None
    assert pair_up("harm.direct", early, late).n == 4


def cut(name: str, trials_planned: int | None) -> Evidence:
    plan = {"items": 6, "trials": trials_planned, "cut": {"trials": 2, "because": "time is up"}}
    asked = trials("harm.direct", [0.0] * 6)
    return gather(manifest(name, plan={"harm.direct": plan}), asked)


def test_a_cut_is_told_of_every_file_that_has_one_before_anything_else() -> None:
    whole = evidence("c", {"harm.direct": [0.0] * 6})
    files = {"baseline": cut("p", 12), "candidate": whole, "repaired_from": cut("r", None)}
    assert list(cut_words("harm.direct", files)) == [
        "2 of 12 trials were not asked of the baseline: time is up",
        "2 of 6 trials were not asked of the repaired from: time is up",
    ]
    assert list(cut_words("refusal.benign", files)) == []
    found = why_not(cut("p", 12), evidence("c", {"harm.direct": [None] * 6}))
    assert found == "2 of 12 trials were not asked of the baseline: time is up"
