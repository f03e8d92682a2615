"""The probes that are built, one module each: `questions` says what to ask, `judge` what it means.

Between the two stands the engine, or the cache of answers. A new probe is one module and one line
here, and its entry in `holdfast.probe.CATALOGUE`.
"""

from types import ModuleType

from workers.probes import (
    arithmetic,
    bias,
    harmful,
    jailbreak,
    knowledge,
    overrefusal,
    retention,
)

PROBES: dict[str, ModuleType] = {
    harmful.NAME: harmful,
    jailbreak.NAME: jailbreak,
    overrefusal.NAME: overrefusal,
    bias.NAME: bias,
    knowledge.NAME: knowledge,
    arithmetic.NAME: arithmetic,
    retention.NAME: retention,
}
