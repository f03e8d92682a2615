"""The probes that are built, one module each: `questions` says what to ask, `judge` what it means.

Between the two stands the engine, or the cache of answers. A new probe is one module and one line
here, and its entry in `holdfast.probe.CATALOGUE`.
"""

from types import ModuleType

from workers.probes import (
    arithmetic,
    bias,
    decoding,
    harmful,
    jailbreak,
    knowledge,
    overrefusal,
    prefill,
    retention,
    suffix,
    template,
)

PROBES: dict[str, ModuleType] = {
    harmful.NAME: harmful,
    jailbreak.NAME: jailbreak,
    prefill.NAME: prefill,
    template.NAME: template,
    decoding.NAME: decoding,
    suffix.NAME: suffix,
    overrefusal.NAME: overrefusal,
    bias.NAME: bias,
    knowledge.NAME: knowledge,
    arithmetic.NAME: arithmetic,
    retention.NAME: retention,
}
