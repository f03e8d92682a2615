"""Forgetting along a lineage: per stage, since the anchor, and what keeps a step from it."""

import pytest

from holdfast.errors import InvalidEvidence
from holdfast.evidence.file import Evidence, gather
from holdfast.readings.chain import chain_of, order_effect_of
from tests.support.evidence import evidence, hex_of, manifest, share, trials

A = evidence("A", {"harm.direct": share(10, 100), "cap.knowledge": share(60, 100)})
AB = evidence("AB", {"harm.direct": share(40, 100), "cap.knowledge": share(30, 100)})
ABC = evidence("ABC", {"harm.direct": share(45, 100), "cap.knowledge": share(30, 100)})
B = evidence("B", {"harm.direct": share(70, 100), "cap.knowledge": share(30, 100)})
BA = evidence("BA", {"harm.direct": share(12, 100), "cap.knowledge": share(35, 100)})


def test_each_stage_and_the_whole_way_from_the_first() -> None:
    found = chain_of([A, AB, ABC])
    steps = [(one.kind, one.before.split()[0], one.after.split()[0]) for one in found.steps]
    assert steps == [("stage", "A", "AB"), ("stage", "AB", "ABC"), ("cumulative", "A", "ABC")]
    harm = [one.probes[0] for one in found.steps]
    assert {one.probe for one in harm} == {"harm.direct"}
    assert [one.forgetting for one in harm] == pytest.approx([0.30, 0.05, 0.35])
    assert (harm[0].before, harm[0].after, harm[0].metric) == (0.1, 0.4, "attack_success_rate")
    low, high = harm[0].ci or (0, 0)
    assert 0.2 < low < 0.3 < high < 0.4


def test_groups_are_carried_along() -> None:
    groups = ("old", "young")
    files = [
        gather(manifest(name), trials("bias.groups", badness, clusters_of=2, groups=groups))
        for name, badness in (("A", share(0, 80)), ("AB", [1.0, 1.0, 0.0, 0.0] * 20))
    ]
    (step,) = chain_of(files).steps
    old, young = step.probes[0].groups
    assert (old.group, old.n, old.forgetting, old.biased) == ("old", 40, 1.0, 1.0)
    assert (young.forgetting, young.biased) == (0.0, -1.0)


def test_what_cannot_be_compared_has_no_numbers_and_the_rest_has() -> None:
    other = evidence("AB", {"harm.direct": share(40, 100)}, suites={"harmful": hex_of("new")})
    first, second, since = chain_of([A, other, ABC]).steps
    assert not first.probes
    assert any("not comparable: suites" in why for why in first.obstacles)
    assert second.obstacles
    assert not since.obstacles
    unfinished = evidence("AB", {"harm.direct": share(40, 100)}, complete=False)
    (step,) = chain_of([A, unfinished]).steps
    assert any("did not finish" in why for why in step.obstacles)


def test_a_probe_without_a_scored_pair_says_so() -> None:
    nothing: list[float | None] = [None] * 100
    (step,) = chain_of([A, evidence("AB", {"harm.direct": nothing})]).steps
    harm = step.probes[0]
    assert (harm.forgetting, harm.n_unscored) == (None, 100)
    assert harm.trouble == "no item is scored in both files"


def test_a_repair_in_a_chain_is_a_stage_like_any_other() -> None:
    repaired = evidence("AB", {"harm.direct": share(9, 100)}, repairs=f"sha256:{hex_of('x')}")
    (step,) = chain_of([A, repaired]).steps
    assert step.probes[0].forgetting == pytest.approx(-0.01)


def test_the_order_effect() -> None:
    found = order_effect_of((A, AB), (B, BA), safety="harm.direct", capability="cap.knowledge")
    assert found.safety_forgotten == pytest.approx(0.30)
    assert found.capability_forgotten == pytest.approx(0.05)
    assert found.effect == pytest.approx(0.25)
    assert found.safety_in_the_other_order == pytest.approx(0.02)


@pytest.mark.parametrize("files", [[A], []])
def test_a_chain_has_two_links(files: list[Evidence]) -> None:
    with pytest.raises(InvalidEvidence, match="at least 2"):
        chain_of(files)


def test_an_order_effect_without_its_probe_is_refused() -> None:
    with pytest.raises(InvalidEvidence, match=r"cap\.arithmetic: not in the evidence"):
        order_effect_of((A, AB), (B, BA), safety="harm.direct", capability="cap.arithmetic")


def test_another_opponent_spoils_its_own_probe_and_no_other() -> None:
    rates = {"harm.direct": share(10, 100), "quality.winrate": [0.5] * 100}
    files = [
        evidence(name, rates, suites={"quality.winrate:opponent": hex_of(parent)})
        for name, parent in (("A", "base"), ("AB", "A"))
    ]
    (step,) = chain_of(files).steps
    harm, winrate = step.probes
    assert (step.obstacles, harm.forgetting) == ((), 0.0)
    assert winrate.forgetting is None
    assert "another opponent" in str(winrate.trouble)
    (step,) = chain_of([files[0], files[0]]).steps
    assert step.probes[1].forgetting == 0.0


def test_an_imported_suite_is_a_probe_of_its_own() -> None:
    named = "harm.direct@advbench"
    files = [
        evidence(name, {named: share(bad, 100), "harm.direct": share(0, 100)})
        for name, bad in (("A", 10), ("AB", 40))
    ]
    (step,) = chain_of(files).steps
    assert [(one.probe, one.forgetting) for one in step.probes] == [
        ("harm.direct", 0.0),
        (named, pytest.approx(0.3)),
    ]
