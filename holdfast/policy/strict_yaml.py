"""YAML that cannot be read in two ways.

A gate that reads `max_regression:` as "no limit", or keeps the laxer of two equal keys, passes what
its author meant to stop. So empty values, repeated keys, aliases and numbers that are not finite
are refused here, before any schema looks at the document. What is wrong is said with its line.
"""

from collections.abc import Hashable
from math import isfinite
from typing import Any

import yaml

from holdfast.errors import InvalidPolicy


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, but a key may stand only once in its mapping, and nothing is an alias."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # stubs
            raise yaml.composer.ComposerError(None, None, "found an alias, write it out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        keys: set[str] = set()
        for key, _ in node.value:
            if key.value in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def parse_mapping(text: str, *, source: str) -> dict[str, Any]:
    """The document as a mapping without empty values; raises InvalidPolicy with the place."""
    try:
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a subclass of SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise InvalidPolicy(f"{source}: not a YAML document: {_single_line(error)}") from error
    if not isinstance(document, dict):
        kind = "nothing" if document is None else f"a {type(document).__name__}"
        raise InvalidPolicy(f"{source}: found {kind}, expected a mapping with version and checks")
    _refuse_unusable(document, source, place="")
    return document


def _single_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split()) or type(error).__name__


def _refuse_unusable(value: Any, source: str, *, place: str) -> None:
    """No value may be absent: `null` is how a forgotten number looks to a machine."""
    if value is None:
        raise InvalidPolicy(f"{source}: {place} is empty, expected a value (or leave the key out)")
    if isinstance(value, float) and not isfinite(value):
        raise InvalidPolicy(f"{source}: {place} is {value}, expected a finite number")
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise InvalidPolicy(
                    f"{source}: the key {key!r} under {place or 'the top'} is no name"
                )
            _refuse_unusable(inner, source, place=f"{place}.{key}".lstrip("."))
    if isinstance(value, list):
        for number, inner in enumerate(value):
            _refuse_unusable(inner, source, place=f"{place}[{number}]")
