"""The rules of a project: which policy, baseline and anchor count, and what a submitter may choose.

A project that nobody made rules for demands nothing: there a submitter chooses everything, as on a
machine of one's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from holdfast.db.catalogue import find_baseline, get_policy
from holdfast.db.evaluations import EvaluationFields, create_evaluation, fields_of
from holdfast.db.jobs import now
from holdfast.db.tables import EvaluationRow, JobRow
from holdfast.errors import (
    Conflict,
    Forbidden,
    InvalidPolicy,
    StaleVersion,
)
from holdfast.ladder.rungs import AUTO
from holdfast.policy.text import parse_policy
from holdfast.projects.people import Person, authors_of, may_be_one_of, mover_of
from holdfast.projects.tables import ProjectRow
from holdfast.repairs.recipes import DEPLOYED, recipe_spec
from holdfast.verdict.terms import Terms

WAIVER_DAYS = 30
UNCHANGED = "unchanged: the candidate is the project's own baseline"


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that can be set for a project; `baseline` and `anchor` are aliases."""

    policy_id: str | None = None
    baseline: str | None = None
    anchor: str | None = None
    separate_duties: bool = False
    unwaivable: tuple[str, ...] = ()
    waiver_days: int = WAIVER_DAYS
    roots: tuple[str, ...] | None = None


def find_project(session: Session, project: str) -> ProjectRow | None:
    """The rules of a project; None where nobody made any."""
    return session.get(ProjectRow, project)


def rules_of(row: ProjectRow | None) -> Rules:
    """The rules of a row, or those of a project without."""
    if row is None:
        return Rules()
    return Rules(
        row.policy_id,
        row.baseline,
        row.anchor,
        row.separate_duties,
        tuple(row.unwaivable),
        row.waiver_days,
        None if row.roots is None else tuple(row.roots),
    )


def set_rules(
    session: Session, project: str, rules: Rules, *, principal: str, expected_version: int | None
) -> ProjectRow:
    """Give a project these rules, if they still are at `expected_version` (None: it has none)."""
    row = session.get(ProjectRow, project, with_for_update=True)
    version = row.version if row else None
    if version != expected_version:
        raise StaleVersion(
            f"the rules of {project} are {f'version {version}' if version else 'not set'}; read "
            "them and send their ETag as If-Match"
        )
    if rules.policy_id is not None:
        get_policy(session, project, rules.policy_id)
    moment = now(session)
    row = row or ProjectRow(name=project, version=0)
    if rules.policy_id != row.policy_id:
        row.policy_set_by, row.policy_set_at = principal, moment
    row.policy_id, row.baseline, row.anchor = rules.policy_id, rules.baseline, rules.anchor
    row.separate_duties, row.waiver_days = rules.separate_duties, rules.waiver_days
    row.unwaivable = list(rules.unwaivable)
    row.roots = None if rules.roots is None else list(rules.roots)
    row.version += 1
    session.add(row)
    session.flush()
    return row


def pinned_policy(session: Session, project: str) -> str:
    """The id of the policy that a project pins; InvalidPolicy where it pins none."""
    row = find_project(session, project)
    if row is None or row.policy_id is None:
        raise InvalidPolicy(f"project {project} pins no policy; name one, such as `default`")
    return row.policy_id


def require_pinned(session: Session, row: ProjectRow | None, policy_id: str) -> None:
    """Forbidden where the project pins a policy and this is another."""
    if row is not None and row.policy_id not in {None, policy_id}:
        name = get_policy(session, row.name, row.policy_id or "").name
        raise Forbidden(
            f"project {row.name} judges by its own policy {name} ({row.policy_id}), found another; "
            "submit with the policy `pinned`, or have a key of role release change it"
        )


def queue_evaluation(session: Session, new: EvaluationFields) -> str:
    """Queue an evaluation under the rules of now, whoever asks for it; returns its id.

    The one place where evaluations are made: of a submission, and of every step of a repair.
    """
    project = find_project(session, new.project)
    return create_evaluation(session, replace(new, terms=terms_of(session, project, new)))


