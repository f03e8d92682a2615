"""What was measured of a family in several dtypes, as one line of the table."""

import pytest

from benchmarks.families.outcome import Outcome, together

EXACT = Outcome(nats=0.01, right=True, reload_exact=True)
OTHER = Outcome(nats=0.02, right=True, reload_exact=False)
OFF = Outcome(nats=0.5, reload_exact=True)
BROKEN = Outcome(crashed="RuntimeError: no kernel")


@pytest.mark.parametrize(
    ("bfloat16", "float32", "words"),
    [
        (EXACT, EXACT, "right, reloads"),
        (EXACT, OTHER, "right, starts again"),
        (OFF, EXACT, "**off by 0.5 nats**, reloads"),
        (EXACT, BROKEN, "right in bfloat16 alone, starts again"),
        (BROKEN, OTHER, "right in float32 alone, starts again"),
        (BROKEN, BROKEN, "does not run"),
    ],
)
def test_a_family_is_as_good_as_in_its_worst_dtype(
    bfloat16: Outcome, float32: Outcome, words: str
) -> None:
    found = together({"bfloat16": bfloat16, "float32": float32})
    assert found.in_words() == words
    assert Outcome(**found.fields()) == found
    assert (BROKEN in (bfloat16, float32)) == (found.crashed is not None)
