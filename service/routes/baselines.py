"""Baselines: aliases such as `production`, moved only by someone who saw where they stood."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Path, Response
from sqlalchemy.orm import Session

from holdfast.api import wire
from holdfast.db import catalogue
from holdfast.errors import CallerError, NotFound, StaleVersion
from holdfast.projects.people import require_another_person
from holdfast.projects.rules import find_project
from service import schemas
from service.acts import Acts
from service.deps import BaselineWriter, Reader, Reading, Writing, require_project
from service.problems import raises

router = APIRouter(prefix="/v1/projects/{project}/baselines/{alias}", tags=["baselines"])

ProjectPath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
AliasPath = Annotated[str, Path(pattern=wire.ALIAS)]
IfMatch = Annotated[
    str | None,
    Header(
        pattern=r'^(\*|(W/)?"\d{1,9}")$',
        description="The ETag that was seen, or * for whatever is there; none to set it first.",
    ),
]


@router.get("", responses=raises(NotFound))
def read(
    project: ProjectPath, alias: AliasPath, caller: Reader, session: Reading, response: Response
) -> wire.Baseline:
    """Where the alias points now; its version is the ETag."""
    row = catalogue.get_baseline(session, require_project(project, caller), alias)
    response.headers["ETag"] = f'"{row.version}"'
    return schemas.baseline(row)


@router.put("", responses=raises(NotFound, StaleVersion))
def move(
    project: ProjectPath,
    alias: AliasPath,
    body: wire.NewBaseline,
    caller: BaselineWriter,
    session: Writing,
    acts: Acts,
    response: Response,
    if_match: IfMatch = None,
) -> wire.Baseline:
    """Point the alias at a checkpoint; 412 when it moved since it was seen."""
    require_project(project, caller)
    rules = find_project(session, project)
    act = f"point {alias} at it"
    require_another_person(session, rules, body.checkpoint, caller.principal, act)
    before = catalogue.find_baseline(session, project, alias)
    row = catalogue.set_baseline(
        session,
        project,
        alias,
        body.checkpoint,
        actor=caller.key_id,
        expected_version=parse_if_match(session, project, alias, if_match),
    )
    acts.note(
        session,
        "baseline.move",
        alias,
        before={"checkpoint": before.checkpoint_id} if before else None,
        after={"checkpoint": row.checkpoint_id, "version": row.version},
    )
    response.headers["ETag"] = f'"{row.version}"'
    return schemas.baseline(row)


@router.get("/history", responses=raises(NotFound))
def history(
    project: ProjectPath, alias: AliasPath, caller: Reader, session: Reading
) -> wire.Page[wire.Baseline]:
    """Every move, newest first, and who made it."""
    rows = catalogue.baseline_history(session, require_project(project, caller), alias)
    return schemas.full_page([schemas.baseline(row) for row in rows])


def parse_if_match(session: Session, project: str, alias: str, if_match: str | None) -> int | None:
    """The version that the caller says to have seen; None for "not set yet"."""
    if if_match == "*":
        return catalogue.get_baseline(session, project, alias).version
    return seen_version(if_match)


def seen_version(if_match: str | None) -> int | None:
    """The number in an ETag; None for "not set yet"."""
    if if_match is None:
        return None
    number = re.search(r"\d+", if_match)
    if number is None:
        raise CallerError(f"If-Match {if_match!r} is no ETag of a baseline")
    return int(number[0])
