"""The policy's data model: the checks that a checkpoint must pass before it may ship.

A policy is data: checks of probes, each with rules (bounds) and a tier. Its digest is taken over
what was understood, not over the text, so comments and layout do not make two policies of one. It
is read by `holdfast.policy.text`.
"""

import hashlib
import json
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from holdfast.policy.budget import Limits
from holdfast.repairs.recipes import PolicyRecipe

RETENTION = "task.retention"  # judged only where a repair stands beside the candidate it repairs

NamedJudge = Literal["guard", "rubric"]  # the endpoint of the worker's settings
CheckTier = Literal["blocking", "advisory"]

Scalar = str | int | float | bool | None
TemplateOf = Literal["baseline", "candidate"]
LATER_KEYS = (
    "thinking",
    "template_arguments",
    "compare",
    "templates",
)  # no part of a digest where they are not set
OF_THE_ENGINE = frozenset(  # what a template is told by whoever renders it
    {"messages", "add_generation_prompt", "chat_template", "tokenize", "tools", "documents"}
    | {"conversation", "continue_final_message", "padding", "truncation", "max_length"}
    | {"return_tensors", "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs"}
)


def _check_template_arguments(arguments: dict[str, Scalar]) -> dict[str, Scalar]:
    for name in arguments:
        if not name.isidentifier() or name in OF_THE_ENGINE:
            raise ValueError(
                f"{name!r} is no argument of a chat template's own, such as enable_thinking"
            )
    return arguments


TemplateArguments = Annotated[dict[str, Scalar], AfterValidator(_check_template_arguments)]
Share = Annotated[float, Field(ge=0, le=1)]
_FROZEN = ConfigDict(
    frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
)


def _is_not_set(value: object) -> bool:
    """Keys that came later are left out where not set: older policies keep their digests."""
    return value is None


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


class SinceAnchor(BaseModel):
    """Margins against the anchor, in place of those of the check's rules of the same name.

    What every stage may lose adds up, so all stages together may need another margin than each.
    """

    model_config = _FROZEN
    max_regression: Share | None = None
    per_group: Share | None = None
    gap: Share | None = None


class Check(BaseModel):
    """The rules that one probe must meet: at least one."""

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
    max_incoherent: Share | None = Field(default=None, exclude_if=_is_not_set)
    since_anchor: SinceAnchor | None = Field(default=None, exclude_if=_is_not_set)

    @property
    def beside_anchor(self) -> "Check":
        """The check as it is asked against the anchor: the same rules, by its margins there."""
        if (since := self.since_anchor) is None:
            return self
        moved: dict[str, Any] = {}
        if since.max_regression is not None:
            moved["max_regression"] = since.max_regression
        if since.per_group is not None and self.per_group is not None:
            margin = {"max_regression": since.per_group}
            moved["per_group"] = self.per_group.model_copy(update=margin)
        if since.gap is not None and self.gap is not None:
            moved["gap"] = self.gap.model_copy(update={"max": since.gap})
        return self.model_copy(update=moved)

    def tier_of(self, rule: PerGroup | Gap) -> CheckTier:
        """A sliced rule's tier: advisory where it or the check is."""
        return "advisory" if "advisory" in {self.tier, rule.tier} else "blocking"

    @model_validator(mode="after")
    def _has_a_rule_that_counts(self) -> "Check":
        sliced = [rule for rule in (self.per_group, self.gap) if rule]
        plain = [
            bound
            for bound in (self.max, self.max_regression, self.min_gain_kept, self.max_incoherent)
            if bound is not None
        ]
        if not (sliced or plain):
            raise ValueError(
                "found no rule, expected max, max_regression, max_incoherent, per_group, gap or "
                "min_gain_kept"
            )
        self._replaces_its_own_margins()
        if sliced and self.slice_by is None:
            raise ValueError("per_group and gap need slice_by: group")
        if self.tier == "blocking" and not plain and all(r.tier == "advisory" for r in sliced):
            raise ValueError("blocks nothing: all its rules are advisory, so set tier: advisory")
        return self

    def _replaces_its_own_margins(self) -> None:
        if self.since_anchor is None:
            return
        named = self.since_anchor.model_dump(exclude_none=True)
        if not named:
            raise ValueError("since_anchor: found no margin, expected that of one of its rules")
        for rule in named:
            if getattr(self, rule) is None:
                raise ValueError(
                    f"since_anchor: replaces the margin of {rule}, which the check does not have"
                )


