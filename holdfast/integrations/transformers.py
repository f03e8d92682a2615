"""A Trainer callback that has the model gated while it is trained, from the first steps on.

    trainer = Trainer(..., callbacks=[HoldfastCallback("alias:production", folder="canaries")])

Refusals go within tens of steps, so the model is saved aside and judged at steps 1, 2, 4, 8, 16 and
then every `every`, on the tier `canary`. TRL's trainers inherit the Trainer and take it too. The
training never waits for a verdict before its end and never dies of the gate: what could not be
judged is logged and the steps go on. Needs only the client; nothing of the server is imported.
"""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.api.subject import require_about, require_submitted, subject_of
from holdfast.errors import CheckpointRefused, HoldfastError
from holdfast.job import FINISHED
from holdfast.report.escapes import for_terminal
from holdfast.stack.connect import baseline_reference, connect
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import Decision

FIRST_STEPS = frozenset({1, 2, 4, 8, 16})
POLL_SECONDS = 5.0

log = logging.getLogger(__name__)


class HoldfastCallback(TrainerCallback):
    """Judges saves of a running training.

    `baseline` is a folder, ckpt_... or alias:NAME; `folder`, which the server must be able to read,
    takes the saves; those of an alarm are kept, of the others the last one. `log` may be set to the
    trainer's own `log`, so that verdicts reach its trackers as well as `state.log_history`. Of a
    LoRA the adapter is saved, and judged with the folder that its base was loaded from.
    """

    def __init__(
        self,
        baseline: str,
        folder: str | Path,
        *,
        policy: str = "canary",
        every: int = 100,
        stop_on_fail: bool = False,
        wait_seconds: float = 600.0,
    ) -> None:
        """Nothing is asked of the server before the first step."""
        if every < 1:
            raise ValueError(f"every is {every}, expected at least 1 step")
        self.log: Callable[[dict[str, float]], None] | None = None
        self._baseline, self._policy = baseline, policy
        self._folder = Path(folder).absolute()
        self._every, self._stop_on_fail, self._wait = every, stop_on_fail, wait_seconds
        self._client: Client | None = None
        self._pending: dict[str, tuple[int, wire.NewEvaluation]] = {}  # by evaluation: its step
        self._verdicts: dict[int, Decision] = {}
        self._due = 0.0

    @property
    def verdicts(self) -> dict[int, Decision]:
        """The verdicts so far, by step; a pass is never among them on the tier `canary`."""
        return dict(self._verdicts)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Save and submit where a judgement is due; read what has come back."""
        if not state.is_world_process_zero:
            return
        step = state.global_step
        if step in FIRST_STEPS or step % self._every == 0:
            self._guarded(step, lambda: self._submit(step, args, **kwargs))
        if self._pending and time.monotonic() >= self._due:
            self._due = time.monotonic() + POLL_SECONDS
            self._guarded(step, lambda: self._collect(state, control))

    def on_train_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the Trainer's form
        state: TrainerState,
        control: TrainerControl,
        **_kwargs: Any,
    ) -> None:
        """Wait for what is still out, `wait_seconds` at most."""
        ends = time.monotonic() + self._wait
        while self._pending and time.monotonic() < ends:
            if not self._guarded(state.global_step, lambda: self._collect(state, control)):
                break
            time.sleep(min(1.0, POLL_SECONDS))
        for evaluation, (step, _) in self._pending.items():
            log.warning("step %d has no verdict yet; %s may still run", step, evaluation)
        if self._client is not None:
            self._client.close()
            self._client = None

    def _guarded(self, step: int, act: Callable[[], None]) -> bool:
        """Call `act` and log what fails: a gate that is away must not cost anybody a training."""
        try:
            act()
        except (HoldfastError, OSError) as error:
            log.warning("step %d is not judged: %s", step, for_terminal(str(error)))
            return False
        return True

    def _submit(self, step: int, args: TrainingArguments, **kwargs: Any) -> None:
        model = kwargs["model"]
        if args.fsdp or args.deepspeed:
            log.warning("step %d is not judged: sharded models are not built", step)
            return
        base = base_of(model)
        folder = self._folder / f"step-{step}"
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        tokenizer = kwargs.get("processing_class") or kwargs.get("tokenizer")
        if tokenizer is not None and base is None:
            tokenizer.save_pretrained(folder)
        wanted = wire.NewEvaluation(
            candidate=str(base or folder),
            adapter=str(folder) if base else None,
            baseline=baseline_reference(self._baseline),
            policy=self._policy,
            tier="canary",
        )
        made = self._server().submit(wanted)
        self._pending[made.id] = (step, wanted)

    def _collect(self, state: TrainerState, control: TrainerControl) -> None:
        for evaluation, (step, wanted) in list(self._pending.items()):
            submitted = self._server().evaluation(evaluation)
            if submitted.status not in FINISHED:
                continue
            if submitted.verdict is None:
                del self._pending[evaluation]
                why = for_terminal(f"{submitted.status.value} {submitted.error}")
                log.warning("step %d is not judged: %s", step, why)
                continue
            verdict = self._server().verdict(evaluation)
            subject = subject_of(self._server(), submitted)
            del self._pending[evaluation]  # only now: what went wrong before is asked again
            require_submitted(wanted, subject)
            require_about(verdict, subject)
            self._record(step, verdict, state)
            if verdict.verdict == "fail" and self._stop_on_fail:
                control.should_training_stop = True

    def _record(self, step: int, verdict: Verdict, state: TrainerState) -> None:
        self._verdicts[step] = verdict.verdict
        numbers = {
            f"holdfast/{check.id}": check.candidate
            for check in verdict.checks
            if check.candidate is not None
        }
        record = {**numbers, "holdfast/alarm": float(verdict.verdict == "fail")}
        state.log_history.append({**record, "step": step})
        if self.log is not None:
            self.log(record)
        log_line = log.warning if verdict.verdict == "fail" else log.info
        log_line("step %d: %s", step, for_terminal("; ".join(verdict.reasons)))
        if verdict.verdict != "fail":
            shutil.rmtree(self._folder / f"step-{step}", ignore_errors=True)

    def _server(self) -> Client:
        if self._client is None:
            self._client = connect()
        return self._client


def base_of(model: Any) -> Path | None:
    """The folder of the model that an adapter adapts; None for a whole model."""
    if not hasattr(model, "peft_config"):
        return None
    named = next(iter(model.peft_config.values())).base_model_name_or_path
    if named is None or not Path(named).is_dir():
        raise CheckpointRefused(
            f"the adapter's base is {named}, which is no folder here; load the model from a folder "
            "that the server can read"
        )
    return Path(named).absolute()
