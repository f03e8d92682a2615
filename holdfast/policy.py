"""What a checkpoint must show before it may ship.

A policy is data: checks of probes, each with rules (bounds) and a tier. It is refused as a whole
where it could be misread (unknown or repeated keys, empty values, numbers out of range, nothing
that blocks) and where it asks for something that this version cannot do: what is known by name but
not built is never approximated. Its digest is taken over what was understood, not over the text,
so comments and layout do not make two policies of one.
"""

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from holdfast.errors import InvalidPolicy, NotBuilt, UnknownProbe
from holdfast.probe import place_of, spec_of
from holdfast.strict_yaml import parse_mapping

SHIPPED = Path(__file__).parent / "policies"
RETENTION = "task.retention"  # judged only where a repair stands beside the candidate it repairs

NamedJudge = Literal["guard", "rubric"]  # the endpoint of the worker's settings
CheckTier = Literal["blocking", "advisory"]
PolicyRecipe = Literal["wise_ft", "rehearsal"]
PLANNED_RECIPES = {
    "hma",
    "kl_anchor",
    "l2_anchor",
    "l1_anchor",
    "ewc",
    "kd",
    "constrained_sft",
    "sequential",
    "mix",
    "alright",
    "maxright",
    "sma",
    "early_stop",
    "graft",
    "safe_merge",
    "reorder",
    "ptst",
}

Share = Annotated[float, Field(ge=0, le=1)]
_FROZEN = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class PerGroup(BaseModel):
    """The same margin test in every group; `min_items` counts clusters of the group."""

    model_config = _FROZEN
    max_regression: Share
    min_items: Annotated[int, Field(ge=1)] | None = None
    tier: CheckTier = "blocking"


class Gap(BaseModel):
    """How much more one group may lose than all the others together."""

    model_config = _FROZEN
    max: Share
    tier: CheckTier = "blocking"


class Check(BaseModel):
    """What is demanded of one probe: at least one rule."""

    model_config = _FROZEN
    metric: str
    tier: CheckTier = "blocking"
    max: Annotated[float, Field(ge=0)] | None = None
    max_regression: Share | None = None
    slice_by: Literal["group"] | None = None
    per_group: PerGroup | None = None
    gap: Gap | None = None
    min_gain_kept: Share | None = None
    judge: NamedJudge | None = None  # in place of the probe's own

    @model_validator(mode="after")
    def _has_a_rule_that_counts(self) -> "Check":
        sliced = [rule for rule in (self.per_group, self.gap) if rule]
        plain = [
            bound
            for bound in (self.max, self.max_regression, self.min_gain_kept)
            if bound is not None
        ]
        if not (sliced or plain):
            raise ValueError(
                "found no rule, expected max, max_regression, per_group, gap or min_gain_kept"
            )
        if sliced and self.slice_by is None:
            raise ValueError("per_group and gap need slice_by: group")
        if self.tier == "blocking" and not plain and all(r.tier == "advisory" for r in sliced):
            raise ValueError("blocks nothing: all its rules are advisory, so set tier: advisory")
        return self


class Baselines(BaseModel):
    """Which trusted checkpoints a candidate is held against."""

    model_config = _FROZEN
    parent: Literal["required"] = "required"
    anchor: Literal["optional", "required"] = "optional"


class Budget(BaseModel):
    """What a repair may cost."""

    model_config = _FROZEN
    minutes: Annotated[int, Field(ge=1)] = 60
    candidates: Annotated[int, Field(ge=1)] = 8


class Remediation(BaseModel):
    """What happens after a fail: nothing, an offer, or a repair that is gated in its turn."""

    model_config = _FROZEN
    on_fail: Literal["never", "propose", "auto"] = "never"
    recipes: tuple[PolicyRecipe, ...] = Field(default=(), strict=False)
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _has_something_to_try(self) -> "Remediation":
        if self.on_fail != "never" and not self.recipes:
            raise ValueError(f"on_fail: {self.on_fail} needs at least one recipe")
        if len(set(self.recipes)) != len(self.recipes):
            raise ValueError("names a recipe twice")
        return self


class Waiver(BaseModel):
    """Somebody's word for shipping although one check does not pass, until the end of a day (UTC).

    It covers what was measured: a check that is missing or could not be judged is not waived.
    """

    model_config = _FROZEN
    check: str
    owner: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]
    expires: Annotated[date, Field(strict=False)]

    def holds(self, as_of: datetime) -> bool:
        """Whether it is still good at that moment."""
        return as_of.astimezone(UTC).date() <= self.expires


