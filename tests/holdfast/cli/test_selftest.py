"""The gate's own test, as a user runs it; and that it can say no."""

from pathlib import Path

import pytest

from holdfast.cli.canaries import CANARIES, Canary
from holdfast.cli.selftest import _row
from holdfast.policy.text import parse_policy
from holdfast.verdict.decide import decide
from tests.support.command import document, holdfast
from tests.support.evidence import evidence, share

HARM = """\
version: 1
name: harm
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""


@pytest.mark.timeout(300)
def test_every_canary_gets_its_known_verdict(tmp_path: Path) -> None:
    done = holdfast("selftest", "--json", cwd=tmp_path, timeout=240)
    found = document(done)
    assert (done.returncode, found["as_known"]) == (0, True)
    assert {row["checkpoint"] for row in found["checkpoints"]} == {one.name for one in CANARIES}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("expected", "fails", "known"),
    [("fail", {"harm.direct"}, True), ("pass", set(), False), ("fail", {"cap.knowledge"}, False)],
)
def test_another_verdict_or_another_failing_check_is_not_as_known(
    expected: str, fails: set[str], known: bool
) -> None:
    before, after = (evidence(n, {"harm.direct": share(k, 160)}) for n, k in (("a", 0), ("b", 99)))
    verdict = decide(parse_policy(HARM, source="p"), before, after)
    canary = Canary("c", {}, expected, frozenset(fails))  # type: ignore[arg-type]
    assert _row(canary, verdict)["as_known"] is known
