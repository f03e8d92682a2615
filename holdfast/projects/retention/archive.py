"""Evidence and verdicts of an evaluation as files, written before its trials are removed.

`archive/EVALUATION/` in the data folder holds `evidence/SIDE.jsonl` as the service gave them out,
`verdict.json`, and the verdicts before it as `verdicts/NUMBER.json`. Each file is whole or absent
and is read back; the evidence has the digests that the verdicts name, or nothing is removed. An
evaluation whose trials are removed has no manifests any more: whoever reads them has nothing to
take for evidence.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from holdfast.db.tables import EvaluationRow
from holdfast.db.trials import read_back
from holdfast.errors import HarnessError, NotFound
from holdfast.evidence.file import render_evidence
from holdfast.evidence.manifest import Manifest
from holdfast.projects.tables import EarlierVerdict
from holdfast.verdict.document import Verdict

ARCHIVE = "archive"  # in the data folder
SUBFOLDERS = ("evidence", "verdicts")
SIDES = {"repaired_from": "repaired"}  # verdicts' name of a side, where rows have another


def write_archive(session: Session, home: Path, row: EvaluationRow) -> dict[str, str]:
    """Write everything that an evaluation's verdicts refer to; returns each file's SHA-256.

    Raises HarnessError where the rows are not what a verdict was decided on.
    """
    files = dict(_evidence(session, row))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    verdicts = dict(_verdicts(session, row))
    for name, document in verdicts.items():
        _require_digests(name, Verdict.model_validate_json(document), digests)
    folder = _make_folders(home, row.id)
    for name, content in (files | verdicts).items():
        digests[name] = _write_checked(folder / name, content)
    _sync_folders(home, folder)
    return digests


def was_archived(row: EvaluationRow) -> bool:
    """Whether the trials of an evaluation were removed: manifests come before every verdict."""
    return row.verdict_document is not None and not row.manifests


def refuse_archived(session: Session, row: EvaluationRow) -> None:
    """NotFound if an evaluation's evidence is in the archive by now; called after it was read."""
    session.get(EvaluationRow, row.id, populate_existing=True)
    if was_archived(row):
        raise NotFound(
            f"the evidence of {row.id} was archived: it is in {ARCHIVE}/{row.id} of the server's "
            "data folder and no longer in its database"
        )


def _evidence(session: Session, row: EvaluationRow) -> Iterator[tuple[str, bytes]]:
    for side, document in row.manifests.items():
        evidence = read_back(session, row.id, side, Manifest.model_validate(document))
        yield f"evidence/{side}.jsonl", render_evidence(evidence)


def _verdicts(session: Session, row: EvaluationRow) -> Iterator[tuple[str, bytes]]:
    query = select(EarlierVerdict).where(EarlierVerdict.evaluation_id == row.id)
    for earlier in session.scalars(query.order_by(EarlierVerdict.number)):
        yield f"verdicts/{earlier.number}.json", earlier.document.encode()
    if row.verdict_document is not None:
        yield "verdict.json", row.verdict_document.encode()


def _require_digests(name: str, verdict: Verdict, digests: dict[str, str]) -> None:
    for side, expected in verdict.evidence_digests.items():
        file = f"evidence/{SIDES.get(side, side)}.jsonl"
        if digests.get(file) != expected:
            raise HarnessError(
                f"{file} would have the digest {digests.get(file, 'of nothing')}, and the verdict "
                f"{name} was decided on {expected}"
            )


def _make_folders(home: Path, evaluation_id: str) -> Path:
    folder = home / ARCHIVE / evaluation_id
    for path in (folder.parent, folder, *(folder / name for name in SUBFOLDERS)):
        path.mkdir(mode=0o700, exist_ok=True)
    return folder


def _sync_folders(home: Path, folder: Path) -> None:
    """Bring the folders' entries to the disk, so that the files outlive a loss of power."""
    for path in (*(folder / name for name in SUBFOLDERS), folder, folder.parent, home):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_checked(path: Path, content: bytes) -> str:
    """Write a file of this user's alone, whole or not at all; returns its digest as read back."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    written = path.read_bytes()
    if written != content:
        raise HarnessError(f"{path} does not hold what was written to it; is the disk sound?")
    return hashlib.sha256(written).hexdigest()