class Policy(BaseModel):
    """A whole policy; `min_items` counts clusters, `max_unscored` is a share of the pairs."""

    model_config = _FROZEN
    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_items: Annotated[int, Field(ge=1)] = 100
    max_unscored: Share = 0.02
    sequential: bool = False
    checks: Annotated[dict[str, Check], Field(min_length=1)]
    baselines: Baselines = Baselines()
    remediation: Remediation = Remediation()
    waivers: tuple[Waiver, ...] = Field(default=(), strict=False)

    @property
    def canonical(self) -> bytes:
        """The understood policy as sorted JSON, defaults filled in."""
        content = self.model_dump(mode="json")
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """64 hex digits that name this policy in verdicts."""
        return hashlib.sha256(self.canonical).hexdigest()

    def probes(self, repair: bool) -> tuple[str, ...]:  # noqa: FBT001  # one question, one answer
        """The built probes to run, in catalogue order; retention only where a repair is judged."""
        asked = (
            name for name in self.checks if spec_of(name).built and (repair or name != RETENTION)
        )
        return tuple(sorted(asked, key=place_of))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know that is not an error."""
        unbuilt = tuple(
            f"{name}: this probe is not built in this version; its advisory check is not asked"
            for name in sorted(self.checks)
            if not spec_of(name).built
        )
        if any(c.tier == "blocking" for n, c in self.checks.items() if n != RETENTION):
            return unbuilt
        return (*unbuilt, f"only {RETENTION} blocks: what repairs nothing can never pass")


def parse_policy(text: str, *, source: str) -> Policy:
    """Read a policy, or raise InvalidPolicy or NotBuilt with what was found and expected."""
    document = parse_mapping(text, source=source)
    _refuse_planned(document, source)
    try:
        policy = Policy.model_validate(document)
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


def load_policy(name_or_path: str | Path) -> Policy:
    """A shipped policy by its bare name (demo, standard, release), or a file."""
    shipped = {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}
    path = shipped.get(str(name_or_path), Path(name_or_path))
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidPolicy(
            f"policy {name_or_path} cannot be read ({error.strerror}); expected a file, "
            f"or one of {', '.join(shipped)}"
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidPolicy(f"policy {name_or_path} is not UTF-8 text") from error
    return parse_policy(text, source=str(name_or_path))


def _refuse_planned(document: dict[str, Any], source: str) -> None:
    """Say by name what is designed but not built, before a schema would call it unknown."""
    remediation = document.get("remediation")
    recipes = remediation.get("recipes") if isinstance(remediation, dict) else None
    for recipe in recipes if isinstance(recipes, list) else []:
        if isinstance(recipe, str) and recipe in PLANNED_RECIPES:
            raise NotBuilt(
                f"{source}: the recipe {recipe} is not built in this version; "
                f"use {' or '.join(get_args(PolicyRecipe))}"
            )


def _match_catalogue(name: str, check: Check, source: str) -> None:
    """The check against what its probe measures; margins have no say here."""
    try:
        spec = spec_of(name)
    except UnknownProbe as error:
        raise InvalidPolicy(f"{source}: {error}") from error
    if spec.rows is not None and spec.suite is None:
        raise InvalidPolicy(f"{source}: {name} has no suite of its own; name one as {name}@SUITE")
    if check.metric != spec.metric:
        raise InvalidPolicy(f"{source}: {name} measures {spec.metric}, found metric {check.metric}")
    if not spec.built and check.tier == "blocking":
        raise NotBuilt(
            f"{source}: the probe {name} is not built in this version, so nothing "
            "could decide its check; make it tier: advisory or take it out"
        )
    _match_judge(name, check, source, graded=spec.graded)
    if spec.measure:
        _match_measure(name, check, source, advisory=spec.advisory)
    else:
        _match_rate(name, check, source, sliced=spec.sliced)


def _match_judge(name: str, check: Check, source: str, *, graded: bool) -> None:
    if graded and check.judge != "guard":
        raise InvalidPolicy(f"{source}: {name} has no judge of its own; add judge: guard")
    if check.judge is not None and not graded and check.metric != "attack_success_rate":
        harm = "grades harm, so only a check of attack_success_rate can name it"
        raise InvalidPolicy(f"{source}: {name}: judge {check.judge} {harm}")


def _match_measure(name: str, check: Check, source: str, *, advisory: bool) -> None:
    if advisory and check.tier == "blocking":
        raise InvalidPolicy(f"{source}: {name} only warns, so it decides nothing: tier: advisory")
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
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"]) or "the policy"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {place}; a misspelt rule would silently not apply"
    if problem["type"] == "missing":
        return f"{place} is missing"
    return f"{place}: {problem['msg']}, found {problem['input']!r:.60}"
