"""Which rungs go first: those that have repaired other checkpoints that failed as this one does.

A ladder without such a past climbs its table, from the cheapest rung to the dearest.
"""

from collections.abc import Iterable, Mapping, Sequence

from holdfast.ladder.rungs import Past, Rung, Try


def past_of(tries: Iterable[Try]) -> dict[str, Past]:
    """The past of every rung, by its name, from the tries of earlier ladders."""
    past: dict[str, Past] = {}
    for attempt in tries:
        so_far = past.get(attempt.rung.name, Past())
        past[attempt.rung.name] = Past(
            so_far.tries + 1,
            so_far.repairs + attempt.is_repair,
            so_far.seconds + attempt.seconds,
        )
    return past


def in_order(rungs: Sequence[Rung], past: Mapping[str, Past]) -> list[Rung]:
    """Rungs that have repaired before, by their seconds per repair, then all others as they stand.

    Of things that are tried one after the other until one holds, this order takes the least time.
    """
    proven = [rung for rung in rungs if past.get(rung.name, Past()).repairs]
    others = [rung for rung in rungs if rung not in proven]
    return sorted(proven, key=lambda rung: past[rung.name].seconds_per_repair) + others
