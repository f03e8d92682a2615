"""`holdfast watch DIR`: every checkpoint that appears in a folder is gated, whoever writes it.

For trainers without our callback. A subfolder counts once it has a config and weights, of a model
or of an adapter, and has not changed between two looks. Trainers lay optimizer states beside the
weights, which no checkpoint may hold, so what makes up the model is copied aside and that copy is
judged; an adapter is judged on the base that it names, or that `--base` does.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.checkpoints.json_files import strict_json
from holdfast.checkpoints.model_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, COUNTED_SUFFIXES
from holdfast.cli.bodies import baseline, body
from holdfast.cli.command import note, print_document
from holdfast.cli.jobs import read_policy
from holdfast.cli.waiting import Deadline, submitted_verdict
from holdfast.errors import CheckpointRefused, HarnessError
from holdfast.report.escapes import for_terminal
from holdfast.settings import make_folder, read_settings
from holdfast.stack.connect import connect
from holdfast.verdict.document import Verdict

NOT_OF_THE_MODEL = frozenset({"trainer_state.json"})
SEVERITY = (0, 3, 2, 4, 1)  # exit codes from the least to the worst: nothing later hides a fail

State = tuple[tuple[str, int, int], ...]  # (path, size, time) of every file


def watch(options: argparse.Namespace) -> int:
    """Gate what appears, until interrupted or, with --once, until what is there is judged.

    The exit code is the worst of all; a folder in which there is nothing to judge is exit 2.
    """
    aside = read_settings().home / "checkpoints" / "watched"
    codes: list[int] = []
    with connect() as client:
        text, _ = read_policy(client, options.policy)
        for folder in new_checkpoints(options.folder, options.seconds, once=options.once):
            try:
                copy = model_of(folder, aside / f"{folder.name}-{time.time_ns():x}")
                evaluation, verdict = judge_copy(client, options, copy, text)
            except (CheckpointRefused, HarnessError) as error:
                note(f"{folder.name} is not judged: {error}")
                codes.append(error.exit_code)
                continue
            say(options, folder, evaluation, verdict)
            codes.append(verdict.exit_code)
            if verdict.verdict == "fail" and options.stop_on_fail:
                break
            if verdict.verdict != "fail":
                shutil.rmtree(copy)
    if not codes:
        raise CheckpointRefused(
            f"{options.folder} holds no checkpoint; expected subfolders with a config.json and "
            "safetensors weights"
        )
    return max(codes, key=SEVERITY.index)


def new_checkpoints(parent: Path, seconds: float, *, once: bool) -> Iterator[Path]:
    """Each whole checkpoint folder under `parent`, oldest first, again when it was written anew."""
    reported: dict[Path, State] = {}
    before: dict[Path, State] | None = None
    while True:
        now = {folder: state_of(folder) for folder in _folders(parent)}
        settled = [
            folder for folder, state in now.items() if state and (before or {}).get(folder) == state
        ]
        fresh = [folder for folder in settled if reported.get(folder) != now[folder]]
        for folder in sorted(fresh, key=lambda folder: max(when for _, _, when in now[folder])):
            reported[folder] = now[folder]
            yield folder
        if once and now == before and not fresh:  # nothing is still being written
            return
        before = now
        time.sleep(seconds)


def state_of(folder: Path) -> State:
    """Path, size and time of a folder's files; empty as long as it is no checkpoint yet."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    model = "config.json" in names and any(name.endswith(".safetensors") for name in names)
    if not (model or names >= {ADAPTER_CONFIG, ADAPTER_WEIGHTS}):
        return ()
    return tuple(sorted((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files))


def model_of(folder: Path, copy: Path) -> Path:
    """A copy of the files that a model is loaded from."""
    make_folder(copy)
    for file in folder.iterdir():
        if file.suffix in COUNTED_SUFFIXES and file.name not in NOT_OF_THE_MODEL:
            shutil.copyfile(file, copy / file.name)
    return copy


def base_of(copy: Path, base: Path | None) -> Path | None:
    """The folder that an adapter adapts, given or named in its config; None for a whole model."""
    if not (copy / ADAPTER_CONFIG).exists() or (copy / "config.json").exists():
        return None
    if base is not None:
        return base.absolute()
    config = strict_json((copy / ADAPTER_CONFIG).read_bytes(), ADAPTER_CONFIG)
    named = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(named, str) or not Path(named).is_dir():
        raise CheckpointRefused(
            f"the adapter's base is {named}, which is no folder here; name its folder with --base"
        )
    return Path(named).absolute()


def judge_copy(
    client: Client, options: argparse.Namespace, copy: Path, policy: str
) -> tuple[str, Verdict]:
    """Evaluate one copied checkpoint; returns the evaluation's id and its verdict."""
    base = base_of(copy, options.base)
    wanted = body(
        wire.NewEvaluation,
        candidate=str(base or copy.absolute()),
        adapter=str(copy.absolute()) if base else None,
        baseline=baseline(options.baseline),
        policy=policy,
        tier=options.tier,
    )
    made = client.submit(wanted)
    return made.id, submitted_verdict(client, wanted, made, Deadline(None))


def say(options: argparse.Namespace, folder: Path, evaluation: str, verdict: Verdict) -> None:
    """Print a checkpoint's verdict as one line, with --json as one document."""
    line = f"{folder.name}: {verdict.verdict}; {verdict.reasons[0]} ({evaluation})"
    if options.json:
        summary = {"verdict": verdict.verdict, "reasons": verdict.reasons}
        line = json.dumps({"checkpoint": str(folder), "evaluation": evaluation, **summary})
    print_document(line if options.json else for_terminal(line), "json" if options.json else "text")


def _folders(parent: Path) -> list[Path]:
    return [folder for folder in parent.iterdir() if folder.is_dir()] if parent.is_dir() else []
