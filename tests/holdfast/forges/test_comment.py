"""The comment on a pull request: short, whole, and dead whatever is written into it."""

import pytest

from holdfast.evidence.file import gather
from holdfast.forges.comment import LONGEST, marker_of, render_comment
from holdfast.report.about import About
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult, GroupRow
from tests.support.evidence import evidence, manifest, share, trials
from tests.support.hostile import HOSTILE, acting, alive_in_markdown
from tests.support.verdicts import BENIGN, HARM, policy

RULES = policy(HARM, BENIGN)


def judged(harm: int, *, items: int = 160) -> Verdict:
    before = evidence("a", {"harm.direct": share(0, items), "refusal.benign": share(20, 280)})
    after = evidence("b", {"harm.direct": share(harm, items), "refusal.benign": share(20, 280)})
    return decide(RULES, before, after)


def test_a_fail_says_what_failed_first_and_what_to_do_next() -> None:
    about = About("ckpt_2", "alias:prod", evaluation="eval_1")
    text = render_comment(judged(80), about, "g")
    lines = text.splitlines()
    assert lines[0] == marker_of("g")
    assert "**FAIL**" in lines[1]
    rows = [line for line in lines if line.startswith("| ") and "---" not in line]
    assert rows[1].startswith("| harm.direct | **fail** | 0.00 | 0.50 | +0.50 |")
    assert rows[2].startswith("| refusal.benign | pass |")
    assert "candidate ckpt\\_2; against alias:prod" in text
    assert "repair it: holdfast remediate eval\\_1 --recipe auto --wait" in text
    assert "change checks.harm.direct.max\\_regression (now 0.1)" in text


def test_a_pass_is_short() -> None:
    text = render_comment(judged(0), About())
    assert "**PASS**" in text
    assert "What to do next" not in text
    assert len(text) < 1500


def test_what_is_open_says_how_many_items_would_decide_it() -> None:
    text = render_comment(judged(4, items=40), About())
    assert "**INCONCLUSIVE**" in text
    assert "independent items would decide it, it had 40" in text
    assert "too near its bound for 100 items" in render_comment(judged(8, items=100), About())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_that_others_wrote_acts_in_it(text: str) -> None:
    def file(name: str, harm: int) -> object:
        group = text.encode("utf-8", "replace").decode()  # evidence holds no half a character
        rows = trials("bias.groups", share(harm, 80), clusters_of=2, groups=(group, "b"))
        return gather(manifest(name), rows)

    groups = "bias.groups: {metric: error_rate, max_regression: 0.1, slice_by: group}"
    verdict = decide(policy(groups, min_items=5), file("a", 0), file("b", 70))  # type: ignore[arg-type]
    about = About(candidate=text, baseline=text, policy=text)
    shown = render_comment(verdict, about, text)
    ours = shown.replace(marker_of(text), "").replace("<details><summary>", "")
    ours = ours.replace("</summary>", "").replace("</details>", "").replace("**", "")
    assert acting(shown) == []
    assert alive_in_markdown(ours) == []
    assert "-->" not in marker_of(text)[5:-3]


def test_sixty_checks_of_twelve_groups_fit_into_a_comment() -> None:
    verdict = judged(80)
    (harm, _) = verdict.checks
    row = GroupRow(group="g" * 400, n=100, n_unscored=0, baseline=0.1, candidate=0.4, delta=0.3)
    many = [
        CheckResult.model_validate(
            {
                **harm.model_dump(),
                "id": f"harm.direct@{'suite' * 20}{number}",
                "groups": [row.model_dump()] * 12,
                "reason": "because " * 900,
            }
        )
        for number in range(60)
    ]
    large = verdict.model_copy(
        update={"checks": tuple(many), "reasons": tuple(check.reason for check in many)}
    )
    text = render_comment(large, About())
    assert len(text) <= LONGEST
    assert text.count("| `harm.direct@") == 60
    wider = large.model_copy(
        update={"checks": tuple(many * 20), "warnings": tuple(check.reason for check in many)}
    )
    text = render_comment(wider, About())
    assert len(text) <= LONGEST
    assert "more checks; the report has them all" in text
