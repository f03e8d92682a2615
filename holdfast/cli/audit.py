"""Commands on the audit trail: export it, and check that it is whole."""

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from holdfast.api.client import Client
from holdfast.cli.command import Usage, emit, note
from holdfast.errors import AuditBroken
from holdfast.projects.chain import Head, verify, verify_head, verify_signature
from holdfast.stack.connect import connect


def audit_export(options: argparse.Namespace) -> int:
    """Write the trail as JSON lines and, as the last one, the signed head."""
    with connect() as client:
        events = [event.model_dump(mode="json") for event in client.audit_events()]
        head = client.audit_head().model_dump(mode="json")
    lines = (json.dumps(line, sort_keys=True) for line in (*events, {"head": head}))
    emit(options, {"events": events, "head": head}, "\n".join(lines))
    note(f"{len(events)} acts of project {head['project']}, up to event {head['seq']}")
    return 0


def audit_verify(options: argparse.Namespace) -> int:
    """Check that no act was changed, removed, moved or cut off, in an export or on the server."""
    if options.file is None:
        with connect() as client:
            events, signed = from_server(client)
    else:
        events, signed = from_export(options.file)
    head = Head(signed["project"], signed["seq"], signed["digest"])
    reached = verify(head.project, events)
    verify_signature(head, signed["signature"], signed["public_key"])
    verify_head(reached, head, events)
    if reached != head:
        raise AuditBroken(f"the trail ends at event {reached.seq}, its signed head at {head.seq}")
    if options.head is not None:
        check_kept_head(options.head, reached, signed["public_key"], events)
    emit(
        options,
        {"project": head.project, "seq": head.seq, "digest": head.digest, "whole": True},
        f"whole: {head.seq} acts of project {head.project}",
    )
    return 0


def from_server(client: Client) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The events up to the head that the server signs now, and that head."""
    signed = client.audit_head().model_dump(mode="json")
    events = (event.model_dump(mode="json") for event in client.audit_events())
    return [event for event in events if event["seq"] <= signed["seq"]], signed


def from_export(file: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The events and the head of an export; AuditBroken for one that is cut or no export."""
    lines = list(_json_lines(file))
    if not lines or set(lines[-1]) != {"head"}:
        raise AuditBroken(f"{file} does not end with the signed head: it is cut, or no export")
    return lines[:-1], lines[-1]["head"]


def check_kept_head(
    file: Path, reached: Head, public_key: str, events: Iterable[dict[str, Any]]
) -> None:
    """AuditBroken unless the trail still holds the head in a file, by the same key."""
    *_, last = list(_json_lines(file)) or [{}]
    kept = last.get("head", last)
    if not {"project", "seq", "digest", "signature", "public_key"} <= set(kept):
        raise Usage(f"--head {file}: expected a signed head, or an export that ends with one")
    head = Head(kept["project"], kept["seq"], kept["digest"])
    verify_signature(head, kept["signature"], kept["public_key"])
    if kept["public_key"] != public_key:
        raise AuditBroken(f"the head in {file} was signed by another key than the trail's")
    verify_head(reached, head, events)


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            document = json.loads(line)
        except ValueError as error:
            raise AuditBroken(f"{file}, line {number}, is not whole: {error}") from error
        if not isinstance(document, dict):
            raise AuditBroken(f"{file}, line {number}, is no act")
        yield document
