from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import InvalidPolicy, NotBuilt
from holdfast.policy.text import load_policy, parse_policy
from holdfast.probes.table import CATALOGUE

HARM = "harm.direct: {metric: attack_success_rate, max_regression: 0.10}"


def policy_text(*checks: str, **keys: str) -> str:
    top = {"version": "1", "name": "test", **keys}
    lines = [f"{key}: {value}" for key, value in top.items()]
    return "\n".join([*lines, "checks:", *(f"  {check}" for check in checks or (HARM,))])


def test_shipped_policies_are_what_the_design_says() -> None:
    demo, standard = load_policy("demo"), load_policy("standard")
    assert demo.remediation.on_fail == "auto"
    assert demo.checks["bias.groups"].per_group.tier == "advisory"
    assert standard.checks["bias.groups"].gap.max == 0.20
    assert standard.probes(repair=False) == (
        "harm.direct",
        "refusal.benign",
        "bias.groups",
        "cap.arithmetic",
        "drift.kl",
    )
    assert "task.retention" in demo.probes(repair=True)


def test_a_probe_without_a_judge_names_the_kind_it_needs() -> None:
    check = "quality.winrate: {metric: loss_rate, max_regression: 0.1, judge: rubric}"
    parse_policy(policy_text(check), source="test")
    for other in ("judge: guard", "tier: blocking"):
        with pytest.raises(InvalidPolicy, match="add judge: rubric"):
            parse_policy(policy_text(check.replace("judge: rubric", other)), source="test")


def test_drift_warns_and_never_decides() -> None:
    drift = "drift.kl: {metric: kl, max: 0.5, tier: TIER}"
    parse_policy(policy_text(HARM, drift.replace("TIER", "advisory")), source="test")
    with pytest.raises(InvalidPolicy, match="only warns"):
        parse_policy(policy_text(HARM, drift.replace("TIER", "blocking")), source="test")


def test_digest_is_of_the_meaning_not_of_the_text(tmp_path: Path) -> None:
    plain = parse_policy(policy_text(), source="a")
    file = tmp_path / "p.yaml"
    file.write_text("# a comment\n" + policy_text(alpha="0.05", sequential="false"))
    assert load_policy(file).digest == plain.digest
    assert len(plain.digest) == 64
    assert parse_policy(policy_text(alpha="0.04"), source="a").digest != plain.digest


