"""Commands of the operator: keys, and where a baseline alias points."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.cli.bodies import body
from holdfast.cli.command import Usage, emit, note, note_table
from holdfast.errors import NotFound
from holdfast.ids import is_id
from holdfast.report.escapes import for_terminal
from holdfast.scopes import ROLES, SCOPES, scopes_of_roles
from holdfast.settings import read_settings
from holdfast.stack.connect import connect, location, path_location


def keys_create(options: argparse.Namespace) -> int:
    """Make a key, through the server or, for the first one, in the database."""
    unknown = sorted(set(options.scopes) - set(SCOPES))
    if unknown:
        raise Usage(f"unknown scope {unknown[0]}, expected some of {', '.join(SCOPES)}")
    if not options.scopes and not options.roles:
        raise Usage(f"a key needs --role, one of {', '.join(ROLES)}, or --scopes")
    if options.days is not None and not 1 <= options.days <= 3650:
        raise Usage(f"--days is {options.days}, expected 1 to 3650")
    made = _key_in_database(options) if options.database else _key_by_server(options)
    note("this is shown once; only a hash of it is kept")
    emit(options, made, made["token"])
    return 0


def keys_list(options: argparse.Namespace) -> int:
    """The project's keys, without their secrets."""
    with connect() as client:
        keys = client.keys().data
    rows = [
        (key.id, key.name, " ".join(key.scopes), _day(key.expires_at), _day(key.revoked_at))
        for key in keys
    ]
    document = {"data": [key.model_dump(mode="json", exclude={"token"}) for key in keys]}
    show_rows(options, document, ("id", "name", "scopes", "expires", "revoked"), rows)
    return 0


def keys_revoke(options: argparse.Namespace) -> int:
    """End a key at once."""
    with connect() as client:
        key = client.revoke_key(options.id)
    emit(options, key.model_dump(mode="json", exclude={"token"}), f"{key.id} is revoked")
    return 0


def baseline_get(options: argparse.Namespace) -> int:
    """Where an alias points."""
    with connect() as client:
        baseline = client.baseline(options.project, options.alias)
    emit(options, baseline.model_dump(mode="json"), baseline.checkpoint)
    return 0


def baseline_set(options: argparse.Namespace) -> int:
    """Move an alias, unless somebody else moved it meanwhile."""
    has_origin = options.parent is not None or options.adapter is not None
    if has_origin and is_id(options.checkpoint, "ckpt"):
        raise Usage("--parent and --adapter belong to a folder that is registered, not to an id")
    with connect() as client:
        parent = None if options.parent is None else checkpoint_id_of(client, options.parent)
        adapter = None if options.adapter is None else path_location(options.adapter)
        checkpoint = checkpoint_id_of(client, options.checkpoint, parent=parent, adapter=adapter)
        expected = options.seen_version
        if expected is None:
            expected = _version(client.baseline, options)
        moved = client.set_baseline(
            options.project, options.alias, checkpoint, expected_version=expected
        )
    text = f"{moved.alias} points at {moved.checkpoint} (version {moved.version})"
    emit(options, moved.model_dump(mode="json"), text)
    return 0


def checkpoint_id_of(client: Client, named: str, **also: str | None) -> str:
    """The id of a checkpoint that is named by id, or by a folder which is registered on the way."""
    if is_id(named, "ckpt"):
        return named
    return client.register_checkpoint(location(named), **also).id


def baseline_history(options: argparse.Namespace) -> int:
    """Every move of an alias, newest first."""
    with connect() as client:
        moves = client.baseline_history(options.project, options.alias).data
    rows = [(str(m.version), m.checkpoint, m.actor, _day(m.created_at)) for m in moves]
    document = {"data": [move.model_dump(mode="json") for move in moves]}
    show_rows(options, document, ("version", "checkpoint", "actor", "moved"), rows)
    return 0


def show_rows(
    options: argparse.Namespace,
    document: dict[str, Any],
    headings: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
) -> None:
    """A table for people on stderr, or a line each on stdout; the document with --json."""
    if sys.stderr.isatty():
        note_table(headings, rows)
    emit(options, document, "\n".join("\t".join(map(for_terminal, row)) for row in rows))


def _key_in_database(options: argparse.Namespace) -> dict[str, Any]:
    from holdfast.cli.stack import require_head
    from holdfast.db.keys import create_key, read_pepper
    from holdfast.db.session import open_database, transaction
    from holdfast.principals import person_named
    from holdfast.projects.audit import Actor, record

    settings = read_settings()
    require_head(settings)
    expires = None if options.days is None else datetime.now(UTC) + timedelta(days=options.days)
    pepper, database = read_pepper(settings), open_database(settings.database_url)
    with transaction(database) as session:
        made = create_key(
            session,
            pepper,
            options.project,
            name=options.name,
            scopes={*options.scopes, *scopes_of_roles(options.roles)},
            expires_at=expires,
        )
        if options.principal is not None:
            made.row.principal = person_named(options.principal)
        after = {"name": options.name, "scopes": made.row.scopes, "principal": made.row.principal}
        operator = Actor(options.project, None, authenticated="operator")
        record(session, operator, "key.create", made.row.id, after=after)
    database.dispose()
    return {"id": made.row.id, "project": options.project, "token": made.token}


def _key_by_server(options: argparse.Namespace) -> dict[str, Any]:
    wanted = body(
        wire.NewKey,
        name=options.name,
        scopes=tuple(options.scopes),
        roles=tuple(options.roles),
        principal=options.principal,
        expires_in_days=options.days,
    )
    with connect() as client:
        made = client.create_key(wanted)
    return {"id": made.id, "project": made.project, "token": made.token}


def _version(get: Any, options: argparse.Namespace) -> int | None:
    try:
        baseline: wire.Baseline = get(options.project, options.alias)
    except NotFound:
        return None
    return baseline.version


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