def terms_of(session: Session, row: ProjectRow | None, new: EvaluationFields) -> Terms | None:
    """The terms of the project for an evaluation about to be queued; None where it has no rules."""
    if row is None or not _governs(row):
        return None
    people = {new.principal} | authors_of(session, row.name, new.candidate_id)
    obstacles = tuple(_obstacles(session, row, new, people))
    unchanged = new.candidate_id == new.baseline_id and not obstacles
    return Terms(
        obstacles=obstacles,
        remarks=(*_origin(row, new), *((UNCHANGED,) if unchanged else ())),
        text_waivers=_text_is_anothers(row, people),
        unwaivable=tuple(row.unwaivable),
    )


def renew_terms(session: Session, job: JobRow, row: EvaluationRow) -> None:
    """Hold an evaluation that is tried again to the rules of now, not to those of its submission.

    Raises Forbidden where the project pins another policy by now.
    """
    project = find_project(session, job.project)
    require_pinned(session, project, row.policy_id)
    row.terms = terms_of(session, project, fields_of(job, row))


def require_allowed(
    session: Session, failing: EvaluationFields, recipe: str, asker: Person
) -> None:
    """Forbidden where no repair of a failing evaluation could pass by the rules of now."""
    project = find_project(session, failing.project)
    require_pinned(session, project, failing.policy_id)
    retemplates = recipe != AUTO and recipe_spec(recipe).retemplates
    template = DEPLOYED if retemplates else failing.template
    made = replace(failing, template=template, principal=asker)
    terms = terms_of(session, project, made)
    if terms is not None and terms.obstacles:
        raise Forbidden(
            "a repair could not pass by the rules of project "
            f"{failing.project} as they are now: {terms.obstacles[0]}"
        )


def _governs(row: ProjectRow) -> bool:
    """Whether any rule of the project is about what an evaluation may be passed by."""
    demanded = (row.policy_id, row.baseline, row.anchor, row.separate_duties, row.unwaivable)
    return any(demanded)


def _text_is_anothers(row: ProjectRow, people: set[Person]) -> bool:
    """Whether the policy's text is pinned, where duties are separate by somebody else."""
    if row.policy_id is None:
        return False
    return not (row.separate_duties and may_be_one_of(row.policy_set_by, people))


def _obstacles(
    session: Session, row: ProjectRow, new: EvaluationFields, people: set[Person]
) -> Iterator[str]:
    """Sentences on choices that the project does not allow, and on who may not have set it up.

    `people` are those behind the candidate.
    """
    if row.policy_id not in {None, new.policy_id}:
        yield f"the project judges by its own policy {row.policy_id}, found {new.policy_id}"
    for alias, chosen, side in (
        (row.baseline, new.baseline_id, "baseline"),
        (row.anchor, new.anchor_id, "anchor"),
    ):
        if alias is None:
            continue
        move = find_baseline(session, row.name, alias)
        if move is None:
            raise Conflict(
                f"project {row.name} requires the {side} {alias!r}, which points nowhere; set it "
                f"first: `holdfast baseline set {alias} PATH`"
            )
        if move.checkpoint_id != chosen:
            yield (
                f"the project requires the {side} {alias!r} ({move.checkpoint_id}), found "
                f"{chosen or 'none'}: submit with it"
            )
        elif row.separate_duties and may_be_one_of(mover_of(session, move), people):
            yield (
                f"the project wants two people, and whoever pointed the {side} {alias!r} at "
                f"{move.checkpoint_id} may be whoever is behind the candidate: have somebody else "
                "set it"
            )
    if row.policy_id is not None:
        policy = parse_policy(get_policy(session, row.name, row.policy_id).text, source="policy")
        template = "candidate" if new.template == DEPLOYED else new.template
        if template not in policy.templates:
            yield (
                f"the project's policy renders with {' or '.join(policy.templates)}, found the "
                f"chat template of the {template}"
            )
        if free := sorted({*(new.template_arguments or {})} - {*policy.template_arguments}):
            yield f"the project's policy says nothing of the template argument {free[0]}"


def _origin(row: ProjectRow, new: EvaluationFields) -> Iterator[str]:
    """Which policy is in force and who set it, where the project pins this one."""
    if row.policy_id == new.policy_id and row.policy_set_at is not None:
        day = row.policy_set_at.date().isoformat()
        yield (
            f"the policy is the one that project {row.name} pins, set by {row.policy_set_by} on "
            f"{day}"
        )
