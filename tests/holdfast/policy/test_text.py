"""A check must fit what its probe measures, and a policy must be able to fail at all."""

from pathlib import Path

import pytest

from holdfast.errors import InvalidPolicy, NotBuilt
from holdfast.policy.text import (
    SHIPPED,
    load_policy,
    parse_policy,
    refuse_without_anchor,
    resolve_policy,
    shipped_policy,
)
from tests.support.verdicts import BENIGN, HARM, KEEP, policy

RATE = "metric: attack_success_rate"
LOSS = "task.retention: {metric: task_loss, "
UNFIT = {
    "a probe without its task": (
        "cap.lm_eval: {metric: error_rate, max: 0.5}",
        "names no task; name one as cap.lm_eval:TASK",
    ),
    "groups of a measure": (
        LOSS + "min_gain_kept: 0.7, slice_by: group}",
        "takes no max_regression, per_group or gap",
    ),
    "kept gain of another measure": (
        "drift.kl: {metric: kl, min_gain_kept: 0.7, tier: advisory}",
        "min_gain_kept belongs to task.retention",
    ),
    "kept gain of a rate": (
        f"harm.direct: {{{RATE}, max: 0.1, min_gain_kept: 0.7}}",
        "min_gain_kept belongs to task.retention",
    ),
    "a guard for what is no harm": (
        "refusal.benign: {metric: false_refusal_rate, max: 0.1, judge: guard}",
        "refusal.benign: judge guard grades harm",
    ),
    "another grader than its own": (
        "tox.continuation: {metric: toxicity_rate, max: 0.1, judge: rubric}",
        "add judge: guard",
    ),
    "coherence of what is no refusal": (
        "bias.groups: {metric: error_rate, max_incoherent: 0.1}",
        "max_incoherent cannot be asked of it",
    ),
    "a suite of what takes none": ("leak.pii@new: {metric: leak_rate, max: 0.1}", "takes no suite"),
}


@pytest.mark.parametrize(("check", "message"), UNFIT.values(), ids=UNFIT.keys())
def test_a_check_that_does_not_fit_its_probe_is_refused(check: str, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        policy(HARM.replace("direct", "prefill"), check)


FITTING = [
    f"harm.direct: {{{RATE}, max: 0.1, judge: guard}}",
    f"harm.jailbreak@mine: {{{RATE}, max: 1}}",
    "cap.lm_eval:arc_easy: {metric: error_rate, max_regression: 0.1}",
    "bias.pairs: {metric: stereotype_rate, slice_by: group, gap: {max: 0.1}}",
    "refusal.benign: {metric: false_refusal_rate, max_incoherent: 0.1}",
    "drift.kl: {metric: kl, max: 7.5, tier: advisory}",
    LOSS + "min_gain_kept: 0.7}",
]


@pytest.mark.parametrize("check", FITTING)
def test_a_check_that_fits_is_taken_as_it_stands(check: str) -> None:
    name = check.partition(": ")[0]
    assert set(policy("cap.knowledge: {metric: error_rate, max: 0.9}", check).checks) == {
        "cap.knowledge",
        name,
    }


def test_a_cap_on_a_measure_is_refused_as_not_built_and_not_as_wrong() -> None:
    with pytest.raises(NotBuilt, match="use min_gain_kept"):
        policy(HARM, LOSS + "max: 0.5}")


def test_a_waiver_of_nothing_names_the_checks_that_there_are() -> None:
    waiver = "[{check: harm.jailbreak, owner: ana, reason: known, expires: 2026-01-31}]"
    with pytest.raises(InvalidPolicy, match=r"expected one of harm\.direct, refusal\.benign"):
        policy(HARM, BENIGN, waivers=waiver)


def test_one_blocking_check_is_enough_and_none_is_not() -> None:
    advisory = HARM.replace("}", ", tier: advisory}")
    assert policy(advisory, BENIGN).checks["harm.direct"].tier == "advisory"
    with pytest.raises(InvalidPolicy, match="nothing could ever fail"):
        policy(advisory, BENIGN.replace("}", ", tier: advisory}"))


SAYINGS = {
    "max_regresion: 0.1": "unknown key checks.harm.direct.max_regresion; a misspelt rule",
    "max_regression: 2": "checks.harm.direct.max_regression: .*, found 2$",
    "max_regression: '0.1'": "found '0.1'$",
    f"max_regression: '{'x' * 90}'": "found 'x{59}$",
}


@pytest.mark.parametrize(("rule", "message"), SAYINGS.items())
def test_a_problem_is_told_with_its_place_and_the_value(rule: str, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        policy(f"harm.direct: {{{RATE}, {rule}}}")


def test_a_key_that_is_missing_is_said_to_be_missing() -> None:
    with pytest.raises(InvalidPolicy, match=r"^p: name is missing$"):
        parse_policy(f"version: 1\nchecks: {{{HARM}}}", source="p")


def test_a_required_anchor_must_be_given_and_an_optional_one_need_not() -> None:
    refuse_without_anchor(policy(HARM))
    refuse_without_anchor(policy(HARM, baselines="{anchor: optional}"))
    with pytest.raises(InvalidPolicy, match="found none"):
        refuse_without_anchor(policy(HARM, baselines="{anchor: required}"))
    chained = HARM.replace("}", ", since_anchor: {max_regression: 0.2}}")
    with pytest.raises(InvalidPolicy, match="requires an anchor"):
        refuse_without_anchor(policy(chained))


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_policy_is_read_by_its_name_as_from_its_file(path: Path) -> None:
    by_name = load_policy(path.stem)
    assert by_name == load_policy(path)
    assert by_name.name == path.stem
    assert by_name.sees_over_refusal


@pytest.mark.parametrize("name", ["canary", "demo", "release", "standard"])
def test_a_bare_name_is_the_shipped_policy_whatever_lies_in_the_working_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = f"version: 1\nname: own\nchecks: {{{HARM}}}\n"
    Path(name).write_text(own)
    text, shipped = resolve_policy(name)
    assert (text, shipped.name) == ((SHIPPED / f"{name}.yaml").read_text(), name)
    assert shipped == parse_policy(text, source="sent") == shipped_policy(name)[1]
    assert resolve_policy(f"./{name}") == (own, load_policy(tmp_path / name))
    assert load_policy(f"./{name}").name == "own"


def test_a_file_is_named_with_a_slash_or_a_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ours", "ours.yaml", "ours.policy"):
        Path(name).write_text(f"version: 1\nname: own\nchecks: {{{HARM}}}\n")
    for path in ("./ours", "ours.yaml", "ours.policy", str(tmp_path / "ours")):
        assert load_policy(path).name == "own"
    with pytest.raises(InvalidPolicy, match=r"unknown policy 'ours', .*demo.* write \./ours$"):
        load_policy("ours")
    with pytest.raises(InvalidPolicy, match=r"unknown policy 'theirs', .*, or a file's path$"):
        load_policy("theirs")


@pytest.mark.parametrize("word", ["./demo", "demo.yaml", "none"])
def test_what_a_server_is_sent_as_a_name_is_never_read_from_a_file(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(word).write_text(f"version: 1\nname: own\nchecks: {{{HARM}}}\n")
    with pytest.raises(InvalidPolicy, match="unknown policy"):
        shipped_policy(word)


def test_a_folder_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(InvalidPolicy, match="cannot be read"):
        load_policy(tmp_path)


def test_kept_gain_alone_is_a_policy_with_a_warning_and_beside_a_rate_without() -> None:
    assert policy(KEEP).warnings
    assert policy(KEEP, HARM).warnings == ()
