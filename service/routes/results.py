"""The results of an evaluation: verdict, checks, flips, items, reports. All rendered from rows."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from holdfast.api import wire
from holdfast.db import browse
from holdfast.db.evaluations import get_evaluation, get_job
from holdfast.db.tables import EvaluationRow, TrialRow
from holdfast.db.trials import find_answers
from holdfast.errors import Forbidden, NotFound
from holdfast.projects.decided_anew import earlier_verdicts
from holdfast.projects.retention.archive import refuse_archived
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import CheckResult
from service import schemas
from service.artifacts import ARTIFACTS, render_artifact
from service.deps import Limit, Reader, Reading, require_scopes
from service.paging import Cursor, decode, encode
from service.problems import raises

router = APIRouter(prefix="/v1/evaluations/{evaluation_id:id}", tags=["results"])

Probe = Annotated[str | None, Query(pattern=r"^[a-z][A-Za-z0-9_.:@-]{0,127}$")]
Side = Annotated[str | None, Query(pattern=r"^(baseline|anchor|candidate|repaired)$")]
WithText = Annotated[bool, Query(description="What the model said; needs scope content:read.")]


class ItemQuery(BaseModel):
    """Which items, and with their text or without."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    probe: Probe = None
    side: Side = None
    item: Annotated[str | None, Query(max_length=80)] = None
    text: WithText = False
    cursor: Cursor = None
    limit: Limit = 50


@router.get("/verdict", responses=raises(NotFound), response_model=Verdict)
def verdict(evaluation_id: str, caller: Reader, session: Reading) -> Response:
    """The verdict, in exactly the bytes that were decided; 404 until there is one."""
    document = verdict_text(session, caller.project, evaluation_id)
    return Response(document, media_type="application/json")


@router.get("/verdicts", responses=raises(NotFound))
def verdicts(evaluation_id: str, caller: Reader, session: Reading) -> wire.Page[Verdict]:
    """Every verdict of this evaluation, oldest first: each waiver after the first adds one."""
    latest = verdict_text(session, caller.project, evaluation_id)
    before = [earlier.document for earlier in earlier_verdicts(session, evaluation_id)]
    return schemas.full_page([Verdict.model_validate_json(text) for text in (*before, latest)])


@router.get("/checks", responses=raises(NotFound))
def checks(evaluation_id: str, caller: Reader, session: Reading) -> wire.Page[CheckResult]:
    """The verdict's checks; 404 until there is one."""
    document = verdict_text(session, caller.project, evaluation_id)
    return schemas.full_page(Verdict.model_validate_json(document).checks)


@router.get("/flips", responses=raises(NotFound))
def flips(
    evaluation_id: str,
    caller: Reader,
    session: Reading,
    probe: Probe = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> wire.Page[wire.Flip]:
    """Items whose outcome differs between baseline and candidate; ids, never text."""
    row = about(session, caller.project, evaluation_id)
    after = decode(cursor, 3) if cursor else None
    pairs = browse.list_flips(session, evaluation_id, limit=limit + 1, after=after, probe=probe)
    refuse_archived(session, row)
    return schemas.page(pairs, limit, schemas.flip, lambda pair: encode(*item_key(pair[0])))


@router.get("/items", responses=raises(NotFound, Forbidden))
def items(
    evaluation_id: str,
    caller: Reader,
    session: Reading,
    chosen: Annotated[ItemQuery, Query()],
) -> wire.Page[wire.Item]:
    """Trials and measures of both sides; with `text=true` what the model said."""
    if chosen.text:
        require_scopes(caller, "content:read")
    evaluation = about(session, caller.project, evaluation_id)
    rows = browse.list_items(
        session,
        evaluation_id,
        limit=chosen.limit + 1,
        after=decode(chosen.cursor, 4) if chosen.cursor else None,
        only=chosen.model_dump(include={"probe", "side", "item"}),
    )
    refuse_archived(session, evaluation)
    answers = answers_of(session, rows) if chosen.text else {}
    return schemas.page(
        rows,
        chosen.limit,
        lambda row: schemas.item(row, answers.get(row.answer_key)),
        lambda row: encode(*item_key(row), row.side),
    )


@router.get(
    "/artifacts/{name:path}",
    responses={**raises(NotFound), 200: {"content": {kind: {} for kind in ARTIFACTS.values()}}},
    response_class=Response,
)
def artifact(evaluation_id: str, name: str, caller: Reader, session: Reading) -> Response:
    """A report or evidence file, such as report.md or evidence/candidate.jsonl."""
    content = render_artifact(session, about(session, caller.project, evaluation_id), name)
    return Response(content, media_type=ARTIFACTS[name])


def about(session: Session, project: str, evaluation_id: str) -> EvaluationRow:
    """A project's evaluation; NotFound otherwise."""
    get_job(session, evaluation_id, project=project)
    return get_evaluation(session, evaluation_id)


def verdict_text(session: Session, project: str, evaluation_id: str) -> str:
    """The verdict's bytes; NotFound until there is one."""
    document = about(session, project, evaluation_id).verdict_document
    if document is None:
        status = get_job(session, evaluation_id).status
        raise NotFound(f"{evaluation_id} has no verdict: its status is {status}")
    return document


def item_key(row: TrialRow) -> tuple[str, str, str]:
    """The key by which flips are ordered."""
    return row.probe, row.item, row.variant


def answers_of(session: Session, rows: Sequence[TrialRow]) -> dict[str, dict[str, Any]]:
    """The stored answers of the model, by answer key."""
    return find_answers(session, sorted({row.answer_key for row in rows}))
