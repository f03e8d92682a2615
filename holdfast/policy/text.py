"""A policy, read from its text: refused as a whole where it could be misread.

Unknown or repeated keys, empty values, numbers out of range and a check that does not fit what its
probe measures are all found before anything runs. What is known by name but not built is refused
by that name, never approximated.
"""

import os
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from holdfast.errors import InvalidPolicy, NotBuilt, UnknownProbe, first_problem
from holdfast.plain_files import read_plain_text
from holdfast.policy.model import RETENTION, Check, GatePolicy, NamedJudge
from holdfast.policy.strict_yaml import parse_mapping
from holdfast.probes.table import spec_of

MAX_BYTES = 1 << 20  # of a policy, as of a request
SHIPPED = Path(__file__).parent / "shipped"


@lru_cache(maxsize=64)  # a server and a worker read the same few texts over and over, 10 ms each
def parse_policy(text: str, *, source: str) -> GatePolicy:
    """Read a policy, or raise InvalidPolicy or NotBuilt with what was found and expected."""
    document = parse_mapping(text, source=source)
    try:
        policy = GatePolicy.model_validate(document)
    except ValidationError as error:
        raise InvalidPolicy(f"{source}: {_first_problem(error)}") from error
    for name, check in policy.checks.items():
        _match_catalogue(name, check, source)
    for waiver in policy.waivers:
        if waiver.check not in policy.checks:
            raise InvalidPolicy(
                f"{source}: a waiver names {waiver.check!r}, which is none of its checks; "
                f"expected one of {', '.join(policy.checks)}"
            )
    if all(check.tier == "advisory" for check in policy.checks.values()):
        raise InvalidPolicy(
            f"{source}: no check is blocking, so nothing could ever fail; "
            "expected at least one without tier: advisory"
        )
    return policy


def refuse_without_anchor(policy: GatePolicy) -> None:
    """Raise InvalidPolicy if the policy wants an anchor; it could only end inconclusive without."""
    if policy.needs_anchor:
        raise InvalidPolicy(
            "the policy requires an anchor baseline and found none; name one with `anchor`, or "
            "point the project's alias anchor at it"
        )


def load_policy(name_or_path: str | Path) -> GatePolicy:
    """A shipped policy by its bare name (demo, standard, release), or a file by its path."""
    return resolve_policy(name_or_path)[1]


def resolve_policy(name_or_path: str | Path) -> tuple[str, GatePolicy]:
    """The text of a policy, and the policy that this very text means.

    A word with a `/` or a suffix is a file's path; any other is a shipped policy's name, whatever
    lies in the working folder. Raises InvalidPolicy for a name or file that there is not.
    """
    named = str(name_or_path)
    path = Path(named)
    if "/" not in named and path.suffix == "":
        try:
            return shipped_policy(named)
        except InvalidPolicy as error:
            if os.path.lexists(named):
                raise InvalidPolicy(f"{error}; for the file there write ./{named}") from error
            raise
    try:
        text = read_plain_text(path, MAX_BYTES, InvalidPolicy)
    except OSError as error:
        raise InvalidPolicy(
            f"policy {named} cannot be read ({error.strerror}); expected a file, "
            f"or one of {_shipped_names()}"
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidPolicy(f"policy {named} is not UTF-8 text") from error
    return text, parse_policy(text, source=named)


def shipped_policy(name: str) -> tuple[str, GatePolicy]:
    """The text of a shipped policy, and the policy; InvalidPolicy for a word that names none."""
    for path in SHIPPED.glob("*.yaml"):
        if path.stem == name:
            return (text := path.read_text(encoding="utf-8")), parse_policy(text, source=name)
    raise InvalidPolicy(
        f"unknown policy {name[:80]!r}, expected one of {_shipped_names()}, a policy's YAML text, "
        f"the id of a server's, or a file's path"
    )


def _shipped_names() -> str:
    return ", ".join(sorted(path.stem for path in SHIPPED.glob("*.yaml")))


def _match_catalogue(name: str, check: Check, source: str) -> None:
    """The check against what its probe measures; margins have no say here."""
    try:
        spec = spec_of(name)
    except UnknownProbe as error:
        raise InvalidPolicy(f"{source}: {error}") from error
    if spec.rows is not None and spec.suite is None:
        raise InvalidPolicy(f"{source}: {name} has no suite of its own; name one as {name}@SUITE")
    if spec.task == "":
        raise InvalidPolicy(f"{source}: {name} names no task; name one as {name}:TASK")
    if check.metric != spec.metric:
        raise InvalidPolicy(f"{source}: {name} measures {spec.metric}, found metric {check.metric}")
    _match_judge(name, check, source, spec.graded)
    _match_coherence(name, check, source, read=spec.reads_coherence)
    if spec.advisory and check.tier == "blocking":
        raise InvalidPolicy(f"{source}: {name} only warns, so it decides nothing: tier: advisory")
    if spec.measure:
        _match_measure(name, check, source, advisory=spec.advisory)
    else:
        _match_rate(name, check, source, sliced=spec.sliced)


def _match_coherence(name: str, check: Check, source: str, *, read: bool) -> None:
    if check.max_incoherent is not None and not read:
        raise InvalidPolicy(
            f"{source}: {name} does not read whether an answer says anything, so max_incoherent "
            "cannot be asked of it; it belongs to checks of refusals (harm.*, refusal.benign)"
        )


def _match_judge(name: str, check: Check, source: str, graded: NamedJudge | None) -> None:
    if graded and check.judge != graded:
        raise InvalidPolicy(f"{source}: {name} has no judge of its own; add judge: {graded}")
    if check.judge is not None and not graded and check.metric != "attack_success_rate":
        harm = "grades harm, so only a check of attack_success_rate can name it"
        raise InvalidPolicy(f"{source}: {name}: judge {check.judge} {harm}")


def _match_measure(name: str, check: Check, source: str, *, advisory: bool) -> None:
    if check.max is not None and not advisory:
        raise NotBuilt(f"{source}: {name}: max on a measure is not built; use min_gain_kept")
    if check.max_regression is not None or check.slice_by:
        rules = "max_regression, per_group or gap"
        raise InvalidPolicy(f"{source}: {name} is a measure, not a rate: it takes no {rules}")
    if check.min_gain_kept is not None and name != RETENTION:
        raise InvalidPolicy(f"{source}: {name}: min_gain_kept belongs to {RETENTION}")


def _match_rate(name: str, check: Check, source: str, *, sliced: bool) -> None:
    if check.min_gain_kept is not None:
        raise InvalidPolicy(f"{source}: {name}: min_gain_kept belongs to {RETENTION}")
    if check.max is not None and check.max > 1:
        raise InvalidPolicy(f"{source}: {name}: max of a rate is {check.max}, expected 0 to 1")
    if check.slice_by and not sliced:
        raise InvalidPolicy(f"{source}: {name} has no groups, so slice_by cannot be asked of it")


def _first_problem(error: ValidationError) -> str:
    problem, sentence = error.errors()[0], first_problem(error, "the policy")
    if problem["type"] == "extra_forbidden":
        return f"{sentence}; a misspelt rule would silently not apply"
    if problem["type"] == "missing":
        return f"{sentence.removesuffix(': ' + problem['msg'])} is missing"
    return f"{sentence}, found {problem['input']!r:.60}"
