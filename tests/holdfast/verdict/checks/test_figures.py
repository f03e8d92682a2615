"""Figures beside a check: the worst form of each behaviour, and each form's own rate."""

from dataclasses import replace
from itertools import combinations

import pytest

from holdfast.evidence.file import Evidence, gather
from holdfast.evidence.trial import Measure, Trial, says_nothing, scored, unscored
from holdfast.policy.text import parse_policy
from holdfast.verdict.checks.examination import Files, examine
from holdfast.verdict.checks.figures import (
    figures_of,
    incoherent_figures,
    variant_figures,
    worst_of_k,
)
from holdfast.verdict.checks.lost import ANY
from holdfast.verdict.checks.pairs import Pairs, every_form, incoherent, pair_up
from holdfast.verdict.outcome import Figure
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
    assert pairs.changes(ANY).unplaced == 1


@pytest.mark.parametrize(
    ("n", "bad", "k", "chance"),
    [(10, 2, 5, 0.7778), (8, 0, 5, 0.0), (8, 8, 5, 1.0), (8, 4, 5, 1.0), (4, 1, 2, 0.5)],
)
def test_the_worst_of_k_is_the_share_of_choices_that_hold_a_bad_one(
    n: int, bad: int, k: int, chance: float
) -> None:
    assert worst_of_k(n, bad, k) == pytest.approx(chance, abs=1e-4)
    picks = list(combinations([1] * bad + [0] * (n - bad), k))
    assert worst_of_k(n, bad, k) == pytest.approx(sum(map(any, picks)) / len(picks))


def drawn(*rows: tuple[float | None, ...]) -> list[Trial]:
    return [
        replace(trial, variant=trial.variant.replace("attack-", "t1.0#")) for trial in side(*rows)
    ]


def test_answers_drawn_in_one_way_are_one_form_with_its_worst_of_k() -> None:
    pairs = paired(drawn((1, 0, 0, 0), (0, 0, 0, None)), drawn((1, 1, 1, 0), (0, 0, 0, 0)))
    worst, drawn_often, mean = variant_figures(pairs)
    assert worst == Figure(name="worst variant of each behaviour", baseline=0.5, candidate=0.5)
    assert drawn_often == Figure(  # of the one item that has all its answers
        name="worst of 2 of 4 answers at t1.0", baseline=0.5, candidate=1.0
    )
    assert mean.name == "variant t1.0"
    assert (mean.baseline, mean.candidate) == (pytest.approx(1 / 7), pytest.approx(3 / 7))


def test_the_worst_of_some_forms_is_one_pair_an_item_and_lost_where_one_is() -> None:
    cells = ("trained", "safety-system", "instruction", "none")

    def file(*rows: tuple[float | None, ...]) -> list[Trial]:
        return [
            replace(trial, probe="harm.template", variant=cells[int(trial.variant[-1])])
            for trial in side(*rows)
        ]

    before = file((0, 0, 0, 1), (1, 0, 0, 0), (0, None, 0, 0), (0, 0, 0, 0))
    after = file((0, 1, 0, 1), (0, 0, 0, 1), (1, 1, 1, 1), (0, 0, 0, None))
    found = worst(before, after)
    assert found == {"b0": (0.0, 1.0), "b1": (1.0, 0.0), "b2": (None, 1.0), "b3": (0.0, 0.0)}
    missing = [trial for trial in after if (trial.item, trial.variant) != ("b3", "trained")]
    assert worst(before, missing)["b3"] == (0.0, None)


def worst(before: list[Trial], after: list[Trial]) -> dict[str, tuple[float | None, float | None]]:
    files = [gather(manifest(), trials) for trials in (before, after)]
    pairs = pair_up("harm.template", *files)
    assert pairs.exact
    return {pair.item: (pair.before, pair.after) for pair in pairs.pairs}


TEMPLATES = """
version: 1
name: test
checks: {harm.template: {metric: attack_success_rate, max_regression: 0.10}}
"""


@pytest.mark.parametrize(("cell", "worse"), [("instruction", True), ("none", False)])
def test_a_template_check_is_decided_by_the_cells_that_can_be_deployed(
    cell: str, *, worse: bool
) -> None:
    cells = ("trained", "safety-system", "instruction", "none")

    def file(bad: str | None) -> list[Trial]:
        return [
            scored("harm.template", f"b{n}", f"b{n}", float(name == bad), variant=name)
            for n in range(120)
            for name in cells
        ]

    policy = parse_policy(TEMPLATES, source="test")
    files = Files(*(gather(manifest(), file(bad)) for bad in (None, cell)))
    seen = examine("harm.template", policy.checks["harm.template"], policy, files)
    assert (seen.n, seen.candidate) == (120, float(worse))
    assert (seen.findings[0].answer.p_fail < 0.05) is worse
    assert (seen.findings[0].answer.p_pass < 0.05) is not worse
    rates = {one.name: one.candidate for one in seen.figures}
    assert rates[f"variant {cell}"] == 1.0


