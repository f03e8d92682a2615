"""The suite that a probe asks, cut to the rows that it can ask."""

from collections.abc import Iterable
from pathlib import Path

from holdfast.errors import InvalidSuite
from holdfast.probes.spec import ProbeSpec
from holdfast.probes.table import spec_of
from holdfast.suites import LoadedSuite, load_suite
from holdfast.suites.items import FITS, ROW_TYPES


def suite_for(spec: ProbeSpec, installed: Path | None = None) -> LoadedSuite:
    """The suite that a probe asks, cut to the rows that it can ask; its digest is of all rows.

    Cut only where a suite mixes what different probes ask, such as XSTest's two halves. Raises
    InvalidSuite where the suite is not there or holds no row for this probe.
    """
    suite = load_suite(spec.suite or "", installed)
    if spec.rows is None:
        return suite
    items = tuple(item for item in suite.items if FITS[spec.rows](item))
    if not items:
        kind = ROW_TYPES[type(suite.items[0])]
        raise InvalidSuite(
            f"{spec.name} cannot ask the suite {suite.name}: none of its {len(suite.items)} items "
            f"(of type {kind}) is what it asks ({spec.rows.replace('_', ' ')})"
        )
    return LoadedSuite(suite.name, suite.digest, items)


def require_suites(probes: Iterable[str], installed: Path) -> None:
    """Raise InvalidSuite where a probe names a suite that is not there or does not fit it."""
    for probe in probes:
        if "@" in probe:
            suite_for(spec_of(probe), installed)
