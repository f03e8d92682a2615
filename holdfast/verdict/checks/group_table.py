"""The forgetting table of a sliced probe, from its pairs. It informs; the rules decide.

Items count equally here, as the literature has it, while the rules count scenarios: where scenarios
hold different numbers of items the two differ a little. Lost pairs are left out.
"""

from dataclasses import dataclass

import numpy as np

from holdfast.probes.table import spec_of
from holdfast.stats.forgetting import Forgetting, GroupForgetting, Units, forgetting
from holdfast.verdict.checks.pairs import Pairs, TrialPair


@dataclass(frozen=True, slots=True)
class GroupTable:
    """Forgetting group by group; `names` are in the order of `forgetting.groups`."""

    names: tuple[str, ...]
    forgetting: Forgetting

    def of(self, group: str) -> GroupForgetting | None:
        """One group's line; None for a group all of whose pairs are lost."""
        return self.forgetting.groups[self.names.index(group)] if group in self.names else None


def group_table(probe: str, pairs: Pairs) -> GroupTable | None:
    """The table of these pairs; None where fewer than two groups have a pair that is not lost."""
    units: dict[tuple[str, str], list[TrialPair]] = {}
    for pair in pairs.pairs:
        if pair.group is not None and pair.change is not None:
            units.setdefault((pair.group, pair.cluster), []).append(pair)
    names = tuple(sorted({group for group, _ in units}))
    if len(names) < 2:
        return None
    keys = sorted(units)
    columns = Units(
        group=np.array([names.index(group) for group, _ in keys]),
        items=np.array([float(len(units[key])) for key in keys]),
        before=np.array([sum(pair.before or 0.0 for pair in units[key]) for key in keys]),
        change=np.array([sum(pair.change or 0.0 for pair in units[key]) for key in keys]),
    )
    return GroupTable(names, forgetting(columns, chance=spec_of(probe).chance))
