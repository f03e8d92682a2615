"""Tables of jobs and what they are about; those of projects and acts are in `project_tables`.

JSON columns hold what is only ever read whole, or a model (`documents`).

Evaluations and remediations are both jobs: they share the id and the lease columns of `jobs`, so
that claiming, fencing and sweeping exist once. `answers` is the cache of what models said, apart
from every evaluation and from every judge; `trials` is the evidence. Model text is in `answers`
alone.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from holdfast.db.documents import Account, Document, ModelColumn, Race
from holdfast.job import JobKind, Split, Status, Tier
from holdfast.verdict.terms import Terms

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Moment(TypeDecorator[datetime]):
    """A point in time, aware and in UTC; SQLite would drop the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Refuse a naive time rather than guess its zone."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r}, expected one with a time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """In UTC: SQLite cannot store the zone, PostgreSQL gives its session's."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _allowed_values(column: str, values: list[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class TableRow(DeclarativeBase):
    """Root of the tables; names every constraint, so that migrations can drop them."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: Moment(),
        dict[str, Any]: Document,
        list[Any]: Document,
        Account: ModelColumn(Account),
        Race: ModelColumn(Race),
        Terms: ModelColumn(Terms),
    }


class CheckpointRow(TableRow):
    """Weights, tokenizer and template, known by content; never changed once registered."""

    __tablename__ = "checkpoints"
    __table_args__ = (UniqueConstraint("project", "digest"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    path: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(71))
    template_sha256: Mapped[str] = mapped_column(String(64))
    files: Mapped[list[Any]]
    adapter: Mapped[str | None] = mapped_column(Text)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id"))
    created_at: Mapped[datetime]


class CheckpointPlace(TableRow):
    """Another folder in which a checkpoint was registered, beside the one of its own row."""

    __tablename__ = "checkpoint_places"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    checkpoint_id: Mapped[str] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="CASCADE"), index=True
    )
    path: Mapped[str] = mapped_column(Text)
    adapter: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class BaselineMove(TableRow):
    """Every move of an alias; the newest version is where the alias points now."""

    __tablename__ = "baseline_moves"

    project: Mapped[str] = mapped_column(String(64), primary_key=True)
    alias: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id"))
    actor: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class PolicyText(TableRow):
    """A policy by digest; the text is kept as it was sent."""

    __tablename__ = "policies"
    __table_args__ = (UniqueConstraint("project", "digest"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


UNFINISHED = text("status IN ('queued', 'running')")  # as a query has to say it for the index


class JobRow(TableRow):
    """One piece of work and its lease. `lease_epoch` grows with every claim and fences writes.

    `deadline_at` is when it must be over: of a job that waits for its first claim when it has
    waited too long, if `run_seconds` says how long it may take from then on. `losses` are the
    claims since it last got on.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        _allowed_values("kind", [kind.value for kind in JobKind]),
        _allowed_values("status", [status.value for status in Status]),
        Index("ix_jobs_claim", "queue", "status", text("priority DESC"), "id"),  # as claims order
        Index("ix_jobs_list", "project", "id"),
        Index(
            "ix_jobs_unfinished", "project", sqlite_where=UNFINISHED, postgresql_where=UNFINISHED
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    queue: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(16), default=Status.QUEUED.value)
    error: Mapped[str | None] = mapped_column(Text)
    key_id: Mapped[str | None] = mapped_column(String(40))  # of whoever submitted it
    principal: Mapped[str | None] = mapped_column(String(200))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    deadline_at: Mapped[datetime]
    run_seconds: Mapped[float | None]
    not_before: Mapped[datetime | None]
    hinted_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_expires_at: Mapped[datetime | None]
    lease_epoch: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    crash_count: Mapped[int] = mapped_column(default=0)
    losses: Mapped[int] = mapped_column(default=0, server_default="0")


