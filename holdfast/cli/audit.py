"""Commands on the audit trail: export it, and check that it is whole."""

import argparse
import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast.api.client import Client
from holdfast.checkpoints.json_files import parse_json
from holdfast.cli.command import Usage, emit, note
from holdfast.errors import AuditBroken, CheckpointRefused
from holdfast.plain_files import read_plain_text
from holdfast.projects.chain import Head, SignedHead, verify, verify_heads
from holdfast.stack.connect import connect

SIGNED = {"project", "seq", "digest", "signature", "public_key"}  # the fields of a signed head
KEY_BYTES, MOST_BYTES = 32, 1 << 16  # of a public key; of a file of them

Events = list[dict[str, Any]]


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
            events, ending, earlier = from_server(client)
    else:
        (events, ending), earlier = from_export(options.file), []
    named = [key for word in options.trusted_key or () for key in keys_named(word)]
    head, trusted = ending.head, named or [ending.public_key]
    reached = verify(head.project, events)
    if options.head is not None:
        earlier.extend(from_kept(options.head, head.project))
    verify_heads(reached, [ending, *earlier], events, trusted)
    if reached != head:
        raise AuditBroken(f"the trail ends at event {reached.seq}, its signed head at {head.seq}")
    keys = signers([ending, *earlier])
    emit(
        options,
        {
            **asdict(head),
            "whole": True,
            "earlier_heads": len(earlier),
            "signed_by": keys,
            "keys_compared": bool(named),
        },
        f"{'whole' if named else 'whole in itself'}: {head.seq} acts of project {head.project}, "
        f"with {len(earlier)} heads from before; signed by the key {', '.join(keys)}, which "
        f"{'is trusted' if named else 'was not compared with any (--trusted-key KEY compares it)'}",
    )
    return 0


def keys_named(word: str) -> list[str]:
    """A public key as it is, or those of a file, a line each; Usage where there is none."""
    if is_public_key(word):
        return [word]
    try:
        lines = read_plain_text(Path(word), MOST_BYTES, Usage).split()
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"--trusted-key {word}: no Ed25519 key in base64, and no file of them ({error})"
        ) from error
    if not lines or not all(map(is_public_key, lines)):
        raise Usage(f"--trusted-key {word}: expected a file of Ed25519 keys in base64, a line each")
    return lines


def is_public_key(word: str) -> bool:
    """Whether a word is 32 bytes in base64, as a verification says who signed."""
    try:
        return len(base64.b64decode(word, validate=True)) == KEY_BYTES
    except ValueError:
        return False


def from_server(client: Client) -> tuple[Events, SignedHead, list[SignedHead]]:
    """The events up to the head that the server signs now, that head, and those it kept before."""
    earlier = [signed_head(head.model_dump()) for head in client.audit_heads()]  # before the events
    ending = signed_head(client.audit_head().model_dump())
    events = (event.model_dump(mode="json") for event in client.audit_events())
    return [event for event in events if event["seq"] <= ending.head.seq], ending, earlier


def from_export(file: Path) -> tuple[Events, SignedHead]:
    """The events and the head of an export; AuditBroken for one that is cut or no export."""
    lines = list(_json_lines(file))
    if not lines or set(lines[-1]) != {"head"}:
        raise AuditBroken(f"{file} does not end with the signed head: it is cut, or no export")
    return lines[:-1], signed_head(lines[-1]["head"])


def from_kept(file: Path, project: str) -> list[SignedHead]:
    """The heads of a project in a file: a head, an export, or a server's `audit-heads.jsonl`."""
    documents = [line.get("head", line) for line in _json_lines(file)]
    heads = [signed_head(document) for document in documents if document.keys() >= SIGNED]
    if not heads:
        raise Usage(f"--head {file}: expected a signed head, or an export that ends with one")
    if not (ours := [signed for signed in heads if signed.head.project == project]):
        others = ", ".join(sorted({signed.head.project for signed in heads}))
        raise AuditBroken(f"--head {file}: its heads are of the project {others}, not {project}")
    return ours


def signed_head(document: Mapping[str, Any]) -> SignedHead:
    """A signed head from its JSON."""
    head = Head(document["project"], document["seq"], document["digest"])
    return SignedHead(head, document["signature"], document["public_key"])


def signers(heads: Iterable[SignedHead]) -> list[str]:
    """The public keys that signed some heads, each once."""
    return list(dict.fromkeys(signed.public_key for signed in heads))


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            document = parse_json(line, "the act")
        except CheckpointRefused as error:
            raise AuditBroken(f"{file}, line {number}, is not whole: {error}") from error
        if not isinstance(document, dict):
            raise AuditBroken(f"{file}, line {number}, is no act")
        yield document
