"""Suites: import published ones, list them, verify that they are what they were."""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from holdfast.cli.command import emit, note
from holdfast.importers import format_named, read_published
from holdfast.importers.install import install, near_items, summarize, verify
from holdfast.probes.table import CATALOGUE
from holdfast.settings import suites_folder
from holdfast.suites import BUILT_IN, LoadedSuite, installed_names, load_suite
from holdfast.suites.items import ROW_TYPES


def import_(options: argparse.Namespace) -> int:
    """Read a published set and install it, or with --dry-run only say what it holds."""
    form, folder = options.format.lower().replace("_", "-"), suites_folder()
    published = format_named(form)
    suite = read_published(form, options.files, options.name)
    near = near_items(suite, folder)
    summary = summarize(suite, near)
    _tell(suite, near)
    note(f"licence of the published set, to be held to wherever it goes: {published.licence}")
    if options.dry_run:
        note("dry run: nothing is installed")
    else:
        path = install(suite, folder, form=form, files=options.files)
        probes = [f"{probe}@{suite.name}" for probe in published.probes if CATALOGUE.get(probe)]
        note(f"{path} is installed{'; ask it as ' + ' or '.join(probes) if probes else ''}")
    counts = f"{summary.items} items, {summary.groups} groups, {summary.clusters} clusters"
    text = f"{summary.name}: {counts}, {summary.duplicates} near-duplicates\n{summary.digest}"
    emit(options, asdict(summary), text)
    return 0


def _tell(suite: LoadedSuite, near: Sequence[str | None]) -> None:
    """Note an imported suite's near-duplicates, kinds of rows and items without a target."""
    for name, count in Counter(filter(None, near)).most_common():
        note(f"{count} of its items nearly repeat items of {name}")
    kinds = Counter(getattr(item, "kind", None) for item in suite.items)
    if len(kinds) > 1:
        note("it mixes " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    bare = sum(
        getattr(item, "polarity", None) is not None and getattr(item, "unknown", None) is None
        for item in suite.items
    )
    if bare:
        note(f"{bare} items do not tell who is stereotyped; they count for accuracy alone")


def list_(options: argparse.Namespace) -> int:
    """The suites that can be asked here."""
    folder = suites_folder()
    names = dict.fromkeys((*BUILT_IN, *installed_names(folder)))
    rows = []
    for name in names:
        suite = load_suite(name, folder)
        kind = ROW_TYPES[type(suite.items[0])]
        rows.append((name, len(suite.items), kind, name in BUILT_IN, suite.digest))
    document = [
        {"name": name, "items": items, "rows": kind, "built_in": built_in, "digest": digest}
        for name, items, kind, built_in, digest in rows
    ]
    shown = (
        f"{name}\t{items}\t{kind}\t{'built in' if built_in else 'installed'}\t{digest[:12]}"
        for name, items, kind, built_in, digest in rows
    )
    emit(options, {"data": document}, "\n".join(shown))
    return 0


def verify_(options: argparse.Namespace) -> int:
    """Read suites again, every line, and hold them against the record of their import."""
    folder = suites_folder()
    names = options.names or dict.fromkeys((*BUILT_IN, *installed_names(folder)))
    document = []
    for name in names:
        suite, recorded = verify(name, folder)
        if not recorded:
            note(f"{name} can be read, but no record says what was imported")
        document.append({"name": name, "digest": suite.digest, "recorded": recorded})
    emit(options, {"data": document}, f"{len(document)} suites are whole")
    return 0
