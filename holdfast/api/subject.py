"""Whether a verdict is about what was submitted: its policy and its checkpoints, by their digests.

An exit code is read from a verdict that came over a wire. A server that mixed two jobs up, that
found another folder under the same path, or that understands a policy differently must not turn
that into a green job: it is an error, which says what differs. What lies in a folder of this
machine is compared by names and sizes, since hashing it again could take an hour.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.checkpoints.allowed_roots import SCHEME
from holdfast.checkpoints.checkpoint import ADAPTER
from holdfast.checkpoints.listing import list_folder
from holdfast.checkpoints.model_files import is_weights
from holdfast.errors import HarnessError
from holdfast.ids import is_id
from holdfast.verdict.document import Verdict

PINNED = "pinned"  # the policy of the project, which is the server's to look up
NO_VERDICT = "that is no verdict on what was submitted; are server and client of one version?"


@dataclass(frozen=True, slots=True)
class Subject:
    """The policy and, by the names of a verdict's sides, the checkpoints that were registered."""

    evaluation: wire.Evaluation
    policy: wire.Policy
    sides: Mapping[str, wire.Checkpoint]


def subject_of(client: Client, evaluation: wire.Evaluation) -> Subject:
    """Ask the server for everything that an evaluation is about."""
    ids = {
        "baseline": evaluation.baseline,
        "candidate": evaluation.candidate,
        "anchor": evaluation.anchor,
        "repaired_from": evaluation.repairs,
    }
    checkpoints = {named: client.checkpoint(named) for named in {*ids.values()} if named}
    sides = {side: checkpoints[named] for side, named in ids.items() if named}
    return Subject(evaluation, client.policy(evaluation.policy), sides)


def require_about(verdict: Verdict, subject: Subject) -> Verdict:
    """The verdict; HarnessError where its policy or a checkpoint is another than the registered."""
    expected = {side: checkpoint.digest for side, checkpoint in subject.sides.items()}
    pairs = {side: (verdict.subject_digests.get(side), expected[side]) for side in expected}
    pairs["policy"] = (verdict.policy_digest, subject.policy.digest)
    differing = [
        f"its {name} is {verdicts}, registered was {registered}"
        for name, (verdicts, registered) in pairs.items()
        if verdicts != registered
    ]
    _refuse(f"the verdict of {subject.evaluation.id} is about something else", differing)
    return verdict


def require_submitted(wanted: wire.NewEvaluation, subject: Subject) -> None:
    """HarnessError where a server registered something else than a request asked for."""
    differing = [
        *_other_policy(wanted.policy, subject.policy),
        *_other_checkpoints(wanted, subject),
    ]
    _refuse(f"{subject.evaluation.id} is registered for something else", differing)


def _refuse(what: str, differing: list[str]) -> None:
    if differing:
        raise HarnessError(f"{what}: {'; '.join(differing)}: {NO_VERDICT}")


def _other_policy(wanted: str, registered: wire.Policy) -> Iterator[str]:
    if wanted == PINNED:
        return
    if is_id(wanted, "pol"):
        if wanted != registered.id:
            yield f"its policy is {registered.id}, submitted was {wanted}"
        return
    from holdfast.policy.text import parse_policy, shipped_policy  # which know every probe

    policy = parse_policy(wanted, source="policy") if "\n" in wanted else shipped_policy(wanted)[1]
    if policy.digest != registered.digest:
        yield f"its policy {registered.name} is {registered.digest}, submitted was {policy.digest}"


def _other_checkpoints(wanted: wire.NewEvaluation, subject: Subject) -> Iterator[str]:
    for side in ("candidate", "baseline", "anchor"):
        named = getattr(wanted, side)
        if not isinstance(named, str):  # an alias, which is the server's to look up, or nothing
            continue
        registered = subject.sides.get(side)
        if registered is None:
            yield f"it has no {side}, submitted was {named}"
        elif is_id(named, "ckpt"):
            if named != registered.id:
                yield f"its {side} is {registered.id}, submitted was {named}"
        else:
            yield from _other_files(side, named, registered, "")
            if side == "candidate" and wanted.adapter is not None:
                yield from _other_files("adapter", wanted.adapter, registered, ADAPTER)


def _other_files(side: str, named: str, registered: wire.Checkpoint, prefix: str) -> Iterator[str]:
    files = {
        file.path.removeprefix(prefix): file.size
        for file in registered.files
        if file.path.startswith(ADAPTER) == bool(prefix)
    }
    here = None if SCHEME.match(named) else _sizes_in(Path(named), [*filter(is_weights, files)])
    if here is None or here == files:
        return
    name = min(name for name in {*here, *files} if here.get(name) != files.get(name))
    yield (
        f"{name!r} of its {side} {named} is {_bytes(here.get(name))} here, and "
        f"{_bytes(files.get(name))} where it was registered"
    )


def _bytes(size: int | None) -> str:
    return "no file" if size is None else f"{size} bytes"


def _sizes_in(folder: Path, weights: list[str]) -> dict[str, int] | None:
    """The sizes of a folder's files that count; None where it cannot be read from this machine."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        names = [name for name, _ in list_folder(descriptor, weights).files]
        return {name: os.stat(name, dir_fd=descriptor).st_size for name in names}
    except OSError:
        return None
    finally:
        os.close(descriptor)
