"""Tables of projects: their rules, waivers, verdicts that were superseded, and the audit trail."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from holdfast.db.tables import TableRow


class ProjectRow(TableRow):
    """The rules of a project, as they are now; how they came about is in the audit trail."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int]
    policy_id: Mapped[str | None] = mapped_column(ForeignKey("policies.id"))
    policy_set_by: Mapped[str | None] = mapped_column(String(200))
    policy_set_at: Mapped[datetime | None]
    baseline: Mapped[str | None] = mapped_column(String(64))  # an alias
    anchor: Mapped[str | None] = mapped_column(String(64))
    separate_duties: Mapped[bool]
    unwaivable: Mapped[list[Any]]
    waiver_days: Mapped[int]
    roots: Mapped[list[Any] | None]


class WaiverRow(TableRow):
    """Permission by somebody to ship one checkpoint although one check does not pass."""

    __tablename__ = "waivers"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project: Mapped[str] = mapped_column(String(64), index=True)
    check_id: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(71), index=True)
    reason: Mapped[str] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class EarlierVerdict(TableRow):
    """A verdict that another took the place of; numbered from 1, the evaluation has the latest."""

    __tablename__ = "earlier_verdicts"

    evaluation_id: Mapped[str] = mapped_column(
        ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[str] = mapped_column(Text)
    superseded_at: Mapped[datetime]


class AuditEventRow(TableRow):
    """One act. Rows are only ever added, each with the digest of the one before (`chain`)."""

    __tablename__ = "audit_events"

    project: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))  # text, so that its digest is of what is stored
    principal: Mapped[str | None] = mapped_column(String(200))
    key_id: Mapped[str | None] = mapped_column(String(40))
    authenticated: Mapped[str] = mapped_column(String(32))
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    target: Mapped[str] = mapped_column(String(200))
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))


class AuditHeadRow(TableRow):
    """Where a project's chain ends: locked by whoever adds to it, so that no number is missing."""

    __tablename__ = "audit_heads"

    project: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
