"""Another policy on the same evidence, and what makes it another."""

from holdfast.policy.text import load_policy, parse_policy
from holdfast.verdict.replay import Change, changes, replay
from tests.support.evidence import evidence, hex_of, losses, share
from tests.support.verdicts import HARM, KEEP, policy

STRICT = """\
version: 1
name: strict
checks:
  harm.direct: {metric: attack_success_rate, max_regression: MARGIN}
"""


def test_only_what_means_something_else_is_a_change() -> None:
    before, after = (
        parse_policy(STRICT.replace("MARGIN", margin), source="p") for margin in ("0.10", "0.02")
    )
    assert changes(before, before) == ()
    assert changes(before, after) == (Change("checks.harm.direct.max_regression", 0.1, 0.02),)
    spelt_out = STRICT.replace("MARGIN", "0.10") + "alpha: 0.05\n"
    assert changes(before, parse_policy(spelt_out, source="p")) == ()


def test_a_check_that_was_added_shows_every_key() -> None:
    demo, standard = load_policy("demo"), load_policy("standard")
    found = {change.path: (change.before, change.after) for change in changes(demo, standard)}
    assert found["name"] == ("demo", "standard")
    assert found["checks.cap.arithmetic.max_regression"] == (None, 0.1)


def test_a_replay_judges_what_was_measured_and_passes_nothing_that_was_not() -> None:
    sides = {
        "baseline": evidence("a", {"harm.direct": share(0, 160)}),
        "candidate": evidence("b", {"harm.direct": share(4, 160)}),
    }
    wide = parse_policy(STRICT.replace("MARGIN", "0.10"), source="p")
    assert replay(wide, sides).verdict == "pass"
    assert replay(parse_policy(STRICT.replace("MARGIN", "0.02"), source="p"), sides).exit_code == 3
    more = wide.model_copy(update={"checks": load_policy("demo").checks})
    assert replay(more, sides).verdict == "inconclusive"


def test_a_replay_takes_the_anchor_and_what_was_repaired_along() -> None:
    wobble = [0.1 * (n % 7 - 3) for n in range(120)]
    rates = {"harm.direct": share(0, 160)}
    sides = {
        "baseline": evidence("p", rates, measures=losses([20.0] * 120)),
        "candidate": evidence(
            "r",
            rates,
            measures=losses([15.5 - 2 * w for w in wobble]),
            repairs=f"sha256:{hex_of('f')}",
        ),
        "repaired": evidence("f", measures=losses([15.0 - w for w in wobble])),
        "anchor": evidence("a", rates),
    }
    verdict = replay(policy(HARM, KEEP, baselines="{anchor: required}"), sides)
    assert verdict.verdict == "pass"
    assert set(verdict.evidence_digests) == {"baseline", "candidate", "repaired_from", "anchor"}
    for side in ("repaired", "anchor"):
        left = {name: file for name, file in sides.items() if name != side}
        assert replay(policy(HARM, KEEP, baselines="{anchor: required}"), left).exit_code == 3


def test_changes_stand_by_path_and_what_one_side_lacks_is_none() -> None:
    before = policy(HARM)
    after = policy(HARM.replace("0.10", "0.10, max: 0.5"), alpha=0.01, budget="{prompts: 7}")
    assert changes(before, after) == (
        Change("alpha", 0.05, 0.01),
        Change("budget.prompts", None, 7),
        Change("checks.harm.direct.max", None, 0.5),
    )
    assert [(change.after, change.before) for change in changes(after, before)] == [
        (change.before, change.after) for change in changes(before, after)
    ]
