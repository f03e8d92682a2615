"""A Trainer callback that has the model gated while it is trained, from the first steps on.

    trainer = Trainer(..., callbacks=[HoldfastCallback("alias:production", folder="canaries")])

Refusals go within tens of steps. So the likelihood of the model's own refusals is read at steps 1,
2, 4, 8, 16, then every 16 to 256 and every `every`, which saves nothing; and the model is saved
aside and judged on the tier `canary` at steps 1, 4, 16, 64, 256, every `every`, and where that
likelihood falls sharply. An alarm stops the training and says how to resume it. TRL's trainers
inherit the Trainer and take it too. The training never waits for a verdict before its end and never
dies of the gate: what could not be judged is logged and the steps go on. Needs only the client;
nothing of the server is imported.

Every process of several takes part: likelihoods are read of any sharded model, and the weights of
FSDP2 are gathered for a save. FSDP1 and DeepSpeed are not judged, and the log says so.
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
from holdfast.errors import HoldfastError
from holdfast.integrations.refusal_likelihood import RefusalRow, own_refusals, refusal_nats
from holdfast.integrations.trainer_saves import (
    base_of,
    how_to_resume,
    is_sharded,
    tokenizer_of,
    whole_weights,
)
from holdfast.job import FINISHED
from holdfast.report.escapes import for_terminal
from holdfast.stack.connect import baseline_reference, connect
from holdfast.verdict.document import Verdict
from holdfast.verdict.outcome import Decision

WATCHED = frozenset({1, 2, 4, 8, *range(16, 257, 16)})
JUDGED = frozenset({1, 4, 16, 64, 256})
JUMP_NATS = 0.5  # a token; above what it was when the model was last judged
POLL_SECONDS = 5.0

log = logging.getLogger(__name__)


class HoldfastCallback(TrainerCallback):
    """Judges saves of a running training.

    `baseline` is a folder, ckpt_... or alias:NAME; `folder`, which the server must be able to read,
    takes the saves; those of an alarm are kept, of the others the last one. `log` may be set to the
    trainer's own `log`, so that verdicts reach its trackers as well as `state.log_history`. Of a
    LoRA the adapter is saved, and judged with the folder that its base was loaded from. An alarm
    ends the training unless `stop_on_fail` is off.
    """

    def __init__(
        self,
        baseline: str,
        folder: str | Path,
        *,
        policy: str = "canary",
        every: int = 100,
        stop_on_fail: bool = True,
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
        self._refusals: list[RefusalRow] = []
        self._judged_nats = 0.0  # the likelihood as it was when the model was last judged
        self._began, self._watch_seconds = 0.0, 0.0
        self._output = Path()

    @property
    def verdicts(self) -> dict[int, Decision]:
        """The verdicts so far, by step; a pass is never among them on the tier `canary`."""
        return dict(self._verdicts)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - the Trainer's form
        **kwargs: Any,
    ) -> None:
        """Have the model refuse what it refuses now; every process does."""
        self._began, self._output = time.monotonic(), Path(str(args.output_dir))
        tokenizer = tokenizer_of(kwargs)
        if getattr(tokenizer, "chat_template", None) is None:
            log.warning("the likelihood of refusals is not watched: there is no chat template")
            return
        self._refusals = own_refusals(kwargs["model"], tokenizer)
        if self._refusals:
            self._judged_nats = self._watch(state, kwargs["model"])
        else:
            log.warning("the likelihood of refusals is not watched: the model refuses nothing")

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Watch, save and submit where it is due; read what has come back."""
        step, model = state.global_step, kwargs["model"]
        is_due = step in JUDGED or step % self._every == 0
        if self._refusals and (is_due or step in WATCHED):
            nats = self._watch(state, model)
            is_due = is_due or nats > self._judged_nats + JUMP_NATS
            self._judged_nats = nats if is_due else self._judged_nats
        if is_due:
            self._judge(args, state, **kwargs)
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
        took = time.monotonic() - self._began
        if self._refusals and state.is_world_process_zero:
            log.info("the watch took %.1f %% of the training", 100 * self._watch_seconds / took)
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

    def _watch(self, state: TrainerState, model: Any) -> float:
        """The likelihood of the refusals now, in nats a token, as it is logged."""
        began = time.monotonic()
        nats = refusal_nats(model, self._refusals)
        self._watch_seconds += time.monotonic() - began
        if state.is_world_process_zero:
            record = {"holdfast/refusal_nats": nats}
            state.log_history.append({**record, "step": state.global_step})
            if self.log is not None:
                self.log(record)
        return nats

    def _judge(self, args: TrainingArguments, state: TrainerState, **kwargs: Any) -> None:
        """Have the weights gathered, by every process, and the first one save and submit them."""
        step, model = state.global_step, kwargs["model"]
        if args.deepspeed or (args.fsdp and not is_sharded(model)):
            sharding = "DeepSpeed" if args.deepspeed else "FSDP1"
            log.warning("step %d is not judged: saves under %s are not built", step, sharding)
            return
        weights = whole_weights(model) if is_sharded(model) else None
        if state.is_world_process_zero:
            tokenizer = tokenizer_of(kwargs)
            self._guarded(step, lambda: self._submit(step, model, weights, tokenizer))

    def _submit(self, step: int, model: Any, weights: Any, tokenizer: Any) -> None:
        base = base_of(model)
        folder = self._folder / f"step-{step}"
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder, state_dict=weights)
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
                safe = [at for at, decision in self._verdicts.items() if decision != "fail"]
                last = max((at for at in safe if at < step), default=0)
                log.warning("step %d: %s", step, how_to_resume(self._output, last))

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