class EvaluationRow(TableRow):
    """One evaluation: the checkpoints that it compares, and its verdict once there is one."""

    __tablename__ = "evaluations"

    id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    candidate_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id"))
    baseline_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id"))
    anchor_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id"))
    repairs_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id"))
    policy_id: Mapped[str] = mapped_column(ForeignKey("policies.id"))
    tier: Mapped[Tier] = mapped_column(String(16))
    split: Mapped[Split] = mapped_column(String(16))
    template: Mapped[str] = mapped_column(Text, default="baseline")
    template_arguments: Mapped[dict[str, Any] | None]  # the policy's own go before them
    task_data: Mapped[str | None] = mapped_column(Text)
    task_data_sha256: Mapped[str | None] = mapped_column(String(64))
    cause: Mapped[dict[str, Any] | None]  # the CI run that submitted it
    labels: Mapped[dict[str, Any] | None]
    line: Mapped[str | None] = mapped_column(String(64), index=True)  # the baseline's alias
    remediation_id: Mapped[str | None] = mapped_column(String(40), index=True)
    verdict: Mapped[str | None] = mapped_column(String(16), index=True)
    verdict_document: Mapped[str | None] = mapped_column(Text)  # canonical bytes, as digested
    waived_until: Mapped[datetime | None] = mapped_column(index=True)  # then it is decided anew
    race: Mapped[Race | None]
    terms: Mapped[Terms | None]
    manifests: Mapped[dict[str, Any]] = mapped_column(default=dict)
    cost: Mapped[Account] = mapped_column(default=Account)


class RemediationRow(TableRow):
    """One repair: its plan, how far the training is, and what came out.

    A ladder (recipe `auto`) has tries, repairs of their own that name it as `parent_id`; `split`
    says which items a repair is asked once it is made.
    """

    __tablename__ = "remediations"

    id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    evaluation_id: Mapped[str] = mapped_column(ForeignKey("evaluations.id"), index=True)
    recipe: Mapped[str] = mapped_column(String(32))
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    plan: Mapped[dict[str, Any] | None]
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    checkpoint_id: Mapped[str | None] = mapped_column(ForeignKey("checkpoints.id"))
    child_evaluation_id: Mapped[str | None] = mapped_column(String(40))
    parent_id: Mapped[str | None] = mapped_column(String(40), index=True)
    split: Mapped[Split] = mapped_column(String(16), default="confirm", server_default="confirm")


class TrialRow(TableRow):
    """One trial or measure of one side of an evaluation; never updated, never written twice."""

    __tablename__ = "trials"

    evaluation_id: Mapped[str] = mapped_column(
        ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True
    )
    side: Mapped[str] = mapped_column(String(16), primary_key=True)
    probe: Mapped[str] = mapped_column(String(64), primary_key=True)
    item: Mapped[str] = mapped_column(String(80), primary_key=True)
    variant: Mapped[str] = mapped_column(String(40), primary_key=True, default="plain")
    cluster: Mapped[str | None] = mapped_column(String(80))
    group: Mapped[str | None] = mapped_column(String(40))
    outcome: Mapped[str | None] = mapped_column(String(16))
    badness: Mapped[float | None] = mapped_column(Float)
    reason: Mapped[str | None] = mapped_column(Text)
    value: Mapped[float | None] = mapped_column(Float)
    weight: Mapped[float | None] = mapped_column(Float)
    unit: Mapped[str | None] = mapped_column(String(16))
    answer_key: Mapped[str] = mapped_column(String(64))
    lease_epoch: Mapped[int]


class AnswerRow(TableRow):
    """An answer or score of a model, by a key over everything that could change it."""

    __tablename__ = "answers"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    checkpoint_digest: Mapped[str] = mapped_column(String(71), index=True)
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class EventRow(TableRow):
    """The events of a job, in order; the event stream replays them."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ApiKey(TableRow):
    """A key's public half and the HMAC of its secret; the secret itself is shown once."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    handle: Mapped[str] = mapped_column(String(8), unique=True)  # the part of the key that names it
    project: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    secret_hmac: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[Any]]
    principal: Mapped[str | None] = mapped_column(String(200))  # the person, if anybody said who
    minted_by: Mapped[str | None] = mapped_column(String(40))  # a key's id; none: in the database
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class IdempotentReply(TableRow):
    """The reply that an Idempotency-Key got; `status` null while the first request is in flight.

    `claim` names the request that may write the reply: one that was taken for dead and overtaken
    finds another's here and rolls back.
    """

    __tablename__ = "idempotent_replies"

    project: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    claim: Mapped[str] = mapped_column(String(32))
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    body: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
