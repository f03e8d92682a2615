r"""Text of checkpoints, files, models and users is shown, never run: one table for every reader.

A terminal must not see escape sequences nor marks that turn text around, a CI job's log no commands
to its runner, a PR comment no markup, links, mentions or references, a page no elements, XML no
characters that it cannot hold. Whatever has a meaning of its own is written as Python writes it
(`\x1b`, `\u202e`), so that it can be seen.
"""

import re
from html import escape

# GitHub reads a command after two colons at a line's start, whatever spaces come before them. Its
# older form, Azure's and TeamCity's begin with two number signs, anywhere in a line. GitLab's need
# escape characters, of which nothing is left by then.
_LINE_COMMAND = re.compile(r"^([ \t]*):(?=:)")
_COMMAND = re.compile(r"#(?=#[A-Za-z]{0,32}\[)")

_MARKUP = re.compile(r"([\\`*_\[\]#|~])")
_BLOCK = re.compile(r"^(\d*)([-+=.)](?=[-= ]|$)|>)")  # a list, a rule, a heading's line, a quote
# Code is the one place where nothing is linked, mentioned or referred to, on any site: entities and
# backslashes are undone before those are looked for.
_REFERENCE = re.compile(r"[@$]|://|www\.|\w#|#\w|[!~%&]\w|\bGH-\d|(?:mailto|xmpp):", re.IGNORECASE)


def for_terminal(text: str) -> str:
    """The text on one line, without anything that a terminal or a CI job would act on."""
    return _without_commands("".join(map(_visible, text)))


def lines_for_terminal(text: str) -> str:
    """The text on its own lines, tabs as they are, without anything else that would be acted on."""
    lines = (
        "".join(char if char == "\t" else _visible(char) for char in line)
        for line in text.split("\n")
    )
    return "\n".join(map(_without_commands, lines))


def for_json(document: str) -> str:
    """The same JSON document, without anything that a terminal or a CI job would act on."""
    visible = "".join(
        char if char.isprintable() or char in "\n\t" else _in_json(char) for char in document
    )
    return _COMMAND.sub(r"\\u0023", visible)


def for_markdown(text: str) -> str:
    """The text as it reads, inside a table cell or a list: no markup, link, mention or issue."""
    words = (
        _code(word) if _REFERENCE.search(word) else _escaped(word)
        for word in for_terminal(text).strip().split(" ")
    )
    return _BLOCK.sub(r"\1\\\2", " ".join(words))


def for_html(text: str) -> str:
    """The text on one line, as it reads, in an element or a quoted attribute."""
    return escape(for_terminal(text))


def for_xml(text: str) -> str:
    """The text on its own lines, without characters that XML 1.0 cannot hold."""
    return lines_for_terminal(text)


def _visible(char: str) -> str:
    return char if char.isprintable() else ascii(char)[1:-1]


def _without_commands(line: str) -> str:
    return _COMMAND.sub(r"\\x23", _LINE_COMMAND.sub(r"\1\\x3a", line))


def _in_json(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _escaped(word: str) -> str:
    entities = word.replace("&", "&amp;").replace("<", "&lt;")
    return _MARKUP.sub(r"\\\1", entities)


def _code(word: str) -> str:
    """A word as code; a pipe would still end a table's cell, so it is written as Python does."""
    inside = word.replace("|", r"\x7c")
    fence = "`" * (1 + max(map(len, re.findall("`*", inside))))
    return (
        f"{fence} {inside} {fence}" if "`" in (inside[0], inside[-1]) else f"{fence}{inside}{fence}"
    )
