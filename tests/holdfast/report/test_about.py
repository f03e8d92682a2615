"""Reports open with what was judged and close with what to do next; a pass has nothing to do."""

import pytest

from holdfast.report.about import About, next_steps, subject_of
from holdfast.report.beside import Extras
from holdfast.report.render import render
from tests.holdfast.report.test_alerts import judged

ABOUT = About("ckpt_2", "ckpt_1", "pol_1", "demo", "eval_1", "2026-12-01 10:00 UTC")


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_every_report_for_people_says_what_was_judged_and_what_is_next(form: str) -> None:
    shown = render(judged(80), form, Extras(about=ABOUT)).replace("\\_", "_")
    assert "candidate ckpt_2; against ckpt_1; policy pol_1; tier demo; evaluation eval_1" in shown
    assert "judged 2026-12-01 10:00 UTC" in shown
    assert "holdfast remediate eval_1 --recipe auto --wait" in shown
    assert "or change checks.harm.direct.max_regression (now 0.1)" in shown
    passed = render(judged(0), form, Extras(about=ABOUT))
    assert "to do next" not in passed


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_an_old_baseline_is_said_beside_a_pass_as_well(form: str) -> None:
    extras = Extras(about=About(old_baseline="the baseline is old"))
    assert "the baseline is old" in render(judged(0), form, extras)
    assert next_steps(judged(0), extras.about) == ("the baseline is old",)
    assert next_steps(judged(80), extras.about)[0] == "the baseline is old"


def test_what_is_not_known_is_left_out() -> None:
    assert subject_of(About()) == ""
    assert subject_of(About(baseline="a")) == "against a"
    assert not any("remediate" in step for step in next_steps(judged(80), About()))
    assert len(next_steps(judged(80), About())) == 1
