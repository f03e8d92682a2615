"""Acts on record: every route that changes something notes it, in the transaction of the change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from holdfast.db.keys import Caller
from holdfast.projects.audit import Actor, record
from service.deps import address_of, identify
from service.problems import request_id

Action = Literal[
    "checkpoint.register",
    "baseline.move",
    "policy.save",
    "evaluation.submit",
    "evaluation.cancel",
    "evaluation.retry",
    "remediation.submit",
    "remediation.cancel",
    "key.create",
    "key.revoke",
    "project.change",
    "waiver.give",
    "waiver.revoke",
]

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorder:
    """Notes the acts of one request, with who sent it and from where."""

    actor: Actor

    def note(
        self,
        session: Session,
        action: Action,
        target: str,
        *,
        before: Document | None = None,
        after: Document | None = None,
    ) -> None:
        """Record an act; `before` and `after` are ids, digests and settings, never content."""
        record(session, self.actor, action, target, before=before, after=after)


async def recorder_of(request: Request, caller: Annotated[Caller, Depends(identify)]) -> Recorder:
    """The recorder of this request."""
    return Recorder(
        Actor(
            project=caller.project,
            principal=caller.principal,
            key_id=caller.key_id,
            address=address_of(request),
            request_id=request_id(request),
        )
    )


Acts = Annotated[Recorder, Depends(recorder_of)]
