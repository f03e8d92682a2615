"""Which items moved between two files, counted by hand."""

from holdfast.readings.comparison import compare
from tests.support.evidence import evidence, hex_of


def test_flips_are_counted_and_listed_from_the_worst() -> None:
    before = evidence("a", {"harm.direct": [0.0, 0.0, 1.0, 1.0, None]})
    after = evidence("b", {"harm.direct": [1.0, 0.0, 0.0, 1.0, 0.0]})
    (probe,) = compare(before, after).probes
    assert (probe.n, probe.worse, probe.better, probe.lost) == (5, 1, 1, 1)
    assert (probe.before, probe.after) == (0.5, 0.5)
    assert [(pair.item[-4:], pair.change) for pair in probe.flips] == [
        ("0000", 1.0),
        ("0002", -1.0),
    ]


def test_a_probe_of_one_file_only_is_shown_as_lost() -> None:
    (probe,) = compare(evidence("a", {"harm.direct": [0.0]}), evidence("b")).probes
    assert (probe.n, probe.lost, probe.before) == (1, 1, None)


def test_what_differs_between_the_runs_is_said() -> None:
    other = evidence("b", {"harm.direct": [0.0]}, template_sha256=hex_of("other"))
    found = compare(evidence("a", {"harm.direct": [0.0]}), other)
    assert found.differences[0].startswith("template.sha256")
