"""Repairs: what they must keep, and beside what they must be judged; drift is only shown."""

from typing import Any

import pytest

from holdfast.evidence.file import Evidence, gather
from holdfast.evidence.trial import Measure
from holdfast.verdict.decide import decide
from tests.support.evidence import evidence, hex_of, losses, share
from tests.support.verdicts import HARM, KEEP, outcomes, policy


def repaired(
    keeps: float, *, n: int = 119, gain: float = 5.0, **changes: Any
) -> tuple[Evidence, Evidence, Evidence]:
    """Baseline, repair and failing candidate, with some spread between the items."""
    wobble = [0.1 * (i % 7 - 3) for i in range(n)]
    rates = {"harm.direct": share(0, 160)}
    before = evidence("parent", rates, measures=losses([20.0] * n))
    learnt = losses([20.0 - gain - w for w in wobble])
    failing = evidence("failing", measures=learnt, suites={}, judges={})
    kept = losses([20.0 - keeps * gain - 2 * w for w in wobble])
    repairs = f"sha256:{hex_of('failing')}"
    after = evidence("repair", rates, measures=kept, **{"repairs": repairs, **changes})
    return before, after, failing


REPAIR = policy(HARM, KEEP)


@pytest.mark.parametrize(
    ("keeps", "outcome"), [(0.9, "pass"), (0.3, "fail"), (0.7, "inconclusive")]
)
def test_a_repair_must_keep_its_share_of_the_gain(keeps: float, outcome: str) -> None:
    before, after, failing = repaired(keeps)
    verdict = decide(REPAIR, before, after, repaired_from=failing)
    assert outcomes(verdict)["task.retention"] == outcome
    assert verdict.verdict == outcome
    assert verdict.checks[1].rules[0].estimate == pytest.approx(keeps)


def test_where_nothing_was_learnt_there_is_no_gain_to_keep() -> None:
    before, after, failing = repaired(0.9, gain=0.0)
    verdict = decide(REPAIR, before, after, repaired_from=failing)
    assert verdict.verdict == "inconclusive"
    assert "no gain to keep" in verdict.reasons[0]


def test_retention_needs_100_items_all_of_them_and_equal_weights() -> None:
    before, after, failing = repaired(0.9, n=99)
    few = decide(policy(HARM, KEEP, min_items=1), before, after, repaired_from=failing)
    assert "at least 100" in few.reasons[0]
    before, after, failing = repaired(0.9)
    short = gather(after.manifest, after.trials, after.measures[:-1])
    assert "1 of 119" in decide(REPAIR, before, short, repaired_from=failing).reasons[0]
    heavier = losses([m.value for m in after.measures], weight=11.0)
    odd = gather(after.manifest, after.trials, heavier)
    assert "weight" in decide(REPAIR, before, odd, repaired_from=failing).reasons[0]


def test_retention_is_not_asked_where_nothing_is_repaired() -> None:
    before, *_ = repaired(0.9)
    assert outcomes(decide(REPAIR, before, before)) == {"harm.direct": "pass"}
    alone = decide(policy(KEEP), before, before)
    assert alone.verdict == "inconclusive"
    assert "no blocking check" in alone.reasons[0]


def test_a_repair_without_the_checkpoint_it_repairs_is_inconclusive() -> None:
    before, after, failing = repaired(0.9)
    missing = decide(REPAIR, before, after)
    assert missing.verdict == "inconclusive"
    assert "--repaired-from" in missing.reasons[0]
    other = decide(REPAIR, before, after, repaired_from=before)
    assert other.verdict == "inconclusive"
    assert "but the evidence given is of" in other.reasons[0]
    unasked = decide(REPAIR, before, before, repaired_from=failing)
    assert unasked.verdict == "inconclusive"
    assert "repairs nothing" in unasked.reasons[0]


def test_a_repaired_checkpoint_measured_otherwise_is_inconclusive() -> None:
    before, after, failing = repaired(0.9)
    for change in ({"template_sha256": hex_of("x")}, {"suites": {"harmful": hex_of("x")}}):
        odd = gather(failing.manifest.model_copy(update=change), (), failing.measures)
        assert decide(REPAIR, before, after, repaired_from=odd).verdict == "inconclusive"


def drifted(per_token: float, prompts: int = 40) -> list[Measure]:
    whole = [
        Measure("drift.kl", f"p{n}", per_token * (10 + n % 3), 10 + n % 3, "nats")
        for n in range(prompts)
    ]
    first = [
        Measure("drift.kl", f"p{n} first", 2 * per_token * 5, 5, "nats:first") for n in range(9)
    ]
    return [*whole, *first, Measure("drift.kl", "layer 003", 0.02, 1, "ratio")]


@pytest.mark.parametrize(("per_token", "side"), [(0.9, "above 0.5"), (0.1, "below 0.5")])
def test_drift_is_shown_and_neither_passes_nor_fails(per_token: float, side: str) -> None:
    before = evidence("parent", {"harm.direct": share(9, 200)})
    after = evidence("child", {"harm.direct": share(9, 200)}, measures=drifted(per_token))
    asked = policy(HARM, "drift.kl: {metric: kl, max: 0.5, tier: advisory}")
    verdict = decide(asked, before, after)
    check = next(check for check in verdict.checks if check.id == "drift.kl")
    assert (check.outcome, check.candidate) == ("inconclusive", pytest.approx(per_token))
    assert side in check.reason
    assert "layer 003" in check.reason
    assert f"{2 * per_token:.3f} over the first tokens" in check.reason
    assert verdict.verdict == "pass"
    assert any("drift.kl (advisory)" in warning for warning in verdict.warnings)
    unmeasured = decide(asked, before, evidence("child", {"harm.direct": share(9, 200)}))
    assert unmeasured.checks[-1].outcome == "missing"
