"""A check that nobody may waive, by its own name or its probe's."""

import pytest

from holdfast.verdict.terms import is_unwaivable


@pytest.mark.parametrize(
    ("check", "rule", "covered"),
    [
        ("cap.knowledge", "cap.knowledge", True),
        ("cap.knowledge@mine", "cap.knowledge", True),
        ("cap.lm_eval:arc_easy", "cap.lm_eval", True),
        ("cap.knowledge@mine", "cap.knowledge@mine", True),
        ("cap.knowledge", "cap.knowledge@mine", False),
        ("cap.knowledge@other", "cap.knowledge@mine", False),
        ("cap.know", "cap.knowledge", False),
    ],
)
def test_a_rule_on_a_probe_covers_every_suite_and_task_of_it(
    check: str, rule: str, covered: bool
) -> None:
    assert is_unwaivable(check, [rule]) == covered