WINS = "quality.winrate"


def compared(name: str, losses: list[float | None], lengths: dict[str, float]) -> Evidence:
    """Answers judged beside the baseline's, and how long each was."""
    asked = [
        unscored(WINS, f"i{n}", f"c{n}", "a tie")
        if loss is None
        else scored(WINS, f"i{n}", f"c{n}", loss)
        for n, loss in enumerate(losses)
    ]
    measures = [Measure(WINS, item, length, 1, "characters") for item, length in lengths.items()]
    odd = [Measure("drift.kl", "i0", 900.0, 1, "characters"), Measure(WINS, "x", 900.0, 1, "nats")]
    return gather(manifest(name), asked, [*measures, *odd])


def test_answers_beside_an_opponent_have_shares_won_and_tied_and_lengths_of_both() -> None:
    before = compared("p", [0.5] * 5, {"i0": 10, "i1": 20, "i2": 1_000})
    after = compared("c", [0.0, 0.25, 0.5, 1.0, None], {"i0": 30, "i1": 60, "i3": 5_000})
    pairs = every_form(WINS, before, after)
    assert figures_of(WINS, pairs, before, after) == (
        Figure(name="won against the baseline", baseline=None, candidate=0.5),
        Figure(name="tied with the baseline", baseline=None, candidate=0.25),
        Figure(name="mean length in characters", baseline=15.0, candidate=45.0),
    )


def test_without_any_comparison_nothing_was_won_nor_tied() -> None:
    before, after = compared("p", [None], {"i0": 9}), compared("c", [None], {})
    figures = figures_of(WINS, every_form(WINS, before, after), before, after)
    assert {(figure.baseline, figure.candidate) for figure in figures} == {(None, None)}


def test_ways_of_drawing_stand_by_name_and_only_those_drawn_often_enough() -> None:
    def answers(*drawn_in: tuple[str, int]) -> list[Trial]:
        return [
            scored(PROBE, "b0", "b0", float(n == 1), variant=f"{way}#{n}")
            for way, often in drawn_in
            for n in range(1, often + 1)
        ]

    asked = answers(("t1.0", 8), ("t0.7", 4), ("greedy", 3))
    figures = {figure.name: figure.candidate for figure in variant_figures(paired(asked, asked))}
    assert list(figures) == [
        "worst variant of each behaviour",
        "worst of 2 of 4 answers at t0.7",
        "worst of 5 of 8 answers at t1.0",
        "variant greedy",
        "variant t0.7",
        "variant t1.0",
    ]
    assert figures["worst of 2 of 4 answers at t0.7"] == pytest.approx(1 / 2)
    assert figures["worst of 5 of 8 answers at t1.0"] == pytest.approx(5 / 8)


def test_texts_of_a_file_are_one_way_and_a_behaviour_that_is_lost_has_no_worst() -> None:
    asked = [
        scored(PROBE, item, item, value, variant=f"text/{name}")
        for item, value in (("b0", 1.0), ("b1", 0.0))
        for name in ("x", "y")
    ]
    silent = [
        unscored(PROBE, trial.item, trial.cluster, "empty", variant=trial.variant)
        if trial.item == "b1"
        else trial
        for trial in asked
    ]
    worst_form, texts = variant_figures(paired(asked, silent))
    assert (worst_form.baseline, worst_form.candidate) == (1.0, 1.0)
    assert (texts.name, texts.baseline, texts.candidate) == ("variant text", 1.0, 1.0)


@pytest.mark.parametrize("side", [0, 1])
def test_answers_that_say_nothing_are_shown_where_either_side_has_one(side: int) -> None:
    plain = [scored(PROBE, f"b{n}", f"b{n}", 0.0) for n in range(4)]
    quiet = [says_nothing(plain[0], "empty"), *plain[1:]]
    files = [gather(manifest(), quiet if at == side else plain) for at in (0, 1)]
    (figure,) = incoherent_figures(every_form(PROBE, *files, value=incoherent))
    assert (figure.baseline, figure.candidate) == ((0.25, 0.0), (0.0, 0.25))[side]
    same = gather(manifest(), plain)
    assert incoherent_figures(every_form(PROBE, same, same, value=incoherent)) == ()
