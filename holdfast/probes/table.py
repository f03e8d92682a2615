"""The probes that are built, one module each: `questions` says what to ask, `judge` what it means.

Between the two stands the engine, or the cache of answers. A new probe is one module and one line
here, and its entry in `holdfast.probe.CATALOGUE`.
"""

from collections.abc import Callable
from types import ModuleType

from holdfast.evidence.trial import Measure
from holdfast.probes import (
    arithmetic,
    bias,
    decoding,
    drift,
    harmful,
    harness_task,
    jailbreak,
    knowledge,
    last_word,
    leak,
    letters,
    memory,
    overrefusal,
    pairs,
    prefill,
    retention,
    suffix,
    template,
    toxicity,
    trace,
    winrate,
)
from holdfast.probes.question import Answer, Question

PROBES: dict[str, ModuleType] = {
    harmful.NAME: harmful,
    trace.NAME: trace,
    jailbreak.NAME: jailbreak,
    prefill.NAME: prefill,
    template.NAME: template,
    decoding.NAME: decoding,
    suffix.NAME: suffix,
    overrefusal.NAME: overrefusal,
    bias.NAME: bias,
    pairs.NAME: pairs,
    knowledge.NAME: knowledge,
    letters.NAME: letters,
    arithmetic.NAME: arithmetic,
    last_word.NAME: last_word,
    leak.NAME: leak,
    memory.NAME: memory,
    toxicity.NAME: toxicity,
    winrate.NAME: winrate,
    harness_task.NAME: harness_task,
    retention.NAME: retention,
}

COMPARED: dict[str, ModuleType] = {drift.NAME: drift}  # asked of two checkpoints at once

BESIDE: dict[str, Callable[[Question, Answer], Measure | None]] = {
    bias.NAME: bias.beside,
    winrate.NAME: winrate.beside,
}
"""What a probe notes beside a trial, of the same answer."""
