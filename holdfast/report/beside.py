"""Extras beside a verdict in a report: the worst flips, the noise floor, a place in a file.

A verdict says how many answers got worse; whoever has to repair them wants to know which. Flips are
named by ids and groups alone; what the models said is added only by who may read it. The noise
floor says how many answers of the baseline move when nothing changed, where that was measured with
the same backend.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.readings.noise import Floor
from holdfast.report.about import About
from holdfast.report.alerts import FilePlace


@dataclass(frozen=True, slots=True)
class WorstFlip:
    """One item that got worse; `texts` are what baseline and candidate answered, where shown."""

    item: str
    variant: str
    cluster: str
    group: str | None
    before: float
    after: float
    texts: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst flips of one check, worst first, of `worse` in all."""

    flips: tuple[WorstFlip, ...]
    worse: int


@dataclass(frozen=True, slots=True)
class Extras:
    """Worst flips and noise floors by check, where there are any; the place of its findings."""

    worst: Mapping[str, Worst] = field(default_factory=dict)
    noise: Mapping[str, Floor] = field(default_factory=dict)
    place: FilePlace = field(default_factory=FilePlace)
    about: About = field(default_factory=About)
