"""A project's rules: what every evaluation in it must be, and who may change that."""

from dataclasses import asdict
from pathlib import Path

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from holdfast.api import wire
from holdfast.errors import CallerError, InvalidPolicy, NotFound, StaleVersion, UnknownProbe
from holdfast.probes.table import spec_of
from holdfast.projects import rules
from holdfast.projects.decided_anew import decide_again, waived_digests
from holdfast.projects.tables import ProjectRow
from holdfast.settings import Settings
from service import schemas
from service.acts import Acts
from service.deps import (
    ProjectWriter,
    Reader,
    Reading,
    SettingsDep,
    Writing,
    require_project,
    require_scopes,
)
from service.problems import raises
from service.routes.baselines import IfMatch, ProjectPath, seen_version
from service.submit import policy_named

router = APIRouter(prefix="/v1/projects", tags=["projects"])

FOR_RELEASES = {"policy_id", "baseline", "anchor"}  # all other rules are an admin's to change


@router.get("", responses=raises())
def list_all(caller: Reader, session: Reading) -> wire.Page[wire.Project]:
    """The key's own project: there is no key of several."""
    row = rules.find_project(session, caller.project)
    return schemas.full_page([schemas.project(caller.project, row)])


@router.get("/{project}", responses=raises())
def read(
    project: ProjectPath, caller: Reader, session: Reading, response: Response
) -> wire.Project:
    """The rules as they are; version 0 where nobody made any."""
    row = rules.find_project(session, require_project(project, caller))
    if row is not None:
        response.headers["ETag"] = f'"{row.version}"'
    return schemas.project(project, row)


@router.put("/{project}", responses=raises(InvalidPolicy, NotFound, StaleVersion))
def change(
    project: ProjectPath,
    body: wire.NewProject,
    caller: ProjectWriter,
    session: Writing,
    settings: SettingsDep,
    acts: Acts,
    response: Response,
    if_match: IfMatch = None,
) -> wire.Project:
    """Set all rules; 412 when they changed since they were seen."""
    require_project(project, caller)
    row = rules.find_project(session, project)
    before, expected_version = rules.rules_of(row), matched_version(row, if_match)
    policy = policy_named(body.policy, settings) if body.policy else None
    after = rules.Rules(
        policy_id=policy(session, project) if policy else None,
        **body.model_dump(exclude={"policy"}),
    )
    check_rules(after, settings)
    changed = {name for name, value in asdict(after).items() if value != asdict(before)[name]}
    if changed - FOR_RELEASES:
        require_scopes(caller, "admin")
    row = rules.set_rules(
        session,
        project,
        after,
        principal=caller.principal or caller.key_id,
        expected_version=expected_version,
    )
    decided = _decide_anew(session, project) if "unwaivable" in changed else {}
    acts.note(
        session,
        "project.change",
        project,
        before=asdict(before),
        after=asdict(after) | {"verdicts": decided},
    )
    response.headers["ETag"] = f'"{row.version}"'
    return schemas.project(project, row)


def matched_version(row: ProjectRow | None, if_match: str | None) -> int | None:
    """The version that the caller says to have seen; for `*` the one that is there."""
    if if_match != "*":
        return seen_version(if_match)
    if row is None:
        raise StaleVersion("nobody has made rules for `If-Match: *` to match; send no If-Match")
    return row.version


def _decide_anew(session: Session, project: str) -> dict[str, str | None]:
    """Decide what was waived as the rules are now; the verdicts that changed, by evaluation."""
    return {
        row.id: row.verdict
        for digest in waived_digests(session, project)
        for row in decide_again(session, project, digest)
    }


def _is_check(name: str) -> bool:
    try:
        spec_of(name)
    except UnknownProbe:
        return False
    return True


def check_rules(wanted: rules.Rules, settings: Settings) -> None:
    """Refuse a check that does not exist, and a folder outside the server's roots."""
    if strange := [name for name in wanted.unwaivable if not _is_check(name)]:
        raise InvalidPolicy(f"unwaivable: {strange[0]} is no check; GET /v1/probes lists them")
    allowed = [root.resolve() for root in settings.roots]
    for root in wanted.roots or ():
        if not any(Path(root).resolve().is_relative_to(folder) for folder in allowed):
            raise CallerError(
                f"roots: {root} lies outside the server's own roots; the operator adds it to "
                "HOLDFAST_CHECKPOINT_ROOTS first"
            )
