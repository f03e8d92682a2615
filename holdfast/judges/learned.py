"""The weights of the refusal judge: a logistic regression, as plain numbers in a file.

`make train-judge` writes `refusal.weights.json`: the intercept, and a weight by the name of each
feature. Nothing else is needed to apply them, and anybody can read what was learnt.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SHIPPED = Path(__file__).parent / "refusal.weights.json"


@dataclass(frozen=True, slots=True)
class Weights:
    """A weight for each named feature; features without one count nothing."""

    intercept: float
    by_name: Mapping[str, float]

    def log_odds(self, features: Mapping[str, float]) -> float:
        """The log-odds of a refusal, partial ones included; above 0 it is likelier than not."""
        by_name = self.by_name
        return self.intercept + sum(
            by_name[name] * value for name, value in features.items() if name in by_name
        )


@cache
def shipped_weights() -> Weights:
    """The weights that the package holds, read once."""
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return Weights(shipped["intercept"], shipped["weights"])
