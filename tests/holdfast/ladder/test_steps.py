"""The ladder's next step, over every history that tries can have."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.ladder.rungs import (
    LADDER,
    Confirm,
    End,
    Make,
    Resources,
    Rung,
    SplitResult,
    Try,
    Wait,
)
from holdfast.ladder.steps import next_step, skipped, untried

EVERYTHING = frozenset(rung.recipe for rung in LADDER)
PASS = SplitResult("pass", doubt=0.0005)
BARELY = SplitResult("pass", doubt=0.04)
LOST = SplitResult("fail", ("harm.direct",))
FORGOT = SplitResult("inconclusive", ("task.retention",))


def resources(**given: Any) -> Resources:
    usual = {"built": EVERYTHING, "task_data": True, "candidates": 99, "seconds_remaining": 3600.0}
    return Resources(**{**usual, **given})


SAID = st.builds(
    SplitResult,
    st.sampled_from(["pass", "fail", "inconclusive"]),
    st.sampled_from([("harm.direct",), ("refusal.benign", "task.retention"), ()]),
    st.sampled_from([0.001, 0.04, 1.0]),
)


@given(
    data=st.data(),
    built=st.sets(st.sampled_from(sorted(EVERYTHING))),
    task_data=st.booleans(),
    candidates=st.integers(1, 20),
    complete=st.booleans(),
)
def test_every_climb_ends_confirms_at_most_once_and_finds_only_what_passed(
    data: st.DataObject, built: set[str], task_data: bool, candidates: int, complete: bool
) -> None:
    here = resources(
        built=frozenset(built),
        task_data=task_data,
        candidates=candidates,
        complete_front=complete,
    )
    tries: list[Try] = []
    for turn in range(2 * len(LADDER) + 2):
        step = next_step(tries, here)
        if isinstance(step, End):
            break
        if isinstance(step, Make):
            assert step.rung in LADDER
            assert step.rung.recipe in built
            asked = data.draw(SAID)
            broke = data.draw(st.sampled_from([None, "InvalidPlan: no"]))
            said = {} if broke else {step.split: asked}
            tries.append(Try(f"t{turn}", step.rung, error=broke, **said))
        else:
            assert isinstance(step, Confirm)
            (at,) = [i for i, one in enumerate(tries) if one.id == step.id]
            assert tries[at].screen is not None
            assert tries[at].screen.verdict == "pass"
            tries[at] = Try(
                step.id, tries[at].rung, screen=tries[at].screen, confirm=data.draw(SAID)
            )
    else:
        raise AssertionError("it never ended")
    confirmed = [one for one in tries if one.confirm is not None]
    assert len(confirmed) <= 1
    assert len({one.rung.name for one in tries}) == len(tries)
    assert complete or len(tries) <= candidates
    good = [one.id for one in confirmed if one.confirm and one.confirm.verdict == "pass"]
    assert [step.repair] == (good or [None])
    assert (step.repair is None) == step.because.startswith("no repair found")


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        ([], Make(LADDER[0], "screen")),
        ([Try("a", LADDER[0])], Wait()),
        ([Try("a", LADDER[0], screen=SplitResult(None))], Wait()),
        ([Try("a", LADDER[0], screen=PASS)], Confirm("a")),
        ([Try("a", LADDER[0], screen=BARELY)], Make(LADDER[1], "screen")),
        ([Try("a", LADDER[0], screen=BARELY), Try("b", LADDER[1], screen=PASS)], Confirm("b")),
        (
            [Try(rung.name, rung, screen=BARELY) for rung in LADDER],
            Confirm(min(rung.name for rung in LADDER)),
        ),
        ([Try("a", LADDER[0], screen=PASS, confirm=SplitResult(None))], Wait()),
        ([Try("a", LADDER[0], error="it broke")], Make(LADDER[1], "screen")),
        ([Try("a", LADDER[0], screen=LOST)], Make(LADDER[1], "screen")),
    ],
)
def test_one_step_after_the_other(tries: list[Try], expected: object) -> None:
    assert next_step(tries, resources()) == expected


@pytest.mark.parametrize(
    "given",
    [
        {"seconds_remaining": 400.0, "reserve": 200.0},
        {"candidates": 1},
        {"seconds_remaining": -1.0},
    ],
    ids=str,
)
def test_what_barely_passed_is_confirmed_when_there_is_no_room_for_another(
    given: dict[str, Any],
) -> None:
    assert next_step([Try("a", LADDER[0], screen=BARELY)], resources(**given)) == Confirm("a")


FIRST, *_ = (rung for rung in LADDER if rung.recipe == "wise_ft")
EARLY = SplitResult("inconclusive", ("harm.direct",), hopeless=True)


def averaged(screen: SplitResult, weight: float = 0.6) -> Try:
    return Try(f"w{weight}", Rung("wise_ft", {"candidate_weight": weight}), screen=screen)


def weights_left(recipe: str, tries: list[Try], **given: Any) -> set[float]:
    here = resources(failed=frozenset({"harm.direct"}), **given)
    left = (rung for rung in untried(tries, here) if rung.recipe == recipe)
    return {rung.options["candidate_weight"] for rung in left}


@pytest.mark.parametrize(
    ("tries", "left"),
    [
        ([], {0.2, 0.4, 0.6, 0.8}),
        ([averaged(FORGOT)], {0.8}),
        ([averaged(LOST)], {0.2, 0.4}),
        ([averaged(EARLY), averaged(FORGOT, 0.4)], set()),
        ([averaged(EARLY), averaged(FORGOT, 0.2)], {0.4}),
        ([averaged(SplitResult("inconclusive", ("refusal.benign",)))], {0.2, 0.4, 0.8}),
    ],
)
def test_averages_beyond_one_that_was_lost_are_not_tried(
    tries: list[Try], left: set[float]
) -> None:
    assert weights_left("wise_ft", tries) == left


def test_the_first_average_divides_the_others() -> None:
    assert FIRST.options == {"candidate_weight": 0.6}
    reasons = {rung.name: why for rung, why in skipped([averaged(FORGOT)], resources())}
    assert reasons["wise_ft (candidate_weight 0.4)"] == (
        "wise_ft (candidate_weight 0.6) already kept too little of the task"
    )


@pytest.mark.parametrize(
    ("tries", "left"),
    [
        ([], set()),
        ([averaged(EARLY, 0.4)], set()),
        ([averaged(replace(LOST, doubt=0.9)), averaged(replace(LOST, doubt=0.2), 0.4)], {0.4}),
        ([averaged(LOST), averaged(BARELY, 0.2)], set()),
    ],
)
def test_groups_of_blocks_are_weighed_apart_only_where_their_mean_came_nearest(
    tries: list[Try], left: set[float]
) -> None:
    assert weights_left("hma", tries) == left


def test_for_the_whole_front_no_side_is_left_out() -> None:
    repair = Try("r", Rung("rehearsal"), screen=PASS, confirm=PASS)
    tries = [averaged(LOST), repair]
    assert weights_left("wise_ft", tries, complete_front=True) == {0.2, 0.4, 0.8}
    assert weights_left("hma", tries, complete_front=True) == {0.2, 0.4, 0.6, 0.8}


def test_of_several_that_pass_the_surest_is_confirmed() -> None:
    tries = [
        Try(name, rung, screen=SplitResult("pass", doubt=doubt))
        for name, rung, doubt in zip("abc", LADDER, (0.03, 0.01, 0.04), strict=False)
    ]
    assert next_step(tries, resources(candidates=3)) == Confirm("b")


def test_a_confirmation_that_broke_ends_the_ladder_and_says_how() -> None:
    lost = Try("a", LADDER[0], error="timed_out", screen=PASS, confirm=SplitResult(None))
    for complete in (False, True):  # without a repair there is no front to complete
        step = next_step([lost], resources(complete_front=complete))
        assert isinstance(step, End)
        assert step.repair is None
        assert "confirmed once, without a verdict (timed_out)" in step.because


def test_recipes_that_are_asked_for_by_name_are_the_only_ones_climbed() -> None:
    here = resources(only=frozenset({"wise_ft", "ptst"}))
    assert {rung.recipe for rung in untried([], here)} == {"wise_ft", "ptst"}
    reasons = {rung.recipe: why for rung, why in skipped([], here)}
    assert reasons["rehearsal"] == "it is not among those asked for"


@pytest.mark.parametrize("only", [{"hma"}, {"hma", "wise_ft"}])
def test_hma_by_name_is_searched_on_the_gates_own_checks(only: set[str]) -> None:
    best = (0.2, 0.4, 0.6)  # of the mean .4: the farther from it, the more doubt
    here = resources(only=frozenset(only))
    tries: list[Try] = []
    while isinstance(step := next_step(tries, here), Make):
        rung = step.rung
        weight = rung.options["candidate_weight"]
        ratios = tuple(rung.options.get("hma", {}).get("ratios", (weight,) * 3))
        off = sum(abs(one - two) for one, two in zip(ratios, best, strict=True))
        said = SplitResult("inconclusive", ("harm.direct",), doubt=min(1.0, 0.1 + off / 3))
        found = ratios if rung.recipe == "hma" else None
        tries.append(Try(rung.name, rung, ratios=found, screen=said))
    surest = min((one for one in tries if one.ratios), key=lambda one: one.screen.doubt)  # type: ignore[union-attr]
    assert surest.ratios == pytest.approx(best)
    assert len({one.rung.name for one in tries}) == len(tries)
    assert isinstance(step, End)


def test_ratios_that_were_dropped_at_once_are_never_looked_around() -> None:
    def tried(ratios: tuple[float, ...], asked: SplitResult) -> Try:
        return Try(str(ratios), Rung("hma", {"candidate_weight": 0.4}), ratios=ratios, screen=asked)

    here = resources(only=frozenset({"hma"}), built=frozenset({"ptst"}))
    few = SplitResult("inconclusive", ("harm.direct",), doubt=0.01, hopeless=True)  # of forty items
    whole = SplitResult("inconclusive", ("harm.direct",), doubt=0.5)
    (found,) = untried([tried((0.4, 0.4, 0.4), whole), tried((0.9, 0.2, 0.1), few)], here)
    assert found.options["hma"]["ratios"] == pytest.approx([0.6, 0.2, 0.4])
    assert untried([tried((0.9, 0.2, 0.1), few)], here) == []


def test_without_a_name_no_ratios_are_searched_on_the_gate() -> None:
    tried = Try("h", Rung("hma", {"candidate_weight": 0.4}), ratios=(0.4,) * 3, screen=BARELY)
    searching = untried([tried], resources(only=frozenset({"hma"}), built=frozenset({"ptst"})))
    assert [rung.recipe for rung in searching] == ["hma"]
    assert all("hma" not in rung.options for rung in untried([tried], resources()))


def test_a_rung_is_named_with_its_options_in_words() -> None:
    knobs: dict[str, Any] = {
        "candidate_weight": 0.4,
        "hma": {"groups": 3, "ratios": [0.6, 0.4, 0.2]},
    }
    assert Rung("hma", knobs).name == "hma (candidate_weight 0.4, groups 3, ratios 0.6/0.4/0.2)"
    knobs["hma"] = {"ratios": [1.0, 5.6e-17, 0.2004]}  # a projection does not end on round numbers
    assert Rung("hma", knobs).name == "hma (candidate_weight 0.4, ratios 1/0/0.2)"
    assert Rung("ptst").name == "ptst"


def test_what_cannot_run_is_skipped_with_its_reason() -> None:
    reasons = {
        rung.recipe: why
        for rung, why in skipped([], resources(built=frozenset({"kl_anchor"}), task_data=False))
    }
    assert reasons["kl_anchor"] == "it needs task data, and the evaluation has none"
    assert reasons["hma"] == "this version does not have the recipe"


@pytest.mark.parametrize("unaligned", [True, False])
def test_safe_merge_is_climbed_where_the_model_from_before_alignment_is_known(
    *, unaligned: bool
) -> None:
    here = resources(unaligned=unaligned, task_data=False)
    assert any(rung.recipe == "safe_merge" for rung in untried([], here)) == unaligned
    reasons = {rung.recipe: why for rung, why in skipped([], here)}
    assert ("registered without a parent" in reasons.get("safe_merge", "")) != unaligned


@pytest.mark.parametrize(
    ("tries", "given", "sentence"),
    [
        ([], {"seconds_remaining": 60.0, "reserve": 240.0}, "too small for one try"),
        (
            [Try("a", LADDER[0], screen=LOST)],
            {"seconds_remaining": 0.0},
            "minutes are spent after 1 try",
        ),
        ([Try("a", LADDER[0], screen=LOST)], {"candidates": 1}, "budget of 1 candidates"),
        ([], {"built": frozenset()}, "nothing on the ladder can be tried here"),
        (
            [Try(rung.name, rung, error=f"no {rung.recipe}") for rung in LADDER],
            {},
            f"{len(LADDER)} tries, none passed; {len(LADDER)} broke, the first by no ptst",
        ),
        ([Try("a", LADDER[0], screen=LOST)], {"candidates": 1}, "harm.direct (1 of 1)"),
    ],
)
def test_an_end_says_why(tries: list[Try], given: dict[str, Any], sentence: str) -> None:
    step = next_step(tries, resources(**given))
    assert isinstance(step, End)
    assert sentence in step.because
