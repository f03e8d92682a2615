"""Which repair is tried next, and when to stop: a pure function of what was tried so far.

The ladder is climbed from the cheapest rung. A rung that cannot be tried here is skipped for a
stated reason. Every try is screened on `screen` items, where a hopeless one is dropped early
(holdfast/ladder/hopeless.py). One that passes there without doubt is confirmed on held-out items;
one that only just passes waits, while there is time, for a surer one. Confirmed is once, since
every look at those items wears them out. What is not shown to pass there is no repair, whatever it
showed before.
"""

from collections.abc import Mapping, Sequence
from math import inf
from statistics import fmean
from typing import get_args

from holdfast.ladder.ratio_search import next_ratios
from holdfast.ladder.rungs import (
    GROUPED,
    LADDER,
    UNIFORM,
    Confirm,
    End,
    Ground,
    Make,
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


def skip(rung: Rung, ground: Ground, tries: Sequence[Try]) -> str | None:
    """Why a rung is not tried here; None where it can be."""
    if (lacking := _lacking(rung, ground)) is not None:
        return lacking
    if ground.complete_front and any(_found(done) for done in tries):
        return None  # the picture is to be whole
    bracketed = GROUPED if ground.only == {GROUPED} else UNIFORM
    averages = {
        done.rung.options["candidate_weight"]: done
        for done in tries
        if done.rung.recipe == bracketed
    }
    if rung.recipe == bracketed:
        return _beyond(rung.options["candidate_weight"], averages, ground)
    if rung.recipe == GROUPED:
        return _apart(rung.options["candidate_weight"], averages)
    return None


def _apart(weight: float, averages: Mapping[float, Try]) -> str | None:
    """Why groups of blocks are not weighed apart at this mean: it is worth one try, the nearest."""
    screens = {weight: done.screen for weight, done in averages.items() if done.screen is not None}
    if any(screen.verdict == "pass" for screen in screens.values()):
        return "a uniform average passes"
    near = {weight: screen.doubt for weight, screen in screens.items() if not screen.hopeless}
    if not near:
        return "no uniform average came near"
    nearest = min(near, key=lambda weight: near[weight])
    return None if weight == nearest else f"the uniform average of {nearest:g} came nearer"


def _lacking(rung: Rung, ground: Ground) -> str | None:
    """What the rung needs and this ground has not."""
    if ground.only and rung.recipe not in ground.only:
        return "it is not among those asked for"
    if rung.recipe not in ground.built:
        return "this version does not have the recipe"
    if rung.needs == "task data" and not ground.task_data:
        return "it needs task data, and the evaluation has none"
    if rung.needs == "the model from before alignment" and not ground.unaligned:
        return f"it needs {rung.needs}, and the baseline is registered without a parent"
    return None


def _beyond(weight: float, averages: Mapping[float, Try], ground: Ground) -> str | None:
    """Why an average is on the wrong side of one that was tried; None where it is not."""
    for other, done in averages.items():
        resisted = frozenset(done.screen.resisted) if done.screen is not None else frozenset()
        if weight < other and RETENTION in resisted:
            return f"{done.rung.name} already kept too little of the task"
        if weight > other and (lost := sorted(resisted & ground.failed)):
            return f"{done.rung.name} already lost {', '.join(lost)}"
    return None


def next_step(tries: Sequence[Try], ground: Ground) -> Step:
    """What to do now. At most one try is ever confirmed, and only what passed there is a repair."""
    if any(one.pending for one in tries):
        return Wait()
    confirmed = next((one for one in tries if one.confirm is not None), None)
    rungs = untried(tries, ground)
    if confirmed is not None:
        if rungs and ground.complete_front and _found(confirmed):
            return Make(rungs[0], "screen")
        return _end_after(confirmed)
    spent = _spent(tries, ground)
    promising = [
        (one.screen.doubt, one.seconds, one.id)
        for one in tries
        if one.screen is not None and one.screen.verdict == "pass"
    ]
    if promising:
        doubt, _, surest = min(promising)
        room = spent is None and ground.seconds_left > 2 * ground.reserve
        return Make(rungs[0], "screen") if rungs and room and doubt > SURE else Confirm(surest)
    if not rungs or spent is not None:
        return End(None, f"no repair found: {spent or _all_tried(tries)}{resistance(tries)}")
    single = not tries and (len(rungs) == 1 or ground.candidates == 1)
    return Make(rungs[0], "confirm" if single else "screen")


def untried(tries: Sequence[Try], ground: Ground) -> list[Rung]:
    """The rungs that are left to try, cheapest first; after all of them, ratios to search."""
    begun = {one.rung.name for one in tries}
    left = (rung for rung in LADDER if rung.name not in begun)
    listed = [rung for rung in left if skip(rung, ground, tries) is None]
    return listed or searched(tries, ground)


def searched(tries: Sequence[Try], ground: Ground) -> list[Rung]:
    """The ratios that the search asks the gate next, where it was asked for: `hma` in `only`."""
    if GROUPED not in ground.only:
        return []
    doubts = {one.ratios: _doubt(one) for one in tries if one.ratios is not None}
    ratios = next_ratios(doubts)
    if ratios is None:
        return []
    knobs = {"groups": len(ratios), "ratios": list(ratios)}
    return [Rung(GROUPED, {"candidate_weight": round(fmean(ratios), 6), "hma": knobs})]


def _doubt(done: Try) -> float:
    """What the gate said of a try; nothing is worse than one that broke or was dropped at once."""
    return inf if done.screen is None or done.screen.hopeless else done.screen.doubt


def skipped(tries: Sequence[Try], ground: Ground) -> list[tuple[Rung, str]]:
    """The rungs that were left out, each with its reason."""
    begun = {one.rung.name for one in tries}
    reasons = ((rung, skip(rung, ground, tries)) for rung in LADDER if rung.name not in begun)
    return [(rung, why) for rung, why in reasons if why is not None]


def _found(done: Try) -> bool:
    """Whether it is a repair: shown on held-out items."""
    return done.confirm is not None and done.confirm.verdict == "pass"


def _end_after(confirmed: Try) -> End:
    if _found(confirmed):
        return End(confirmed.id, f"{confirmed.rung.name} passes on held-out items")
    verdict = confirmed.confirm.verdict if confirmed.confirm is not None else None
    told = f"with the verdict {verdict}" if verdict else f"without a verdict ({confirmed.error})"
    return End(
        None,
        f"no repair found: {confirmed.rung.name} was the best on screen and was confirmed once, "
        f"{told}{resistance([confirmed])}",
    )


def _spent(tries: Sequence[Try], ground: Ground) -> str | None:
    """Which part of the budget is used up, in words."""
    if ground.seconds_left <= ground.reserve:
        needed = f"a confirmation alone takes some {max(ground.reserve, 1) / 60:.1f} minutes"
        if not tries:
            return (
                f"the budget is too small for one try, {needed} beside what the try takes; "
                "give it more minutes"
            )
        return f"the budget's minutes are spent after {_count(tries)} ({needed})"
    if len(tries) >= ground.candidates:
        return f"the budget of {ground.candidates} candidates is spent"
    return None


def _all_tried(tries: Sequence[Try]) -> str:
    if not tries:
        return "nothing on the ladder can be tried here"
    broken = [one for one in tries if one.error is not None]
    told = f"{_count(tries)}, none passed"
    return f"{told}; {len(broken)} broke, the first by {broken[0].error}" if broken else told


def _count(tries: Sequence[Try]) -> str:
    return f"{len(tries)} {'try' if len(tries) == 1 else 'tries'}"


def resistance(tries: Sequence[Try]) -> str:
    """The checks that resisted, with how many of the tries failed to pass each."""
    counts: dict[str, int] = {}
    for one in tries:
        asked = one.confirm or one.screen
        for check in asked.resisted if asked is not None else ():
            counts[check] = counts.get(check, 0) + 1
    if not counts:
        return ""
    named = sorted(counts.items(), key=lambda item: -item[1])
    return "; what resisted: " + ", ".join(
        f"{check} ({count} of {len(tries)})" for check, count in named
    )


BUILT: frozenset[str] = frozenset(get_args(Recipe))
