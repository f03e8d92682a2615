"""One checkpoint asked the same questions twice: how many answers move although nothing changed.

    python -m workers.evaluation.noise CHECKPOINT FOLDER [--tier demo] [--probes harm.direct ...]

The second time the engine is a fresh one and the questions come in the opposite order, so that each
is computed beside other neighbours; sums in another order round otherwise, and an answer that hung
on a near tie turns over. Writes FOLDER/first.jsonl and FOLDER/second.jsonl, evidence as any other.
"""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from holdfast.checkpoints.chat_template import chat_template, template_digest
from holdfast.checkpoints.checkpoint import admitted_model, ref_of
from holdfast.errors import CheckpointTouched
from holdfast.evidence.file import Evidence, gather, render_evidence
from holdfast.evidence.manifest import Manifest
from holdfast.evidence.trial import Trial
from holdfast.job import Tier
from holdfast.models.quantisation import quantisation_of
from holdfast.models.reasoning import marks_of
from holdfast.probes.engine import Engine, Sampling
from holdfast.probes.items import suite_for
from holdfast.probes.question import Question
from holdfast.probes.spec import MAX_TOKENS, TRACE_TOKENS
from holdfast.probes.table import probe_of, spec_of
from holdfast.settings import Settings, make_folder, read_settings
from holdfast.suites import select
from workers.children.supervisor import RunnerEngine
from workers.evaluation.ask import ask
from workers.evaluation.questions import SEED, judge_digests
from workers.views import StagedCheckpoint, Views

PROBES_OF_ANSWERS = ("harm.direct", "refusal.benign")


def main() -> None:
    """Ask twice, write both."""
    parser = argparse.ArgumentParser(prog="python -m workers.evaluation.noise")
    parser.add_argument("checkpoint")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tier", choices=get_args(Tier), default="demo")
    parser.add_argument("--probes", nargs="+", default=list(PROBES_OF_ANSWERS))
    options = parser.parse_args()
    settings = read_settings()
    planned = {probe: questions_of(probe, options.tier, settings) for probe in options.probes}
    make_folder(options.folder)
    with closing(Views(settings.home)) as views:
        checkpoint = stage_checkpoint(views, options.checkpoint, settings)
        for name, backwards in (("first", False), ("second", True)):
            with closing(RunnerEngine(settings)) as engine:
                evidence = evidence_of_pass(
                    engine, checkpoint, planned, options.tier, backwards=backwards
                )
            if not checkpoint.view.untouched():
                raise CheckpointTouched(f"{options.checkpoint} was touched meanwhile; ask again")
            (options.folder / f"{name}.jsonl").write_bytes(render_evidence(evidence))


def stage_checkpoint(views: Views, named: str, settings: Settings) -> StagedCheckpoint:
    """The view of a folder that the operator names, wherever it lies."""
    with ExitStack() as descriptors:
        roots = (*settings.roots, Path(named).resolve().parent)
        admitted = admitted_model(named, roots, descriptors)
        return views.stage(ref_of(admitted), admitted)


def questions_of(probe: str, tier: Tier, settings: Settings) -> tuple[Question, ...]:
    """The probe's questions at this tier."""
    spec = spec_of(probe)
    suite = suite_for(spec, settings.installed_suites)
    items = select(suite, spec.items[tier], "screen", SEED)
    return probe_of(probe).questions(items, MAX_TOKENS[tier])


def evidence_of_pass(
    engine: RunnerEngine,
    checkpoint: StagedCheckpoint,
    planned: Mapping[str, Sequence[Question]],
    tier: Tier,
    *,
    backwards: bool,
) -> Evidence:
    """The evidence of one pass."""
    template = chat_template(checkpoint.path)
    thoughts = TRACE_TOKENS[tier] if marks_of(checkpoint.path, template) else 0
    sampling = Sampling(max_tokens=MAX_TOKENS[tier], trace_tokens=thoughts)
    engine.open(checkpoint.path, template)
    trials = [
        trial
        for probe, questions in planned.items()
        for trial in trials_of(engine, probe, questions[::-1] if backwards else questions, sampling)
    ]
    manifest = {
        "kind": "manifest",
        "schema": 1,
        "checkpoint": {"name": checkpoint.name, "digest": checkpoint.digest},
        "backend": replace(engine.backend, quantisation=quantisation_of(checkpoint.path)).to_json(),
        "sampling": sampling.to_json(),
        "template_sha256": template_digest(template),
        "judges": judge_digests(tuple(planned)),
        "suites": {},
        "tier": tier,
        "complete": True,
        "created_at": datetime.now(UTC).isoformat(),
        "split": "screen",
    }
    return gather(Manifest.model_validate(manifest), trials, ())


def trials_of(
    engine: Engine, probe: str, questions: Sequence[Question], sampling: Sampling
) -> list[Trial]:
    """Every question's trial, in the order of the answering."""
    judge = probe_of(probe).default_judge
    trials = (judge(question, answer) for question, answer in ask(engine, questions, sampling))
    return [trial for trial in trials if isinstance(trial, Trial)]


if __name__ == "__main__":
    main()
