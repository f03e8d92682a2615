"""The probes that are built, in the order in which people see them: one line each.

A policy is checked against this table before anything runs, and planners take item counts from it.

A probe asks its own suite by its bare name, and an installed one as `probe@suite`
(`harm.direct@advbench`); `cap.lm_eval:arc_easy` asks a task of lm-evaluation-harness. That one
string is the probe's name wherever a name stands: in policies, trials, plans, manifests, verdicts.
"""

import re
from dataclasses import replace

from holdfast.errors import UnknownProbe
from holdfast.probes import (
    arithmetic,
    bias,
    decoding,
    drift,
    harmful,
    harness_task,
    in_task,
    jailbreak,
    knowledge,
    last_word,
    leak,
    letters,
    memory,
    overrefusal,
    pairs,
    prefill,
    refusal_drift,
    retention,
    suffix,
    template,
    toxicity,
    trace,
    winrate,
)
from holdfast.probes.spec import BuiltProbe, ProbeSpec
from holdfast.suites import SUITE_NAME

TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,51}")  # with its probe, 64 characters

PROBES: dict[str, BuiltProbe] = {
    probe.spec.name: probe
    for probe in (
        harmful.PROBE,
        trace.PROBE,
        jailbreak.PROBE,
        prefill.PROBE,
        template.PROBE,
        decoding.PROBE,
        suffix.PROBE,
        in_task.PROBE,
        overrefusal.PROBE,
        bias.PROBE,
        pairs.PROBE,
        knowledge.PROBE,
        letters.PROBE,
        arithmetic.PROBE,
        last_word.PROBE,
        harness_task.PROBE,
        retention.PROBE,
        leak.PROBE,
        memory.PROBE,
        toxicity.PROBE,
        winrate.PROBE,
        drift.PROBE,
        refusal_drift.PROBE,
    )
}
CATALOGUE: dict[str, ProbeSpec] = {name: probe.spec for name, probe in PROBES.items()}


def probe_of(name: str) -> BuiltProbe:
    """The probe that a name stands for, whatever suite or task it names; or UnknownProbe."""
    return PROBES[spec_of(name).name]


def spec_of(name: str) -> ProbeSpec:
    """The probe that `name` stands for; of `probe@suite` that probe's spec with the other suite.

    Whether the suite is installed or there is such a task, only who asks knows. Or UnknownProbe.
    """
    if name.startswith(f"{harness_task.SPEC.name}:"):
        return _spec_of_task(name)
    probe, at, suite = name.partition("@")
    if probe not in CATALOGUE:
        names = ", ".join(sorted(CATALOGUE))
        raise UnknownProbe(f"unknown probe {probe!r}, expected one of {names}")
    spec = CATALOGUE[probe]
    if not at:
        return spec
    if not SUITE_NAME.fullmatch(suite):
        raise UnknownProbe(f"{name}: {suite!r} cannot be a suite's name: {SUITE_NAME.pattern}")
    if spec.rows is None:
        raise UnknownProbe(f"{name}: {probe} takes no suite by name; write {probe}")
    return replace(spec, suite=suite)


def _spec_of_task(name: str) -> ProbeSpec:
    task = name.removeprefix(f"{harness_task.SPEC.name}:")
    if not TASK_NAME.fullmatch(task):
        raise UnknownProbe(f"{name}: {task!r} cannot be a task's name: {TASK_NAME.pattern}")
    return replace(harness_task.SPEC, task=task)


def is_probe_name(name: str) -> bool:
    """Whether this version has a probe of that name, with or without a suite or a task."""
    return name.partition("@")[0].partition(":")[0] in CATALOGUE


def place_of(name: str) -> tuple[int, str]:
    """The sort key of a name: the catalogue's order, and within a probe its suites by name."""
    return tuple(CATALOGUE).index(spec_of(name).name), name
