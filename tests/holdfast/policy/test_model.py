from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.errors import InvalidPolicy, NotBuilt
from holdfast.policy.model import Check, Gap, GatePolicy, PerGroup, Waiver
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
    "cap below 0": (policy_text(f"harm.direct: {RATE}max: -0.1}}"), "greater than"),
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
    "an anchor's margin of no rule": (
        policy_text(f"harm.direct: {RATE}max: 0.1, since_anchor: {{max_regression: 0.1}}}}"),
        "which the check does not have",
    ),
    "an anchor's margins without one": (
        policy_text(f"harm.direct: {RATE}max_regression: 0.1, since_anchor: {{}}}}"),
        "found no margin",
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


def test_what_a_policy_leaves_out_is_filled_in_with_these_values() -> None:
    policy = parse_policy(policy_text(), source="p")
    assert (policy.alpha, policy.min_items, policy.max_unscored) == (0.05, 100, 0.02)
    assert (policy.sequential, policy.compare, policy.thinking) == (False, None, "must_agree")
    assert (policy.baselines.parent, policy.baselines.anchor) == ("required", "optional")
    assert (policy.remediation.on_fail, policy.remediation.recipes) == ("never", ())
    assert (policy.remediation.budget.minutes, policy.remediation.budget.candidates) == (60, 8)
    assert (policy.budget, policy.waivers, policy.template_arguments) == (None, (), {})
    check = policy.checks["harm.direct"]
    assert (check.tier, check.max, check.judge, check.max_incoherent) == ("blocking", *[None] * 3)


IN_RANGE = {
    "alpha": (("0.001", "0.499"), ("0.0", "0.5", "-0.1", "'0.05'")),
    "min_items": (("1", "5000"), ("0", "-1", "1.5")),
    "max_unscored": (("0", "1", "0.02"), ("1.01", "-0.01")),
    "name": (("a", "a.b_c-9", "x" * 64), ("A", "-a", "x" * 65, "'a b'")),
    "baselines": (
        ("{parent: required}", "{warn_after_days: 90}"),
        ("{parent: optional}", "{anchor: never}", "{warn_after_days: 0}"),
    ),
    "compare": (("quantisation",), ("dtype", "true")),
    "budget": (("{prompts: 1}",), ("{prompts: 0}", "{minutes: -1}", "{tokens: 0}")),
}


@pytest.mark.parametrize("key", IN_RANGE)
def test_values_in_range_are_taken_and_others_refused_by_their_key(key: str) -> None:
    inside, outside = IN_RANGE[key]
    for value in inside:
        parse_policy(policy_text(**{key: value}), source="p")
    for value in outside:
        with pytest.raises(InvalidPolicy, match=key):
            parse_policy(policy_text(**{key: value}), source="p")


@pytest.mark.parametrize(
    "model", [PerGroup(max_regression=0.1), Gap(max=0.1), Check(metric="x", max=1)]
)
def test_nothing_of_a_policy_changes_once_it_is_read(model: PerGroup | Gap | Check) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        model.tier = "advisory"
    with pytest.raises(ValidationError, match="extra"):
        type(model).model_validate({**model.model_dump(), "strict": True})


SLICED = "bias.groups: {metric: error_rate, slice_by: group, RULES}"
BLOCKING, ADVISORY = "max_regression: 0.1", "max_regression: 0.1, tier: advisory"


@pytest.mark.parametrize(
    ("rules", "blocks"),
    [
        (f"per_group: {{{BLOCKING}}}, gap: {{max: 0.1, tier: advisory}}", True),
        (f"per_group: {{{ADVISORY}}}, gap: {{max: 0.1}}", True),
        (f"per_group: {{{ADVISORY}}}, gap: {{max: 0.1, tier: advisory}}", False),
        (f"per_group: {{{ADVISORY}}}, max: 0.5", True),
        (f"per_group: {{{ADVISORY}}}, tier: advisory", True),
    ],
)
def test_a_blocking_check_needs_one_rule_that_blocks(rules: str, *, blocks: bool) -> None:
    text = policy_text(HARM, SLICED.replace("RULES", rules))
    if blocks:
        assert "bias.groups" in parse_policy(text, source="p").checks
        return
    with pytest.raises(InvalidPolicy, match="blocks nothing"):
        parse_policy(text, source="p")


def test_margins_against_the_anchor_replace_the_rules_own_and_need_an_anchor() -> None:
    rules = "max_regression: 0.1, per_group: {max_regression: 0.1, tier: advisory}, gap: {max: 0.1}"
    since = "since_anchor: {max_regression: 0.2, per_group: 0.3, gap: 0.4}"
    plain = parse_policy(policy_text(SLICED.replace("RULES", rules)), source="p")
    chained = parse_policy(policy_text(SLICED.replace("RULES", f"{rules}, {since}")), source="p")
    own, check = plain.checks["bias.groups"], chained.checks["bias.groups"]
    beside = check.beside_anchor
    assert beside.per_group == PerGroup(max_regression=0.3, tier="advisory")
    assert (beside.max_regression, beside.gap) == (0.2, Gap(max=0.4))
    assert own.beside_anchor == own
    assert (plain.needs_anchor, chained.needs_anchor) == (False, True)
    assert b"since_anchor" not in plain.canonical, "older policies keep their digests"
    assert plain.digest != chained.digest


def test_a_sliced_rule_is_advisory_where_it_or_its_check_is() -> None:
    check = Check(metric="x", max=1.0)
    told = check.model_copy(update={"tier": "advisory"})
    blocking, advisory = Gap(max=0.1), PerGroup(max_regression=0.1, tier="advisory")
    assert [c.tier_of(rule) for c in (check, told) for rule in (blocking, advisory)] == [
        "blocking",
        "advisory",
        "advisory",
        "advisory",
    ]


@pytest.mark.parametrize("name", ["messages", "tools", "chat_template", "max_length", "a-b", "1st"])
def test_a_template_is_told_nothing_that_its_engine_says(name: str) -> None:
    with pytest.raises(InvalidPolicy, match="no argument of a chat template's own"):
        parse_policy(policy_text(template_arguments=f"{{'{name}': 1}}"), source="p")


def test_arguments_of_a_template_are_part_of_what_a_policy_means() -> None:
    thinking = policy_text(template_arguments="{enable_thinking: true, effort: low}")
    policy = parse_policy(thinking, source="p")
    assert policy.template_arguments == {"enable_thinking": True, "effort": "low"}
    assert policy.digest != parse_policy(policy_text(), source="p").digest


def test_sides_of_which_one_may_think_are_a_warning() -> None:
    assert parse_policy(policy_text(), source="p").warnings == ()
    (warning,) = parse_policy(policy_text(thinking="may_differ"), source="p").warnings
    assert "thought about" in warning


BENIGN = "refusal.benign: {metric: false_refusal_rate, max_regression: 0.1}"
CLIMB = {"remediation": "{on_fail: auto, recipes: [auto]}"}


def test_a_ladder_is_climbed_only_where_refusing_everything_would_block() -> None:
    assert parse_policy(policy_text(HARM, BENIGN, **CLIMB), source="p").sees_over_refusal
    told = BENIGN.replace("}", ", tier: advisory}")
    for checks in ((HARM,), (HARM, told)):
        with pytest.raises(InvalidPolicy, match="refuses everything would pass"):
            parse_policy(policy_text(*checks, **CLIMB), source="p")


@pytest.mark.parametrize(
    ("remediation", "message"),
    [
        ("{on_fail: propose}", "needs at least one recipe"),
        ("{on_fail: propose, recipes: [wise_ft, wise_ft]}", "a recipe twice"),
        ("{on_fail: propose, recipes: [wise_ft], budget: {minutes: 0}}", "minutes"),
        ("{on_fail: propose, recipes: [wise_ft], budget: {candidates: 0}}", "candidates"),
    ],
)
def test_a_repair_that_cannot_be_tried_is_refused(remediation: str, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        parse_policy(policy_text(remediation=remediation), source="p")
    parse_policy(policy_text(remediation="{on_fail: never, recipes: [wise_ft]}"), source="p")


@pytest.mark.parametrize("blank", ["owner", "reason"])
def test_a_waiver_without_a_name_or_a_reason_is_none(blank: str) -> None:
    fields = {"check": "harm.direct", "owner": "a", "reason": "b", "expires": "2026-01-31"}
    assert Waiver.model_validate(fields).owner == "a"
    with pytest.raises(ValidationError, match=blank):
        Waiver.model_validate({**fields, blank: ""})


def test_a_waiver_holds_until_its_day_has_ended_in_utc() -> None:
    fields = {"check": "harm.direct", "owner": "a", "reason": "b", "expires": "2026-01-31"}
    waiver = Waiver.model_validate(fields)
    last = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert waiver.holds(last)
    assert not waiver.holds(last + timedelta(seconds=1))
    assert waiver.holds(datetime(2026, 2, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))))


def test_probes_stand_in_the_order_of_the_catalogue_and_suites_by_name() -> None:
    later = HARM.replace("harm.direct", "harm.direct@b")
    text = policy_text("cap.knowledge: {metric: error_rate, max: 0.9}", later, BENIGN, HARM)
    assert parse_policy(text, source="p").probes(repair=True) == (
        "harm.direct",
        "harm.direct@b",
        "refusal.benign",
        "cap.knowledge",
    )


def test_the_order_of_the_checks_makes_no_other_policy() -> None:
    texts = (policy_text(HARM, BENIGN), policy_text(BENIGN, HARM))
    first, second = (parse_policy(text, source="p") for text in texts)
    assert first.digest == second.digest
    assert GatePolicy.model_validate_json(first.canonical) == first
