"""The manifest of an evidence file: which model answered, how it was asked, and who judged.

It is the first line of the file, and everything by which two files are or are not comparable. Keys
that came later are written only where they are set, so that old files keep their digests.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from holdfast.job import Split, Tier

OPPONENT = ":opponent"  # ends the suite that says whose answers a probe's were judged beside
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CheckpointDigest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
JsonScalar = str | int | float | bool | None
FROZEN_LINE = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def is_none(value: object) -> bool:
    """Keys that came later are written where they are set, so that old files keep their digests."""
    return value is None


def is_empty(value: tuple[object, ...]) -> bool:
    return not value


class CheckpointName(BaseModel):
    """Which weights answered; the digest is what counts."""

    model_config = FROZEN_LINE
    name: Name
    digest: CheckpointDigest


class BackendRecord(BaseModel):
    """The software and settings that computed the answers."""

    model_config = FROZEN_LINE
    name: Name
    version: Name
    dtype: Name
    max_model_len: Annotated[int, Field(ge=1)] | None = Field(default=None, exclude_if=is_none)
    """Where it is not the usual one."""
    quantisation: Name | None = Field(default=None, exclude_if=is_none)
    """Of the weights, where they are quantised."""


class SamplingRecord(BaseModel):
    """How answers were drawn; further keys are kept and compared as they stand."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, JsonScalar]
    temperature: Annotated[float, Field(ge=0)]
    max_tokens: Annotated[int, Field(ge=1)]
    seed: int | None


class Cut(BaseModel):
    """How many of a probe's planned trials were not asked for, and why."""

    model_config = FROZEN_LINE
    trials: Annotated[int, Field(ge=1)]
    because: Name


class Planned(BaseModel):
    """How many items a probe was to ask, and after how many clusters it stopped early, if so.

    `trials` counts every form of every item up to there; without it, an item has one. What is `cut`
    was planned and not asked: unlike an early stop it shows nothing, and decides nothing.
    """

    model_config = FROZEN_LINE
    items: Count
    trials: Count | None = None
    stopped_at: Annotated[int, Field(ge=1)] | None = None
    cut: Cut | None = None


class JudgeError(BaseModel):
    """A judge's measured rates as [right, of] pairs of counts."""

    model_config = FROZEN_LINE
    sensitivity: tuple[Count, Count]
    specificity: tuple[Count, Count]

    @field_validator("sensitivity", "specificity")
    @classmethod
    def _is_a_share(cls, pair: tuple[int, int]) -> tuple[int, int]:
        if not (pair[0] <= pair[1] and pair[1] >= 1):
            raise ValueError(f"expected [right, of] with right <= of and of >= 1, found {pair}")
        return pair


class Thinking(BaseModel):
    """How many of a side's chat answers were thought about, and how many traces closed by force.

    A trace had `trace_tokens` for itself.
    """

    model_config = FROZEN_LINE
    answers: Count
    traces: Count
    forced: Count
    trace_tokens: Annotated[int, Field(ge=1)]

    @property
    def is_the_rule(self) -> bool:
        """Whether most answers were thought about."""
        return 2 * self.traces > self.answers


class Manifest(BaseModel):
    """Line 1: everything that must agree before two files may be compared."""

    model_config = FROZEN_LINE
    kind: Literal["manifest"]
    schema_version: Literal[1] = Field(alias="schema")  # pydantic keeps the bare name for itself
    checkpoint: CheckpointName
    backend: BackendRecord
    sampling: SamplingRecord
    template_sha256: Hex
    judges: dict[Name, Hex]
    suites: dict[Name, Hex]
    tier: Tier
    complete: bool
    created_at: str
    split: Split | None = None
    plan: dict[Name, Planned] = {}
    repairs: CheckpointDigest | None = None
    deployed_template: bool = False
    judge_error: dict[Name, JudgeError] = {}
    thinking: Thinking | None = Field(default=None, exclude_if=is_none)
    notes: tuple[Name, ...] = Field(default=(), exclude_if=is_empty)
    """Sentences on the checkpoint's files where they are out of the ordinary; decide nothing."""
    retested: tuple[Name, ...] = Field(default=(), exclude_if=is_empty)
    """Probes that a repair was asked beside its policy."""
    remarks: tuple[Name, ...] = Field(default=(), exclude_if=is_empty)
    """Sentences that stand among the verdict's warnings; decide nothing."""

    @field_validator("created_at")
    @classmethod
    def _is_a_moment(cls, text: str) -> str:
        if datetime.fromisoformat(text).tzinfo is None:
            raise ValueError("expected a time with its zone, such as 2026-01-31T12:00:00Z")
        return text
