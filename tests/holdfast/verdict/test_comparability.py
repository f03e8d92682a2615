"""Every difference and obstacle by name, and on which side it is."""

from typing import Any

import pytest

from holdfast.evidence.file import Evidence
from holdfast.policy.model import GatePolicy
from holdfast.verdict.comparability import differences, obstacles
from tests.support.evidence import evidence, hex_of, losses, manifest, share
from tests.support.verdicts import HARM, policy

PLAIN = policy(HARM)
RATES = {"harm.direct": share(0, 160)}


def side(name: str, **changes: Any) -> Evidence:
    return evidence(name, RATES, **changes)


def in_the_way(rules: GatePolicy = PLAIN, **files: Evidence) -> tuple[str, ...]:
    return obstacles({"baseline": side("p"), "candidate": side("c"), **files}, rules)


def test_equal_manifests_do_not_differ_and_other_weights_are_no_difference() -> None:
    assert differences(manifest("p"), manifest("c")) == ()
    later = manifest("c", created_at="2027-01-31T12:00:00Z", notes=["odd"])
    assert differences(manifest("p"), later) == ()


def test_differences_stand_in_the_order_of_their_places_with_the_baselines_value_first() -> None:
    other = manifest(
        "c",
        backend={"name": "scripted", "version": "1", "dtype": "float32", "max_model_len": 64},
        sampling={"temperature": 0.5, "max_tokens": 48, "seed": 0},
        template_sha256=hex_of("other"),
        judges={name: hex_of(name) for name in ("refusal", "coherence", "choice", "word")},
        suites={"harmful": hex_of("harmful")},
    )
    found = differences(manifest("p"), other)
    assert found == (
        "backend.max_model_len: absent / 64",
        "sampling.temperature: 0.0 / 0.5",
        f"template.sha256: {hex_of('template')} / {hex_of('other')}",
        f"judges.word: absent / {hex_of('word')}",
        f"suites.benign: {hex_of('benign')} / absent",
    )
    turned = [
        line.partition(": ")[2].partition(" / ") for line in differences(other, manifest("p"))
    ]
    assert [(after, before) for before, _, after in turned] == [
        (line.partition(": ")[2].partition(" / ")[0], line.partition(" / ")[2]) for line in found
    ]


@pytest.mark.parametrize("deploys", ["baseline", "candidate"])
def test_only_a_candidate_may_bring_its_own_template(deploys: str) -> None:
    served = manifest(template_sha256=hex_of("safe"), deployed_template=True)
    sides = (served, manifest()) if deploys == "baseline" else (manifest(), served)
    assert len(differences(*sides)) == (deploys == "baseline")


@pytest.mark.parametrize("role", ["baseline", "candidate", "anchor"])
def test_a_file_that_carries_nothing_is_named(role: str) -> None:
    assert in_the_way() == ()
    (unfinished,) = in_the_way(**{role: side("x", complete=False)})
    assert unfinished == f"the {role}'s evidence is incomplete: its run did not finish"
    assert in_the_way(**{role: evidence("x")}) == (f"the {role}'s evidence holds no trials",)
    assert in_the_way(**{role: evidence("x", measures=losses([1.0]))}) == ()


@pytest.mark.parametrize("role", ["baseline", "candidate", "anchor"])
def test_every_probe_that_stopped_early_is_named_unless_the_policy_is_sequential(role: str) -> None:
    stops = {probe: {"items": 160, "stopped_at": 9} for probe in ("refusal.benign", "harm.direct")}
    plan = {**stops, "cap.knowledge": {"items": 9}}
    stopped = {role: side("x", plan=plan)}
    assert in_the_way(**stopped) == tuple(
        f"the {role} stopped {probe} early, which only a sequential policy allows"
        for probe in ("harm.direct", "refusal.benign")
    )
    assert in_the_way(policy(HARM, sequential="true"), **stopped) == ()


def test_an_anchor_is_asked_for_only_where_the_policy_requires_one() -> None:
    required = policy(HARM, baselines="{anchor: required}")
    (missing,) = in_the_way(required)
    assert "requires an anchor" in missing
    assert in_the_way(required, anchor=side("a")) == ()


OFTEN = {"answers": 100, "traces": 100, "forced": 0, "trace_tokens": 256}
SELDOM = {**OFTEN, "traces": 1}


@pytest.mark.parametrize(
    ("thinkers", "said"),
    [
        (
            {"candidate"},
            [
                "the candidate thinks before it answers and the baseline does not",
                "the candidate thinks before it answers and the anchor does not",
            ],
        ),
        ({"baseline"}, ["the baseline thinks before it answers and the candidate does not"]),
        ({"baseline", "candidate"}, ["the candidate thinks before it answers and the anchor does"]),
        ({"anchor"}, ["the anchor thinks before it answers and the candidate does not"]),
        ({"baseline", "candidate", "anchor"}, []),
    ],
)
def test_sides_of_which_one_thinks_are_named(thinkers: set[str], said: list[str]) -> None:
    files = {
        name: side(name, thinking=OFTEN if name in thinkers else SELDOM)
        for name in ("baseline", "candidate", "anchor")
    }
    reasons = in_the_way(**files)
    assert len(reasons) == len(said)
    assert all(reason.startswith(start) for reason, start in zip(reasons, said, strict=True))
    assert in_the_way(policy(HARM, thinking="may_differ"), **files) == ()


FAILING = f"sha256:{hex_of('f')}"


def test_a_repair_and_what_it_repairs_belong_together() -> None:
    repair = side("r", repairs=FAILING)
    assert in_the_way(candidate=repair, repaired_from=side("f")) == ()
    (missing,) = in_the_way(candidate=repair)
    assert (
        missing == f"the candidate repairs {FAILING}, whose evidence is missing (--repaired-from)"
    )
    (other,) = in_the_way(candidate=repair, repaired_from=side("g"))
    assert other == (
        f"the candidate repairs {FAILING}, but the evidence given is of sha256:{hex_of('g')}"
    )
    (unasked,) = in_the_way(repaired_from=side("f"))
    assert "this candidate's manifest repairs nothing" in unasked


def test_what_is_repaired_needs_no_trials_and_no_suites_but_those_it_has_must_agree() -> None:
    repair = side("r", repairs=FAILING)
    bare = evidence("f", measures=losses([1.0]), judges={}, suites={})
    assert in_the_way(candidate=repair, repaired_from=bare) == ()
    assert in_the_way(candidate=repair, repaired_from=evidence("f", judges={}, suites={})) == ()
    (unfinished,) = in_the_way(candidate=repair, repaired_from=side("f", complete=False))
    assert unfinished.startswith("the repaired candidate's evidence is incomplete")
    for changes in ({"judges": {"refusal": hex_of("x")}}, {"suites": {"harmful": hex_of("x")}}):
        (other,) = in_the_way(candidate=repair, repaired_from=side("f", **changes))
        assert other.startswith("the repaired candidate was measured otherwise: ")
        assert (
            f": {hex_of('x')} / {hex_of('refusal' if 'judges' in changes else 'harmful')}" in other
        )
