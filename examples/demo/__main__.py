"""`make demo`: a fine-tune takes a model's safety away, the gate sees it, a repair brings it back.

Exit 0 only if the eroded candidate failed, its repair passed on held-out items, and the baseline
against itself passed. Trained checkpoints and the model are kept in the data folder; everything
else is done anew each time, answers that are already known excepted.
"""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo import chain
from demo.fake import make_fake
from demo.screen import console, say, show_verdict
from demo.stack import running_stack, verdict_of
from demo.summary import (
    Gated,
    checks_of,
    entry,
    judge_again,
    save_evidence,
    save_reports,
    task_losses,
    write_summary,
)
from holdfast.api.client import Client
from holdfast.errors import HarnessError, HoldfastError
from holdfast.settings import Settings, make_folder, read_settings

POLICY = Path(__file__).parent / "policy.yaml"
REPAIR = (  # by default 60 steps at 5e-5, and .28, .37, .35; docs/benchmarks.md, "The demo"
    *("--recipe", "rehearsal", "--steps", "48", "--learning-rate", "7.5e-5"),
    *("--option", "mix.task=0.2", "--option", "mix.refusals=0.48", "--option", "mix.answers=0.32"),
)


@dataclass(frozen=True, slots=True)
class Demo:
    """Where things are, and how long each step took."""

    settings: Settings
    folder: Path
    chain: Path
    seed: int
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def policy(self) -> Path:
        """The policy beside the evidence that it judges."""
        return self.folder / "policy.yaml"

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long a step took."""
        began = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - began, 1)


def main() -> int:
    """The story, or the one sentence that says why it could not be told."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else a training would outlive us
    try:
        return story(arguments())
    except HoldfastError as error:
        reason, exit_code = str(error), error.exit_code
    except KeyboardInterrupt:
        reason, exit_code = "stopped", 130
    console.print(f"make demo: {reason}", markup=False, soft_wrap=True)
    console.print("what was trained and answered is kept; `make demo` goes on from there")
    return exit_code


def story(options: argparse.Namespace) -> int:
    """From the published model to the repaired one."""
    demo = prepare(options.seed)
    with demo.timed("model"):
        say("fetching SmolLM2-135M-Instruct (90 MB, once)")
        published = chain.publish(demo.settings, demo.folder)
    say("training the aligned checkpoint, then eroding it with harmless maths (once)")
    with demo.timed("align"):
        aligned = chain.align(demo.settings, published, demo.chain, demo.seed)
    task_data = chain.task_data(demo.chain, demo.seed)
    with demo.timed("erode"):
        eroded = chain.erode(demo.settings, aligned, task_data, demo.chain, demo.seed)
    with running_stack(demo.settings) as stack, Client(stack.url, stack.key) as client:
        say(f"the stack is up at {stack.url}; submitting the eroded checkpoint, as a CI job would")
        return tell(demo, client, aligned=aligned, eroded=eroded, fake=options.fake)


def arguments() -> argparse.Namespace:
    """--seed for another chain, --fake for a repair that cheats."""
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fake", action="store_true")
    return parser.parse_args()


def prepare(seed: int) -> Demo:
    """The data folder, ready; evidence of an earlier run is taken away first."""
    given = read_settings()
    folder = given.home / "demo"
    place = folder / f"seed-{seed}"
    make_folder(place)
    shutil.rmtree(folder / "evidence", ignore_errors=True)
    (folder / "summary.json").unlink(missing_ok=True)
    demo = Demo(given.model_copy(update={"checkpoint_roots": (folder,)}), folder, place, seed)
    shutil.copyfile(POLICY, demo.policy)
    return demo