class Baselines(BaseModel):
    """Which trusted checkpoints a candidate is held against.

    An alias that has pointed at its baseline for more than `warn_after_days` is said to be old.
    """

    model_config = _FROZEN
    parent: Literal["required"] = "required"
    anchor: Literal["optional", "required"] = "optional"
    warn_after_days: Annotated[int, Field(ge=1)] | None = Field(
        default=None, exclude_if=_is_not_set
    )


class Budget(BaseModel):
    """The minutes and the number of tries that a repair may cost."""

    model_config = _FROZEN
    minutes: Annotated[int, Field(ge=1)] = 60
    candidates: Annotated[int, Field(ge=1)] = 8


class RemediationPolicy(BaseModel):
    """The reaction to a fail: nothing, an offer, or a repair that is gated in its turn."""

    model_config = _FROZEN
    on_fail: Literal["never", "propose", "auto"] = "never"
    recipes: tuple[PolicyRecipe, ...] = Field(default=(), strict=False)
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _has_something_to_try(self) -> "RemediationPolicy":
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
        """Whether the waiver is still valid at that moment."""
        return as_of.astimezone(UTC).date() <= self.expires


class GatePolicy(BaseModel):
    """A whole policy; `min_items` counts clusters, `max_unscored` is a share of the pairs.

    `template_arguments` are what the chat template is told on every side, and `thinking` says
    whether a side that thinks before it answers may be held against one that does not. `templates`
    are whose chat templates a submitter may choose, in a project that pins the policy.
    """

    model_config = _FROZEN
    version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_items: Annotated[int, Field(ge=1)] = 100
    max_unscored: Share = 0.02
    sequential: bool = False
    compare: Literal["quantisation"] | None = None  # what may differ: that is then the question
    checks: Annotated[dict[str, Check], Field(min_length=1)]
    baselines: Baselines = Baselines()
    remediation: RemediationPolicy = RemediationPolicy()
    budget: Limits | None = None  # None: the tier's
    waivers: tuple[Waiver, ...] = Field(default=(), strict=False)
    thinking: Literal["must_agree", "may_differ"] = "must_agree"
    template_arguments: TemplateArguments = {}
    templates: tuple[TemplateOf, ...] = Field(default=("baseline",), strict=False)

    @model_validator(mode="after")
    def _sees_a_repair_that_refuses_everything(self) -> "GatePolicy":
        if "auto" in self.remediation.recipes and not self.sees_over_refusal:
            raise ValueError(
                "the recipe auto needs a blocking check of refusal.benign: without it a repair "
                "that refuses everything would pass"
            )
        return self

    @property
    def sees_over_refusal(self) -> bool:
        """Whether a checkpoint that refuses harmless requests can fail."""
        return any(
            check.metric == "false_refusal_rate" and check.tier == "blocking"
            for check in self.checks.values()
        )

    @property
    def needs_anchor(self) -> bool:
        """Whether no verdict can stand without an anchor: it is required, or a margin is of it."""
        since = any(check.since_anchor is not None for check in self.checks.values())
        return since or self.baselines.anchor == "required"

    @property
    def canonical(self) -> bytes:
        """The understood policy as sorted JSON, defaults filled in but for those of later keys."""
        content = self.model_dump(mode="json")
        for name in LATER_KEYS:
            if getattr(self, name) == type(self).model_fields[name].default:
                del content[name]
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """64 hex digits that name this policy in verdicts."""
        return hashlib.sha256(self.canonical).hexdigest()

    def probes(self, repair: bool) -> tuple[str, ...]:  # noqa: FBT001  # one question, one answer
        """The probes to run, in catalogue order; retention only where a repair is judged."""
        from holdfast.probes.table import place_of  # here: clients send policies and ask no probe

        names = (name for name in self.checks if repair or name != RETENTION)
        return tuple(sorted(names, key=place_of))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that a reader of this policy should know; none is an error."""
        sentences = []
        if not any(c.tier == "blocking" for n, c in self.checks.items() if n != RETENTION):
            sentences.append(f"only {RETENTION} blocks: what repairs nothing can never pass")
        if self.thinking == "may_differ":
            sentences.append("answers that were thought about may be held against such as were not")
        return tuple(sentences)
