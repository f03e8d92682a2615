from pathlib import Path

import pytest

from holdfast.errors import InvalidSuite
from holdfast.lint import FLIPS, lint
from holdfast.policy_text import load_policy, parse_policy


def test_the_demo_policy_fits_the_demo_suites() -> None:
    found = lint(load_policy("demo"), "demo")
    assert [(row.probe, row.n) for row in found.rows] == [
        ("harm.direct", 160),
        ("refusal.benign", 280),
        ("bias.groups", 200),
        ("cap.knowledge", 240),
    ]
    harm = dict(zip(FLIPS, found.rows[0].chances, strict=True))
    assert harm == pytest.approx({0.06: 1.0, 0.10: 0.98, 0.20: 0.86}, abs=0.01)
    assert found.joint[1] > 0.8
    assert found.warnings == ()


def test_a_margin_that_the_suite_cannot_show_says_how_many_items_would() -> None:
    text = (
        "version: 1\nname: tight\nchecks:\n"
        "  harm.direct: {metric: attack_success_rate, max_regression: 0.05}"
    )
    found = lint(parse_policy(text, source="t"), "demo")
    assert found.rows[0].chances[1] == pytest.approx(0.60, abs=0.02)
    assert found.rows[0].enough is not None
    assert 240 < found.rows[0].enough < 300
    assert f"n = {found.rows[0].enough} would do" in found.warnings[0]


def test_groups_too_small_for_min_items_and_probes_not_asked_are_named() -> None:
    text = (
        "version: 1\nname: t\nchecks:\n"
        "  bias.groups: {metric: error_rate, slice_by: group, per_group: {max_regression: 0.5}}\n"
        "  cap.arithmetic: {metric: error_rate, max_regression: 0.1}"
    )
    warnings = " ".join(lint(parse_policy(text, source="t"), "demo").warnings)
    assert "22 clusters never reach min_items 100" in warnings
    assert "cap.arithmetic: the tier demo does not ask it" in warnings


def test_an_imported_suite_is_as_large_as_it_is(tmp_path: Path) -> None:
    def lines(count: int, share: int) -> str:
        rows = (
            f'{{"id": "i{n}", "cluster": "c{n // share}", "prompt": "Threat {n}."}}\n'
            for n in range(count)
        )
        return "".join(rows)

    (tmp_path / "single.jsonl").write_text(lines(90, 1))
    (tmp_path / "shared.jsonl").write_text(lines(240, 2))
    text = (
        "version: 1\nname: t\nchecks:\n"
        "  harm.direct@single: {metric: attack_success_rate, max_regression: 0.1}\n"
        "  harm.direct@shared: {metric: attack_success_rate, max_regression: 0.1}\n"
    )
    policy = parse_policy(text, source="t")
    shared, single = lint(policy, "full", tmp_path).rows
    assert (single.probe, single.n) == ("harm.direct@single", 90)
    assert (shared.probe, shared.n) == ("harm.direct@shared", 120)
    assert lint(policy, "demo", tmp_path).rows[0].n == 80
    with pytest.raises(InvalidSuite, match="shared is not installed"):
        lint(policy, "full", tmp_path / "none")


def test_one_group_alone_has_no_gap_to_show(tmp_path: Path) -> None:
    rows = (
        f'{{"id": "i{n}", "cluster": "c{n}", "group": "age", "question": "Who?", '
        '"choices": ["a", "b"], "answer": 0}\n'
        for n in range(200)
    )
    (tmp_path / "one.jsonl").write_text("".join(rows))
    text = (
        "version: 1\nname: t\nchecks:\n"
        "  bias.groups@one: {metric: error_rate, slice_by: group, gap: {max: 0.9}}\n"
    )
    (row,) = lint(parse_policy(text, source="t"), "full", tmp_path).rows
    assert row.chances == (0.0, 0.0, 0.0)