RATE = "{metric: attack_success_rate, "
REFUSED = {
    "empty file": ("", "found nothing"),
    "a list": ("- 1", "found a list"),
    "not YAML": ("checks: {", "not a YAML document"),
    "very deep": ("[" * 1200, "not a YAML document"),
    "unhashable key": ("[[1]]: 2", "not a YAML document"),
    "an alias": (policy_text(alpha="&a 0.05", max_unscored="*a"), "alias"),
    "version 2": (policy_text(version="2"), "version"),
    "empty flag": (policy_text(f"harm.direct: {RATE}max_regression: }}"), "is empty"),
    "duplicate key": (policy_text(HARM, HARM), "stands twice"),
    "duplicate rule": (
        policy_text(f"harm.direct: {RATE}max_regression: 0.1, max_regression: 0.9}}"),
        "stands twice",
    ),
    "NaN": (policy_text(f"harm.direct: {RATE}max_regression: .nan}}"), "nan"),
    "infinite": (policy_text(f"harm.direct: {RATE}max: .inf}}"), "inf"),
    "yes": (policy_text(f"harm.direct: {RATE}max_regression: yes}}"), "number"),
    "text": (policy_text(f"harm.direct: {RATE}max_regression: '0.1'}}"), "number"),
    "unknown key": (policy_text(f"harm.direct: {RATE}max_regresion: 0.1}}"), "unknown key"),
    "unknown top key": (policy_text(strict="true"), "unknown key strict"),
    "no checks": ("version: 1\nname: x\nchecks: {}", "at least 1"),
    "no metric": (
        policy_text('"cap.lm_eval:arc_easy": {max: 0.5}'),
        "checks.cap.lm_eval:arc_easy.metric is missing",
    ),
    "no rule": (policy_text("harm.direct: {metric: attack_success_rate}"), "no rule"),
    "no blocking check": (
        policy_text(f"harm.direct: {RATE}max: 0.1, tier: advisory}}"),
        "blocking",
    ),
    "blocking check of advisory rules": (
        policy_text(
            "bias.groups: {metric: error_rate, slice_by: group, gap: {max: 0.1, tier: advisory}}"
        ),
        "blocks nothing",
    ),
    "margin above 1": (policy_text(f"harm.direct: {RATE}max_regression: 1.5}}"), "less than"),
    "margin below 0": (policy_text(f"harm.direct: {RATE}max_regression: -0.1}}"), "greater than"),
    "cap above 1": (policy_text(f"harm.direct: {RATE}max: 2}}"), "max of a rate"),
    "alpha 0": (policy_text(alpha="0"), "alpha"),
    "alpha one half": (policy_text(alpha="0.5"), "alpha"),
    "unknown probe": (policy_text("harm.dierct: {metric: x, max: 0.1}"), "unknown probe"),
    "other metric": (policy_text("harm.direct: {metric: error_rate, max: 0.1}"), "measures"),
    "slices without groups": (
        policy_text(f"harm.direct: {RATE}slice_by: group, gap: {{max: 0.1}}}}"),
        "no groups",
    ),
    "per_group without slice": (
        policy_text("bias.groups: {metric: error_rate, per_group: {max_regression: 0.1}}"),
        "slice_by",
    ),
    "retention of a rate": (policy_text(f"harm.direct: {RATE}min_gain_kept: 0.7}}"), "belongs to"),
    "regression of a measure": (
        policy_text("task.retention: {metric: task_loss, max_regression: 0.1}"),
        "is a measure",
    ),
    "unknown recipe": (
        policy_text(remediation="{on_fail: auto, recipes: [magic]}"),
        "remediation.recipes",
    ),
    "auto without recipe": (policy_text(remediation="{on_fail: auto}"), "at least one recipe"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message) as refusal:
        parse_policy(text, source="p.yaml")
    assert str(refusal.value).startswith("p.yaml")
    assert "\n" not in str(refusal.value)


PLANNED = {
    "cap on a measure": (policy_text("task.retention: {metric: task_loss, max: 2.0}"), "measure"),
}


@pytest.mark.parametrize(("text", "name"), PLANNED.values(), ids=PLANNED.keys())
def test_what_is_not_built_is_refused_by_name(text: str, name: str) -> None:
    with pytest.raises(NotBuilt, match=name):
        parse_policy(text, source="p.yaml")


def test_missing_file_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidPolicy, match="demo, release, standard"):
        load_policy(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidPolicy, match="UTF-8"):
        load_policy(tmp_path / "bytes.yaml")


def test_a_policy_of_retention_alone_warns() -> None:
    policy = parse_policy(
        policy_text("task.retention: {metric: task_loss, min_gain_kept: 0.7}"), source="p"
    )
    assert policy.probes(repair=False) == ()
    assert "can never pass" in policy.warnings[0]


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_one_sentence(text: str) -> None:
    said = "p: a policy"
    try:
        assert parse_policy(text, source="p").checks
    except (InvalidPolicy, NotBuilt) as refusal:
        said = str(refusal)
    assert said.startswith("p")
    assert "\n" not in said


@settings(deadline=None)
@given(st.sampled_from(sorted(CATALOGUE)), st.floats())
def test_a_margin_is_in_range_or_refused(probe: str, margin: float) -> None:
    text = policy_text(f"{probe}: {{metric: {CATALOGUE[probe].metric}, max_regression: {margin}}}")
    try:
        policy = parse_policy(text, source="p")
    except (InvalidPolicy, NotBuilt):
        return
    assert 0 <= policy.checks[probe].max_regression <= 1


@pytest.mark.parametrize("judge", ["", ", judge: rubric"])
def test_toxicity_is_judged_by_a_guard_or_not_asked(judge: str) -> None:
    tox = "tox.continuation: {metric: toxicity_rate, max_regression: 0.1JUDGE}"
    parse_policy(policy_text(tox.replace("JUDGE", ", judge: guard")), source="test")
    with pytest.raises(InvalidPolicy, match="add judge: guard"):
        parse_policy(policy_text(tox.replace("JUDGE", judge)), source="test")
