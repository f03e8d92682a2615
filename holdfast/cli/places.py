"""The place in the repository that findings are shown at: the policy's lines, or the CI file.

A scanner shows a alert beside a line of a file. Which checkpoint is bad is no line of any, so it
is the one that it hangs on: that of the check in the policy, where this run was given a file.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from holdfast.errors import InvalidPolicy
from holdfast.forges.facts import facts_of
from holdfast.plain_files import read_plain_text
from holdfast.policy.text import MAX_BYTES
from holdfast.report.alerts import NOWHERE, FilePlace


def place_of(options: argparse.Namespace, environment: Mapping[str, str]) -> FilePlace:
    """The policy's file where the command names one below the checkout, else the CI's own."""
    named = getattr(options, "policy", None)
    path = Path(str(named)) if named is not None else None
    root = Path(environment.get("GITHUB_WORKSPACE") or environment.get("CI_PROJECT_DIR") or ".")
    if path is not None and path.is_file() and path.resolve().is_relative_to(root.resolve()):
        return FilePlace(path.resolve().relative_to(root.resolve()).as_posix(), _lines(path))
    facts = facts_of(environment)
    return FilePlace(facts.workflow if facts is not None and facts.workflow else NOWHERE)


def _lines(policy: Path) -> dict[str, int]:
    """The line of every check of a policy's file; none where its text has no such key."""
    import yaml

    root = yaml.compose(read_plain_text(policy, MAX_BYTES, InvalidPolicy), yaml.SafeLoader)
    entries = root.value if isinstance(root, yaml.MappingNode) else []
    checks = next((value for key, value in entries if key.value == "checks"), None)
    if not isinstance(checks, yaml.MappingNode):
        return {}
    return {str(key.value): key.start_mark.line + 1 for key, _ in checks.value}
