"""The joint benchmark knows what it has not run."""

import argparse

from benchmarks.joint import ALONE, COMPARED, RECIPES, SETTINGS, missing


def test_what_is_missing_is_every_part_of_every_setting_and_a_chain_that_is_not_there() -> None:
    chosen = argparse.Namespace(rounds=2, seeds=[0, 2], settings=SETTINGS)
    parts = ["cost", "quality"]
    runs = len(RECIPES) * 2 + (len(ALONE) + len(COMPARED)) * len(SETTINGS)
    left = missing({}, chosen, [0], parts)
    assert len(left) == 1 + runs
    assert left[0] == "the chain of seed 2"
    record = {key: {} for key in left[1:]}
    assert missing(record, chosen, [0], parts) == ["the chain of seed 2"]
    del record["authors maxright, share 0"]
    assert missing(record, chosen, [0], ["quality"])[1:] == ["authors maxright, share 0"]
