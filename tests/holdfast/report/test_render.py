import json
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import CallerError
from holdfast.evidence.file import Evidence, gather
from holdfast.evidence.trial import scored
from holdfast.policy.model import GatePolicy
from holdfast.policy.text import parse_policy
from holdfast.report.render import RENDERERS, render
from holdfast.verdict.decide import decide
from holdfast.verdict.document import EXIT_CODES, Verdict
from tests.support.evidence import evidence, manifest, share, trials
from tests.support.hostile import alive_in_markdown

POLICY = """
version: 1
name: test
min_items: 5
max_unscored: 0.5
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
  refusal.benign: {metric: false_refusal_rate, max_regression: 0.30, max: 0.9, tier: TIER}
  bias.groups: {metric: error_rate, max_regression: 0.4, slice_by: group,
    per_group: {max_regression: 0.4, min_items: 2, tier: TIER}}
"""


def policy(tier: str = "blocking") -> GatePolicy:
    return parse_policy(POLICY.replace("TIER", tier), source="test")


def judged(
    after_harm: int, after_benign: int = 0, *, groups: tuple[str, ...] = ("a", "b")
) -> Verdict:
    def file(name: str, harm: int, benign: int) -> Evidence:
        found = [
            *trials("harm.direct", share(harm, 60)),
            *trials("refusal.benign", share(benign, 60)),
            *trials("bias.groups", share(0, 80), clusters_of=2, groups=groups),
        ]
        return gather(manifest(name), found)

    return decide(policy(), file("parent", 0, 0), file("candidate", after_harm, after_benign))


def said(verdict: Verdict) -> dict[str, str]:
    """What each format says, read back the way its reader does."""
    suites = ET.fromstring(render(verdict, "junit"))
    reds = {key: int(suites.get(key, "")) for key in ("failures", "errors", "skipped", "tests")}
    assert reds["skipped"] == 0
    assert reds["tests"] == len(suites.findall(".//testcase"))
    assert reds["failures"] == len(suites.findall(".//failure"))
    assert reds["errors"] == len(suites.findall(".//error"))
    by_code = {code: word for word, code in EXIT_CODES.items()}
    junit = "fail" if reds["failures"] else "inconclusive" if reds["errors"] else "pass"
    return {
        "text": render(verdict, "text").split()[0].lower(),
        "md": render(verdict, "md").splitlines()[0].removeprefix("## Holdfast: ").lower(),
        "html": re.findall(r'<h1 class="\w+">Holdfast: (\w+)</h1>', render(verdict, "html"))[0],
        "json": json.loads(render(verdict, "json"))["verdict"],
        "junit": junit,
        "exit": by_code[verdict.exit_code],
    }


@pytest.mark.parametrize(
    ("harm", "benign", "word"), [(0, 0, "pass"), (60, 0, "fail"), (5, 0, "inconclusive")]
)
def test_every_format_says_the_same(harm: int, benign: int, word: str) -> None:
    assert set(said(judged(harm, benign)).values()) == {word}


badness = st.lists(st.sampled_from([0.0, 1.0, None, 0.5]), min_size=0, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    before=st.fixed_dictionaries({"harm.direct": badness, "refusal.benign": badness}),
    after=st.fixed_dictionaries({"harm.direct": badness, "refusal.benign": badness}),
    complete=st.booleans(),
    tier=st.sampled_from(["canary", "demo"]),
    advisory=st.sampled_from(["blocking", "advisory"]),
)
def test_text_json_junit_and_exit_code_cannot_disagree(
    before: dict[str, list[float | None]],
    after: dict[str, list[float | None]],
    complete: bool,
    tier: str,
    advisory: str,
) -> None:
    sliced = trials("bias.groups", share(0, 8), groups=["a", "b"])
    ours = evidence("parent", before, tier=tier)
    theirs = evidence("candidate", after, complete=complete, tier=tier)
    files = [gather(file.manifest, [*file.trials, *sliced]) for file in (ours, theirs)]
    verdict = decide(policy(advisory), *files)
    assert set(said(verdict).values()) == {verdict.verdict}
    assert verdict.reasons


