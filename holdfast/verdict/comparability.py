"""Checks that two evidence files may be compared at all, and lists every difference.

Rates measured by another judge, on other items, under another template or by another backend are
not smaller or larger, they are something else. Every difference is listed, and each one makes the
verdict inconclusive. Files that are whole and well-formed but cannot carry a verdict (unfinished,
stopped early, a repair without the checkpoint that it repairs) are named here as well.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.evidence.file import Evidence
from holdfast.evidence.manifest import Manifest
from holdfast.policy.model import GatePolicy

SAME_DTYPE = "; set HOLDFAST_DTYPE to one of the two and ask the other side again"
BY_NAME = "; a policy with `compare: quantisation` measures what quantising the parent changes"
TO_DO = {"backend.dtype:": SAME_DTYPE, "backend.quantisation:": BY_NAME}


def differences(
    baseline: Manifest, candidate: Manifest, *, compare: str | None = None
) -> tuple[str, ...]:
    """The differences between two manifests, as `where: baseline's / candidate's`.

    But for what the policy sets out to `compare`: a quantised candidate with a parent that is not.
    """
    if compare == "quantisation" and baseline.backend.quantisation is None:
        parents = candidate.backend.model_copy(update={"quantisation": None})
        candidate = candidate.model_copy(update={"backend": parents})
    return tuple(_differences(baseline, candidate))


def compared(baseline: Manifest, candidate: Manifest) -> str:
    """The difference that a policy with `compare: quantisation` measures."""
    ours, theirs = baseline.backend.quantisation, candidate.backend.quantisation
    return f"quantisation: {ours or 'none'} / {theirs or 'none'}"


def obstacles(files: Mapping[str, Evidence], policy: GatePolicy) -> tuple[str, ...]:
    """Why these files can carry no verdict, whatever their numbers say; empty where they can.

    `files` are `baseline`, `candidate` and, where there are such, `repaired_from` and `anchor`.
    """
    reasons = [why for name, file in files.items() for why in _unusable(name, file, policy)]
    if policy.needs_anchor and "anchor" not in files:
        reasons.append("the policy requires an anchor, whose evidence is missing (--anchor)")
    reasons += _thoughts(files) if policy.thinking == "must_agree" else ()
    quantised = files["candidate"].manifest.backend.quantisation
    if policy.compare == "quantisation" and quantised is None:
        reasons.append(
            "the policy compares a quantised candidate with its parent, and this candidate is not "
            "quantised; use a policy without `compare`"
        )
    return (*reasons, *_repair_obstacles(files["candidate"].manifest, files.get("repaired_from")))


def _differences(baseline: Manifest, candidate: Manifest) -> Iterator[str]:
    for line in _fields("backend", baseline.backend.model_dump(), candidate.backend.model_dump()):
        yield line + next((what for key, what in TO_DO.items() if line.startswith(key)), "")
    yield from _fields("sampling", baseline.sampling.model_dump(), candidate.sampling.model_dump())
    if not candidate.deployed_template:  # such a repair is judged as weights and template together
        yield from _fields(
            "template",
            {"sha256": baseline.template_sha256},
            {"sha256": candidate.template_sha256},
        )
    yield from _fields("judges", dict(baseline.judges), dict(candidate.judges))
    yield from _fields("suites", dict(baseline.suites), dict(candidate.suites))


def _thoughts(files: Mapping[str, Evidence]) -> Iterator[str]:
    """Sentences where one side thinks before it answers and the other does not."""
    candidate = _thinks(files["candidate"])
    for name in ("baseline", "anchor"):
        if name in files and _thinks(files[name]) != candidate:
            thinker, other = ("candidate", name) if candidate else (name, "candidate")
            yield (
                f"the {thinker} thinks before it answers and the {other} does not; set "
                "template_arguments so that both do or neither, or thinking: may_differ"
            )


def _thinks(file: Evidence) -> bool:
    return file.manifest.thinking is not None and file.manifest.thinking.is_the_rule


def _fields(where: str, ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    for key in sorted(ours.keys() | theirs.keys()):
        if key not in ours or key not in theirs or ours[key] != theirs[key]:
            yield f"{where}.{key}: {_shown(ours, key)} / {_shown(theirs, key)}"


def _shown(values: dict[str, Any], key: str) -> str:
    return str(values[key])[:64] if key in values else "absent"


def _unusable(role: str, file: Evidence, policy: GatePolicy) -> Iterator[str]:
    name = "repaired candidate" if role == "repaired_from" else role
    if not file.manifest.complete:
        yield f"the {name}'s evidence is incomplete: its run did not finish"
    if role != "repaired_from" and not (
        file.trials or file.measures
    ):  # it is asked retention alone
        yield f"the {name}'s evidence holds no trials"
    stopped = sorted(p for p, plan in file.manifest.plan.items() if plan.stopped_at is not None)
    for probe in () if policy.sequential else stopped:
        yield f"the {name} stopped {probe} early, which only a sequential policy allows"


def _repair_obstacles(candidate: Manifest, repaired_from: Evidence | None) -> Iterator[str]:
    if candidate.repairs is None:
        if repaired_from is not None:
            yield "a repaired candidate was given, but this candidate's manifest repairs nothing"
        return
    if repaired_from is None:
        yield (
            f"the candidate repairs {candidate.repairs}, whose evidence is missing "
            "(--repaired-from)"
        )
        return
    digest = repaired_from.manifest.checkpoint.digest
    if digest != candidate.repairs:
        yield f"the candidate repairs {candidate.repairs}, but the evidence given is of {digest}"
    for difference in _differences_of_shared(repaired_from.manifest, candidate):
        yield f"the repaired candidate was measured otherwise: {difference}"


def _differences_of_shared(repaired_from: Manifest, candidate: Manifest) -> tuple[str, ...]:
    """As `differences`, but judges and suites that `repaired_from` lacks count as equal."""
    return differences(
        repaired_from.model_copy(
            update={
                "judges": {**candidate.judges, **repaired_from.judges},
                "suites": {**candidate.suites, **repaired_from.suites},
            }
        ),
        candidate,
    )
