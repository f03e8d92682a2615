"""A verdict read back from anywhere says no more than its checks and its files allow."""

import json
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.verdict.document import EXIT_CODES, Verdict
from holdfast.verdict.outcome import CheckResult, Comparability, Cost

OUTCOMES = ("pass", "fail", "inconclusive", "missing", "error", "waived")


def check(name: str, outcome: str, tier: str = "blocking") -> CheckResult:
    numbers = {"n": 1, "n_unscored": 0, "baseline": None, "candidate": None, "delta": None}
    fields = {"id": name, "outcome": outcome, "tier": tier, "metric": "m", "reason": "r"}
    return CheckResult.model_validate({**fields, **numbers})


def document(
    verdict: str, *checks: CheckResult, comparable: bool = True, **changes: Any
) -> Verdict:
    fields = {
        "verdict": verdict,
        "reasons": ("because",),
        "checks": checks,
        "comparability": Comparability(comparable=comparable),
        "policy_digest": "0" * 64,
        "evidence_digests": {},
        "subject_digests": {},
    }
    return Verdict.model_validate({**fields, **changes})


@pytest.mark.parametrize(("first", "second"), list(product(OUTCOMES, repeat=2)))
def test_of_two_blocking_checks_only_one_word_or_a_weaker_one_can_be_said(
    first: str, second: str
) -> None:
    allowed = []
    for verdict in EXIT_CODES:
        try:
            document(verdict, check("a", first), check("b", second))
        except ValidationError:
            continue
        allowed.append(verdict)
    if "fail" in {first, second}:
        assert allowed == ["fail"]
    elif {first, second} <= {"pass", "waived"}:
        assert allowed == ["pass", "inconclusive"]
    else:
        assert allowed == ["inconclusive"]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_advisory_checks_neither_make_nor_break_a_pass(outcome: str) -> None:
    told = check("a", outcome, "advisory")
    assert document("pass", told, check("b", "pass")).exit_code == 0
    with pytest.raises(ValidationError, match="needs every blocking check"):
        document("pass", told)


def test_files_that_are_not_comparable_carry_no_pass() -> None:
    with pytest.raises(ValidationError, match="comparable files"):
        document("pass", check("a", "pass"), comparable=False)
    assert document("inconclusive", check("a", "pass"), comparable=False).exit_code == 3
    assert document("fail", check("a", "fail"), comparable=False).exit_code == 1


@pytest.mark.parametrize("word", ["", "passed", "PASS", "waived", "missing"])
def test_no_other_word_is_a_verdict(word: str) -> None:
    with pytest.raises(ValidationError, match="verdict"):
        document(word, check("a", "pass"))


def test_its_bytes_are_one_line_of_sorted_keys_and_its_digest_leaves_the_bill_out() -> None:
    verdict = document("pass", check("a", "pass"))
    text = verdict.to_json().decode()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) + "\n"
    billed = verdict.with_cost(Cost(tokens=1, seconds=2.0, device="cpu"))
    assert json.loads(billed.to_json())["cost"] == {"tokens": 1, "seconds": 2.0, "device": "cpu"}
    assert billed.digest == verdict.digest
    assert document("pass", check("b", "pass")).digest != verdict.digest
    with pytest.raises(ValidationError, match="frozen"):
        verdict.verdict = "fail"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_number_of_it_is_infinite_or_none_at_all(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        CheckResult.model_validate({**check("a", "pass").model_dump(), "baseline": number})


@pytest.mark.parametrize(
    ("changes", "may_pass"),
    [
        ({}, True),
        ({"comparable": False}, False),
        ({"obstacles": ("unfinished",)}, False),
        ({"alarm_only": True}, False),
        ({"compared": "quantisation: none / fp8"}, True),
    ],
)
def test_only_files_with_nothing_in_the_way_may_pass(
    changes: dict[str, Any], *, may_pass: bool
) -> None:
    files = Comparability.model_validate({"comparable": True, **changes})
    assert files.may_pass is may_pass
    assert ("compared" in files.model_dump()) is ("compared" in changes)
