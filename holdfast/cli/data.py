"""`holdfast data audit`: training rows looked at by the model that they are meant for.

What words can tell is told here; a process of its own has the model score the rows. Two files come
of it: the report, and the rows that stay, as JSON Lines with every key that they had. Exit 0
whatever was found: an audit is no verdict.
"""

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from holdfast.cli.command import Usage, emit, note, to_json
from holdfast.cli.judges import open_reader
from holdfast.cli.named_folders import permitted_root
from holdfast.errors import ERRORS, HarnessError
from holdfast.new_files import write_new
from holdfast.plain_files import open_plain
from holdfast.readings.task_audit import audited, in_words, labels_of, near_harmful
from holdfast.repairs.documents import documents
from holdfast.repairs.task_data import Row, digest_of, read_task_data
from holdfast.settings import Settings, child_environment, make_folder, make_home, read_settings

CHILD = "workers.row_scores"
TOLD_EVERY = 50  # scores
OFF = "off"


def data_audit(options: argparse.Namespace) -> int:
    """Score, rank, report, and write what stays."""
    if not 0 <= options.drop < 1:
        raise Usage(f"--drop is {options.drop:g}, expected a share from 0 to below 1")
    settings = read_settings()
    digest, rows = digest_of(options.file), read_task_data(options.file)
    near = near_harmful(rows, settings.installed_suites)
    with nullcontext((None, None)) if options.judge == OFF else open_reader(options.judge) as judge:
        labels = labels_of(rows, near, judge[0], every=options.judge != "refusal")
    scores, direction = score_rows(settings, options.model, rows, options.scores)
    audit = audited(rows, scores, near, labels, options.drop, wanted=options.scores)
    document = {
        "task_data": {"path": str(options.file), "sha256": digest},
        "model": options.model,
        "judge": None if judge[1] is None else {"name": options.judge, "sha256": judge[1]},
        "drop": options.drop,
        "direction": direction,
        **audit.document(),
    }
    if digest_of(options.file) != digest:
        raise Usage(f"{options.file} changed while it was audited; audit it again")
    stem = options.file.name.split(".")[0]
    report, kept = (options.out / f"{stem}.{ending}" for ending in ("audit.json", "kept.jsonl"))
    write_new(kept, _kept_lines(options.file, audit.kept), Usage)
    write_new(report, to_json(document).encode(), Usage)
    emit(options, document, f"{in_words(audit)}\n{report}\n{kept}")
    return 0


def score_rows(
    settings: Settings, model: str, rows: Sequence[Row], wanted: Sequence[str]
) -> tuple[dict[int, dict[str, float]], dict[str, Any] | None]:
    """The model's scores by line, and where its refusal direction lies; raises its error."""
    make_home(settings.home)
    folder = Path(model).resolve()
    roots = (*settings.checkpoint_roots, permitted_root(folder))
    settings = settings.model_copy(update={"checkpoint_roots": roots})
    run = settings.home / "run"
    make_folder(run)
    scores: defaultdict[int, dict[str, float]] = defaultdict(dict)
    direction: dict[str, Any] | None = None
    last: dict[str, Any] = {}
    with TemporaryDirectory(prefix="holdfast-") as scratch:
        file = Path(scratch) / "rows.jsonl"
        file.write_text("".join(_row_line(row) for row in rows), encoding="utf-8")
        command = [sys.executable, "-m", CHILD, str(folder), str(file)]
        with subprocess.Popen(
            [*command, "--scores", *wanted],
            stdout=subprocess.PIPE,
            text=True,
            cwd=run,
            env=child_environment(settings),
        ) as child:
            for at, line in enumerate(child.stdout or (), start=1):
                last = json.loads(line)
                event = last["event"]
                if event == "direction":
                    direction = {name: last[name] for name in ("layer", "separation")}
                elif event == "row":
                    scores[last["line"]] |= {name: last[name] for name in wanted if name in last}
                if at % TOLD_EVERY == 0:
                    note(f"{at} of {len(rows) * len(wanted)} scores")
    if last.get("event") != "done":
        raise ERRORS.get(last.get("error", ""), HarnessError)(
            last.get("detail") or f"scoring ended with exit code {child.returncode}, without a word"
        )
    return dict(scores), direction


def _row_line(row: Row) -> str:
    document = {"line": row.line, "turns": row.prompt_turns, "completion": row.completion}
    return json.dumps(document) + "\n"


def _kept_lines(path: Path, kept: frozenset[int]) -> bytes:
    """The documents of the file that stay, one a line."""
    with open_plain(path, Usage) as file:
        return b"".join(
            json.dumps(document, ensure_ascii=False).encode() + b"\n"
            for document, number, _ in documents(file, path)
            if number in kept
        )
