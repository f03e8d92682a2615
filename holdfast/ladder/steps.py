"""Picks the next repair to try, or stops: a pure function of the tries so far.

The ladder is climbed from the cheapest rung, or from those that have repaired other checkpoints
which failed the same checks. A rung that cannot be tried here is skipped for a stated reason. Every
try is screened on `screen` items, where a hopeless one is dropped early
(holdfast/ladder/hopeless.py). One that passes there without doubt is confirmed on held-out items;
one that only just passes waits, while there is time, for a surer one. Confirmed is once, since
every look at those items wears them out. What is not shown to pass there is no repair, whatever it
showed before.
"""

from collections.abc import Mapping, Sequence
from math import inf
from statistics import fmean
from typing import get_args

from holdfast.ladder.history import in_order
from holdfast.ladder.ratio_search import next_ratios
from holdfast.ladder.rungs import (
    GROUPED,
    LADDER,
    UNIFORM,
    WEIGHTS,
    Confirm,
    End,
    Make,
    Resources,
    Rung,
    Step,
    Try,
    Wait,
)
from holdfast.policy.model import RETENTION
from holdfast.repairs.recipes import Recipe

SURE = 0.005  # of all p values: as many other items then show it too in three cases of four
RACE_ITEMS = 40  # clusters of every decisive probe before a hopeless try is dropped
DECISIVE = ("harm.direct", "refusal.benign", RETENTION)


def skip(rung: Rung, resources: Resources, tries: Sequence[Try]) -> str | None:
    """Why a rung is not tried here; None where it can be."""
    if (lacking := _lacking(rung, resources)) is not None:
        return lacking
    if resources.complete_front and any(attempt.is_repair for attempt in tries):
        return None  # the picture is to be whole
    bracketed = GROUPED if resources.only == {GROUPED} else UNIFORM
    averages = {
        attempt.rung.options["candidate_weight"]: attempt
        for attempt in tries
        if attempt.rung.recipe == bracketed
    }
    if rung.recipe == bracketed:
        return _beyond(rung.options["candidate_weight"], averages, resources)
    if rung.recipe == GROUPED:
        return _skip_grouped(rung.options["candidate_weight"], averages)
    return None


def _skip_grouped(weight: float, averages: Mapping[float, Try]) -> str | None:
    """Why blocks get no ratios of their own at this mean weight; only the nearest mean is tried."""
    screens = {
        weight: attempt.screen for weight, attempt in averages.items() if attempt.screen is not None
    }
    if any(screen.verdict == "pass" for screen in screens.values()):
        return "a uniform average passes"
    near = {weight: screen.doubt for weight, screen in screens.items() if not screen.hopeless}
    if not near:
        return "no uniform average came near"
    nearest = min(near, key=lambda weight: (near[weight], WEIGHTS.index(weight)))  # in any order
    return None if weight == nearest else f"the uniform average of {nearest:g} came nearer"


def _lacking(rung: Rung, resources: Resources) -> str | None:
    """Why these resources do not suffice for the rung; None where they do."""
    if resources.only and rung.recipe not in resources.only:
        return "it is not among those asked for"
    if rung.recipe not in resources.built:
        return "this version does not have the recipe"
    if rung.needs == "task data" and not resources.task_data:
        return "it needs task data, and the evaluation has none"
    if rung.needs == "the model from before alignment" and not resources.unaligned:
        return f"it needs {rung.needs}, and the baseline is registered without a parent"
    return None


def _beyond(weight: float, averages: Mapping[float, Try], resources: Resources) -> str | None:
    """Why an average is on the wrong side of one that was tried; None where it is not."""
    for other, attempt in averages.items():
        resisted = frozenset(attempt.screen.resisted) if attempt.screen is not None else frozenset()
        if weight < other and RETENTION in resisted:
            return f"{attempt.rung.name} already kept too little of the task"
        if weight > other and (lost := sorted(resisted & resources.failed)):
            return f"{attempt.rung.name} already lost {', '.join(lost)}"
    return None