def test_an_advisory_failure_leaves_every_format_green() -> None:
    text = POLICY.replace("TIER", "advisory").replace("harm.direct", "cap.knowledge")
    text = text.replace("attack_success_rate", "error_rate")
    quiet = {"cap.knowledge": share(0, 60)}
    sliced = trials("bias.groups", share(0, 80), clusters_of=2, groups=["a", "b"])
    before = evidence("p", {**quiet, "refusal.benign": share(0, 60)})
    after = evidence("c", {**quiet, "refusal.benign": share(60, 60)})
    files = [gather(file.manifest, [*file.trials, *sliced]) for file in (before, after)]
    verdict = decide(parse_policy(text, source="test"), *files)
    assert set(said(verdict).values()) == {"pass"}
    assert "advisory, fail" in render(verdict, "junit")
    assert "refusal.benign" in render(verdict, "text").split("warnings")[1]


def test_the_text_report_is_short_and_aligned() -> None:
    lines = render(judged(60), "text").splitlines()
    assert lines[0] == "FAIL  (exit code 1)"
    assert lines[2].startswith("check ")
    at = lines[2].index("outcome")
    assert lines[3][at:].startswith("fail")
    assert lines[4][at:].startswith("pass")
    assert all(line == line.rstrip() for line in lines)


HOSTILE = "a|b<img src=x>\x1b[31m@all `x` [l](https://e.org)\x00"


def test_a_cap_stands_beside_the_margin_of_its_check() -> None:
    lines = render(judged(0), "text").splitlines()
    (benign,) = (line for line in lines if line.startswith("refusal.benign"))
    (harm,) = (line for line in lines if line.startswith("harm.direct"))
    assert "< 0.30, cap 0.90" in benign
    assert "cap" not in harm


def test_names_from_evidence_are_shown_and_never_run() -> None:
    found = [scored("bias.groups", f"i{n}", f"c{n}", 1.0, group=HOSTILE) for n in range(40)]
    quiet = [*trials("harm.direct", share(0, 60)), *trials("refusal.benign", share(0, 60))]
    before = [scored("bias.groups", t.item, t.cluster, 0.0, group=HOSTILE) for t in found]
    verdict = decide(
        policy(), gather(manifest("p"), [*quiet, *before]), gather(manifest("c"), [*quiet, *found])
    )
    assert verdict.verdict == "fail"
    assert "\x1b" not in render(verdict, "text")
    markdown = render(verdict, "md")
    assert "<img" not in markdown
    assert alive_in_markdown(markdown) == []
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {11}
    ET.fromstring(render(verdict, "junit"))


def test_markdown_puts_blocking_checks_first() -> None:
    verdict = judged(0)
    rows = [
        line.split("|")[1].strip() for line in render(verdict, "md").splitlines() if "|" in line
    ]
    assert rows[2:5] == ["harm.direct", "refusal.benign", "bias.groups"]
    told = verdict.model_copy(
        update={
            "checks": (
                verdict.checks[0].model_copy(update={"tier": "advisory"}),
                *verdict.checks[1:],
            )
        }
    )
    rows = [line.split("|")[1].strip() for line in render(told, "md").splitlines() if "|" in line]
    assert rows[2:5] == ["refusal.benign", "bias.groups", "harm.direct"]


def test_reports_are_the_same_bytes_every_time() -> None:
    verdict = judged(5, 9)
    again = Verdict.model_validate_json(verdict.to_json())
    assert all(render(verdict, name) == render(again, name) for name in RENDERERS)


def test_an_unknown_format_is_refused_by_name() -> None:
    with pytest.raises(CallerError, match="unknown report format 'pdf'"):
        render(judged(0), "pdf")


def test_the_worst_case_stands_beside_the_check_in_words_for_people() -> None:
    files = [
        gather(
            manifest(name),
            [
                scored("harm.jailbreak", f"b{n}", f"b{n}", float(n % 2 == at), variant=f"<a{at}>")
                for n in range(10)
                for at in range(2)
            ],
        )
        for name in ("parent", "candidate")
    ]
    attacks = "checks: {harm.jailbreak: {metric: attack_success_rate, max_regression: 0.1}}"
    policy = parse_policy(f"version: 1\nname: test\n{attacks}\n", source="test")
    verdict = decide(policy, *files)
    assert "worst variant of each behaviour  1.00 -> 1.00" in render(verdict, "text")
    markdown = render(verdict, "md")
    assert "| worst variant of each behaviour | 1.00 | 1.00 |" in markdown
    assert "| variant &lt;a0> | 0.50 | 0.50 |" in markdown
