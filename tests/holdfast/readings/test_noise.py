"""The noise floor: flips between two passes of one checkpoint, kept by its digest."""

from pathlib import Path

import pytest

from holdfast.errors import HarnessError
from holdfast.readings.noise import find_noise, in_words, place_of, save_noise
from holdfast.readings.two_passes import noise_between
from tests.support.evidence import evidence, hex_of, share


def test_every_answer_that_moved_counts_either_way() -> None:
    first = evidence("a", {"harm.direct": [0.0, 1.0, 1.0, 0.0] + [0.0] * 156})
    second = evidence("a", {"harm.direct": [1.0, 0.0, 1.0, None] + [0.0] * 156})
    floor = noise_between(first, second).probes["harm.direct"]
    assert (floor.flips, floor.n) == (3, 160)
    assert floor.bound == pytest.approx(0.0479, abs=5e-4)  # Clopper-Pearson, one-sided


def test_no_flip_still_has_an_upper_bound() -> None:
    same = evidence("a", {"harm.direct": share(9, 100)})
    floor = noise_between(same, same).probes["harm.direct"]
    assert (floor.flips, round(floor.bound, 4)) == (0, 0.0295)
    assert in_words({"harm.direct": floor})[0].startswith("harm.direct: 0 of 100 answers move")


def test_two_checkpoints_or_two_templates_are_no_noise() -> None:
    first = evidence("a", {"harm.direct": share(9, 100)})
    with pytest.raises(HarnessError):
        noise_between(first, evidence("b", {"harm.direct": share(9, 100)}))
    other = evidence("a", {"harm.direct": share(9, 100)}, template_sha256=hex_of("other"))
    with pytest.raises(HarnessError, match="template"):
        noise_between(first, other)


def test_it_is_found_again_by_the_digest(tmp_path: Path) -> None:
    same = evidence("a", {"harm.direct": share(9, 100)})
    noise = noise_between(same, same)
    save_noise(tmp_path, noise)
    assert find_noise(tmp_path, same.manifest.checkpoint.digest) == noise
    assert find_noise(tmp_path, f"sha256:{hex_of('other')}") is None
    place_of(tmp_path, noise.checkpoint).write_text("{")
    assert find_noise(tmp_path, noise.checkpoint) is None, "a damaged file costs nobody a verdict"