def tell(demo: Demo, client: Client, *, aligned: Path, eroded: Path, fake: bool) -> int:
    """Gate the eroded checkpoint, have it repaired, gate the repair; then the baseline itself."""
    task_data = chain.task_data(demo.chain, demo.seed)
    with demo.timed("gate"):
        candidate = gate(demo, eroded, aligned, task_data)
    show_verdict("the eroded candidate", candidate.verdict.verdict, list(candidate.verdict.reasons))
    with demo.timed("repair"):
        repair = follow_repair(demo, client, candidate)
    show_verdict(
        "its repair, on held-out items", repair.verdict.verdict, list(repair.verdict.reasons)
    )
    with demo.timed("self"):
        itself = gate(demo, aligned, aligned, task_data)
    show_verdict("the baseline against itself", itself.verdict.verdict, [])
    summary = leave(demo, client, candidate, repair, itself)
    if fake:
        with demo.timed("fake"):
            cheat = make_fake(demo, client, aligned, repair)
        show_verdict("a repair of refusals only", cheat.verdict, list(cheat.reasons))
        summary["fake"] = {"verdict": cheat.verdict, "checks": checks_of(cheat)}
    write_summary(demo.folder / "summary.json", summary)
    told = (candidate.verdict.verdict, repair.verdict.verdict, itself.verdict.verdict)
    console.print()
    say(f"evidence, policy and summary.json are in {demo.folder}")
    return 0 if told == ("fail", "pass", "pass") else 1


def gate(demo: Demo, candidate: Path, baseline: Path, task_data: Path) -> Gated:
    """Submit one checkpoint with the CLI and wait for its verdict."""
    id_file = demo.folder / "evaluation.id"
    options = ("--policy", demo.policy, "--tier", "demo", "--task-data", task_data)
    verdict = verdict_of(
        demo.settings, "submit", candidate, "--baseline", baseline, *options, "--id-file", id_file
    )
    evaluation = id_file.read_text().strip()
    return Gated(evaluation, verdict.subject_digests["candidate"], verdict)


def follow_repair(demo: Demo, client: Client, failed: Gated) -> Gated:
    """Ask for the repair that the policy proposes, with the CLI, and wait for its verdict."""
    if failed.verdict.verdict != "fail":
        raise SystemExit("the candidate did not fail, so there is nothing to repair")
    say("repairing from the aligned checkpoint: the same maths, with rehearsal")
    verdict = verdict_of(demo.settings, "remediate", failed.evaluation, *REPAIR, "--wait")
    (started,) = client.evaluation(failed.evaluation).remediations
    child = client.remediation(started).child_evaluation
    if child is None:
        raise HarnessError(f"{started} made no checkpoint")
    return Gated(child, verdict.subject_digests["candidate"], verdict)


def leave(
    demo: Demo, client: Client, candidate: Gated, repair: Gated, itself: Gated
) -> dict[str, Any]:
    """Write evidence and reports, judge them again offline, and sum up."""
    evidence = demo.folder / "evidence"
    screen = {side: evidence / f"{side}.screen.jsonl" for side in ("baseline", "candidate")}
    save_evidence(client, candidate.evaluation, screen)
    confirm = {
        "baseline": evidence / "baseline.confirm.jsonl",
        "repaired": evidence / "candidate.confirm.jsonl",
        "candidate": evidence / "repair.confirm.jsonl",
    }
    save_evidence(client, repair.evaluation, confirm)
    for name, gated in (("candidate", candidate), ("repair", repair), ("self", itself)):
        save_reports(client, gated.evaluation, demo.folder / "reports" / name)
    judge_again(demo.settings, demo.policy, expected=candidate.verdict, **screen)
    judge_again(
        demo.settings,
        demo.policy,
        expected=repair.verdict,
        baseline=confirm["baseline"],
        candidate=confirm["candidate"],
        repaired_from=confirm["repaired"],
    )
    say("`holdfast gate` judged the written evidence again, offline: the same verdicts")
    remediation = client.evaluation(repair.evaluation).remediation or ""
    return {
        "seconds": demo.seconds,
        "baseline": {"digest": candidate.verdict.subject_digests["baseline"]},
        "candidate": entry(candidate),
        "repair": {"recipe": client.remediation(remediation).recipe, **entry(repair)},
        "self": {"verdict": itself.verdict.verdict},
        "task": task_losses(evidence),
    }


if __name__ == "__main__":
    sys.exit(main())