def next_step(tries: Sequence[Try], resources: Resources) -> Step:
    """The next step. At most one try is ever confirmed, and only what passed there is a repair."""
    if any(attempt.pending for attempt in tries):
        return Wait()
    confirmed = next((attempt for attempt in tries if attempt.confirm is not None), None)
    rungs = untried(tries, resources)
    if confirmed is not None:
        if rungs and resources.complete_front and confirmed.is_repair:
            return Make(rungs[0], "screen")
        return _end_after(confirmed)
    spent = _spent(tries, resources)
    promising = [
        (attempt.screen.doubt, attempt.seconds, attempt.id)
        for attempt in tries
        if attempt.screen is not None and attempt.screen.verdict == "pass"
    ]
    if promising:
        doubt, _, surest = min(promising)
        room = spent is None and resources.seconds_remaining > 2 * resources.reserve
        return Make(rungs[0], "screen") if rungs and room and doubt > SURE else Confirm(surest)
    if not rungs or spent is not None:
        return End(None, f"no repair found: {spent or _all_tried(tries)}{resistance(tries)}")
    single = not tries and (len(rungs) == 1 or resources.candidates == 1)
    return Make(rungs[0], "confirm" if single else "screen")


def untried(tries: Sequence[Try], resources: Resources) -> list[Rung]:
    """The rungs that are left to try, in order; after all of them, ratios to search."""
    begun = {attempt.rung.name for attempt in tries}
    remaining = (rung for rung in in_order(LADDER, resources.past) if rung.name not in begun)
    listed = [rung for rung in remaining if skip(rung, resources, tries) is None]
    return listed or searched(tries, resources)


def searched(tries: Sequence[Try], resources: Resources) -> list[Rung]:
    """The ratios that the search asks the gate next, where it was asked for: `hma` in `only`."""
    if GROUPED not in resources.only:
        return []
    doubts = {attempt.ratios: _doubt(attempt) for attempt in tries if attempt.ratios is not None}
    ratios = next_ratios(doubts)
    if ratios is None:
        return []
    knobs = {"groups": len(ratios), "ratios": list(ratios)}
    return [Rung(GROUPED, {"candidate_weight": round(fmean(ratios), 6), "hma": knobs})]


def _doubt(attempt: Try) -> float:
    """The doubt that the gate left on a try; infinite where it broke or was dropped at once."""
    return inf if attempt.screen is None or attempt.screen.hopeless else attempt.screen.doubt


def skipped(tries: Sequence[Try], resources: Resources) -> list[tuple[Rung, str]]:
    """The rungs that were left out, each with its reason."""
    begun = {attempt.rung.name for attempt in tries}
    reasons = ((rung, skip(rung, resources, tries)) for rung in LADDER if rung.name not in begun)
    return [(rung, why) for rung, why in reasons if why is not None]


def _end_after(confirmed: Try) -> End:
    if confirmed.is_repair:
        return End(confirmed.id, f"{confirmed.rung.name} passes on held-out items")
    verdict = confirmed.confirm.verdict if confirmed.confirm is not None else None
    outcome = f"with the verdict {verdict}" if verdict else f"without a verdict ({confirmed.error})"
    return End(
        None,
        f"no repair found: {confirmed.rung.name} was the best on screen and was confirmed once, "
        f"{outcome}{resistance([confirmed])}",
    )


def _spent(tries: Sequence[Try], resources: Resources) -> str | None:
    """Which part of the budget is used up, in words; None where some is left."""
    if resources.seconds_remaining <= resources.reserve:
        needed = f"a confirmation alone takes some {max(resources.reserve, 1) / 60:.1f} minutes"
        if not tries:
            return (
                f"the budget is too small for one try, {needed} beside what the try takes; "
                "give it more minutes"
            )
        return f"the budget's minutes are spent after {_count(tries)} ({needed})"
    if len(tries) >= resources.candidates:
        return f"the budget of {resources.candidates} candidates is spent"
    return None


def _all_tried(tries: Sequence[Try]) -> str:
    if not tries:
        return "nothing on the ladder can be tried here"
    broken = [attempt for attempt in tries if attempt.error is not None]
    outcome = f"{_count(tries)}, none passed"
    return f"{outcome}; {len(broken)} broke, the first by {broken[0].error}" if broken else outcome


def _count(tries: Sequence[Try]) -> str:
    return f"{len(tries)} {'try' if len(tries) == 1 else 'tries'}"


def resistance(tries: Sequence[Try]) -> str:
    """The checks that resisted, with how many of the tries failed to pass each."""
    counts: dict[str, int] = {}
    for attempt in tries:
        result = attempt.confirm or attempt.screen
        for check in result.resisted if result is not None else ():
            counts[check] = counts.get(check, 0) + 1
    if not counts:
        return ""
    named = sorted(counts.items(), key=lambda item: -item[1])
    return "; what resisted: " + ", ".join(
        f"{check} ({count} of {len(tries)})" for check, count in named
    )


BUILT: frozenset[str] = frozenset(get_args(Recipe))
