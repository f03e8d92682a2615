"""`--comment` of the commands that judge: a pull request is told, and no exit code hangs on it."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.cli.command import note
from holdfast.errors import ForgeRefused, HoldfastError
from holdfast.report.about import About
from holdfast.verdict.document import Verdict

if TYPE_CHECKING:
    from holdfast.forges.rest import State

NOT_POSTED = "the comment was not posted, and the verdict stands"


def tell(options: argparse.Namespace, verdict: Verdict, about: About) -> None:
    """Post a verdict where --comment asked for it; a note where that could not be done."""
    if not options.comment:
        return
    from holdfast.cli.comment import NO_CI, post
    from holdfast.forges.facts import facts_of

    if (facts := facts_of(os.environ)) is None:
        note(f"{NOT_POSTED}: {NO_CI}")
        return
    try:
        note(post(facts, verdict, about, options.gate))
    except ForgeRefused as error:
        note(f"{NOT_POSTED}: {error}")


def tell_state(options: argparse.Namespace, state: "State", title: str) -> None:
    """Say on the commit that there is no verdict, where --comment asked for it."""
    if not options.comment:
        return
    from holdfast.cli.comment import conclude
    from holdfast.forges.facts import facts_of
    from holdfast.forges.sticky import open_forge

    if (facts := facts_of(os.environ)) is None:
        return
    try:
        forge = open_forge(facts, os.environ)
        with forge.client:
            conclude(forge, facts, options.gate, state, title)
    except ForgeRefused as error:
        note(f"{NOT_POSTED}: {error}")


@contextmanager
def told_where_not_run(options: argparse.Namespace) -> Iterator[None]:
    """A block that may end without a verdict: then the commit says so, where --comment asked."""
    try:
        yield
    except HoldfastError as error:
        tell_state(options, "not run", str(error))
        raise
