"""`holdfast check`: the whole gate once on this machine, with nothing to set up and nothing left.

Starts the embedded stack in a scratch folder (or a kept one, whose cache makes the next check
cheaper), submits, waits, prints the verdict, stops. Database and broker are always the folder's
own, whatever the environment says. A scratch folder is kept only where something could not run,
for its logs and for the answers that a second try need not ask again.
"""

import argparse
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from holdfast.api.client import Client
from holdfast.api.wire import NewEvaluation
from holdfast.checkpoints.adapter import admit_checkpoint
from holdfast.cli.command import note
from holdfast.cli.jobs import read_policy, request, tell_cost
from holdfast.cli.named_folders import named_folders, permitted_root, tell_ignored
from holdfast.cli.reports import evidence_of
from holdfast.cli.show import report_targets, show_verdict
from holdfast.cli.telling import tell, told_where_not_run
from holdfast.cli.waiting import Deadline, submitted_verdict
from holdfast.errors import HarnessError, Unreachable
from holdfast.ids import is_id
from holdfast.policy.text import load_policy, refuse_without_anchor
from holdfast.probes.items import require_suites
from holdfast.repairs.task_data import read_task_data
from holdfast.report.about import About
from holdfast.settings import Settings, read_settings, suites_folder
from holdfast.stack.log_lines import log_to_stderr
from holdfast.stack.stack_file import key_file

if TYPE_CHECKING:
    from holdfast.stack.embedded import Stack

STACK_SETTINGS = (
    "HOLDFAST_DATABASE_URL",
    "HOLDFAST_BROKER_URL",
    "HOLDFAST_SERVER",
    "HOLDFAST_API_KEY",
)

AFTERWARDS = (
    "`check` repairs nothing: for a repair, run `holdfast up`, `submit` the same two, and "
    "`holdfast remediate` (docs/repairs.md). "
)
HOME_STAYS = "Answers and evidence are kept: `HOLDFAST_HOME={home} holdfast up` goes on with them."
HOME_REMOVED = "Answers and evidence were not kept; --home DIR keeps them."


def check(options: argparse.Namespace) -> int:
    """One evaluation on this machine, from nothing to its verdict."""
    report_targets(options)
    wanted = request(options, options.policy)
    deadline = Deadline(options.timeout)
    with told_where_not_run(options), _home(options.home) as home:
        settings = stack_settings(home, options)
        look_at(wanted, settings)
        with running_client(settings) as client:
            text, policy = read_policy(client, options.policy)
            tell_cost(policy, options)
            tell_ignored(options)
            wanted = wanted.model_copy(update={"policy": text})
            made = client.submit(wanted)
            verdict = submitted_verdict(client, wanted, made, deadline)
            about = About(  # its evaluation is gone with the stack, so it has no id to go on from
                candidate=options.candidate,
                baseline=options.baseline,
                policy=policy.name,
                tier=options.tier,
            )
            tell(options, verdict, about)
            files = partial(evidence_of, client, made.id)
            exit_code = show_verdict(options, verdict, files, about)
    if verdict.verdict != "pass":
        note(f"{AFTERWARDS}{HOME_STAYS.format(home=home) if options.home else HOME_REMOVED}")
    return exit_code


def look_at(wanted: NewEvaluation, settings: Settings) -> None:
    """Refuse what the server would refuse, with its own words, before any process is started."""
    if not is_id(wanted.policy, "pol"):
        policy = load_policy(wanted.policy)
        require_suites(policy.probes(repair=False), settings.installed_suites)
        if wanted.anchor is None and not key_file(settings.home).exists():  # else it may have one
            refuse_without_anchor(policy)
    if wanted.task_data is not None:
        read_task_data(Path(wanted.task_data))
    sides = ((wanted.candidate, wanted.adapter), (wanted.baseline, None), (wanted.anchor, None))
    for named, adapter in dict.fromkeys(sides):
        if isinstance(named, str) and not is_id(named, "ckpt"):
            admit_checkpoint(named, adapter, settings.roots)


@contextmanager
def running_client(settings: Settings) -> Iterator[Client]:
    """A client of an embedded stack that lives as long as the `with`."""
    from holdfast.stack import embedded

    log_to_stderr()
    signal.signal(signal.SIGTERM, _interrupt)
    ended = threading.Event()
    with embedded.running(settings, ended) as stack:
        watcher = threading.Thread(target=_watch, args=(stack, ended), daemon=True)
        watcher.start()
        try:
            with Client(stack.url, stack.key_file.read_text().strip()) as client:
                yield client
        finally:
            ended.set()
            watcher.join()


def stack_settings(home: Path, options: argparse.Namespace) -> Settings:
    """Settings of a stack of its own, which may read the folders that were named."""
    environment = {name: value for name, value in os.environ.items() if name not in STACK_SETTINGS}
    suites = suites_folder(environment)  # the user's, though all else is of a scratch folder
    settings = read_settings(
        {**environment, "HOLDFAST_HOME": str(home), "HOLDFAST_SUITES": str(suites)}
    )
    roots = [permitted_root(folder) for _, folder in named_folders(options)]
    if options.task_data is not None:
        roots.append(Path(options.task_data).absolute().parent)
    roots = list(dict.fromkeys((*settings.checkpoint_roots, *roots)))
    return settings.model_copy(update={"checkpoint_roots": tuple(roots), "port": 0})


@contextmanager
def _home(home: Path | None) -> Iterator[Path]:
    if home is not None:
        yield home.absolute()
        return
    scratch = Path(tempfile.mkdtemp(prefix="holdfast-"))
    try:
        yield scratch
    except (HarnessError, Unreachable):
        note(
            f"answers and logs are kept; the same command with --home {scratch} goes on from there "
            f"(logs: {scratch / 'log'})"
        )
        raise
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    shutil.rmtree(scratch, ignore_errors=True)


def _watch(stack: "Stack", ended: threading.Event) -> None:
    """A stack that is lost shows in the client, as a server that does not answer."""
    try:
        stack.watch(ended)
    except HarnessError as error:
        note(f"holdfast: {error}")


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
