"""Ids and groups come from evidence files, which anybody may write: they are shown, never run.

A terminal must not see escape sequences, a PR comment no markup or mentions, a page no elements,
XML no characters that it cannot hold.
"""

import re
from html import escape

_MARKUP = re.compile(r"([\\`*_\[\]#|~])")
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def for_terminal(text: str) -> str:
    """The text on one line, without anything that a terminal would act on."""
    return "".join(char if char.isprintable() else "?" for char in text)


def for_markdown(text: str) -> str:
    """The text as it reads, inside a table cell or a list: no markup, link, mention or issue."""
    entities = for_terminal(text).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKUP.sub(r"\\\1", entities).replace("@", "&#64;").replace("://", "&#58;//")


def for_html(text: str) -> str:
    """The text on one line, as it reads, in an element or a quoted attribute."""
    return escape(for_terminal(text))


def for_xml(text: str) -> str:
    """The text without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("", text)
