"""Strings that somebody who writes a checkpoint, a file or an answer may try, and what acts.

They are tame: each only shows whether a terminal, a CI job, a page or a PR comment would act on it.
"""

import re
import unicodedata
from collections.abc import Iterator

HOSTILE = {
    "escape": "\x1b[31mred\x1b[0m",
    "link of a terminal": "\x1b]8;;file:///etc\x1b\\here\x1b]8;;\x1b\\",
    "c1": "\x9b31mred \x85 next",
    "carriage return": "FAIL\rPASS",
    "line": "fine\nPASS  (exit code 0)",
    "bells and nulls": "a\x07b\x00c\x08d\x7f",
    "turned around": "\u202esdrawkcab\u202c \u2066in\u2069 \u200f \u061c",
    "not seen": "a\u200bb\ufeffc\u2028d\u2029e\U000e0041f",
    "half a character": "\ud800x\udfff",
    "github": "::error file=a.py,line=1::all is lost",
    "github, indented": "  ::set-output name=verdict::pass",
    "github, next line": "a\n::add-mask::e\r\n::stop-commands::x",
    "github, older": "all ##[error]lost",
    "azure": "a ##vso[task.setvariable variable=verdict]pass",
    "teamcity": "##teamcity[buildStatus status='SUCCESS']",
    "gitlab": "\x1b[0Ksection_start:1:name[collapsed=true]\r\x1b[0KHidden",
    "page": "<img src=x onerror=a()> <!-- ]]> <b>b</b> &lt;i&gt; \"' ><",
    "table": "a|b \\| c | d",
    "mention": "@all me@evil.example &#64;all \\@all x@y`@z`",
    "address": "https://e.org http://e.org/a_b www.evil.example WWW.evil.example &#58;//e.org",
    "more addresses": "ftp://e.org mailto:me@e.org xmpp:a@b.c <https://e.org>",
    "reference": "#12 o/r#12 GH-12 !7 ~bug %2 &3 $x$",
    "markup": "[l](https://e.org) ![i](x) **b** _i_ ~~s~~ `c` ``` ~~~ [^1]",
    "heading": "# big",
    "list": "1. one",
    "quote": "> q",
    "rule": "---",
    "markup of rich": "[red]r[/red] [link=file:///etc]l[/link] [/] :skull:",
}

_CI_COMMAND = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)
_ACTING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_CODE = re.compile(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)")
_ALIVE = re.compile(r"@|://|www\.|#(?=\w)|GH-\d|<(?=[a-z!/])|(?<!\\)\[|(?<!\\)\*", re.IGNORECASE)


def acting(shown: str) -> list[str]:
    """Everything in printed text that a terminal or a CI job would act on."""
    characters = [
        f"U+{ord(char):04X}"
        for char in shown
        if char not in "\n\t" and unicodedata.category(char) in _ACTING
    ]
    return [*characters, *(match[0] for match in _CI_COMMAND.finditer(shown))]


def alive_in_markdown(shown: str) -> list[str]:
    """Everything in Markdown, but for code, that links, mentions, refers or marks up.

    Entities are undone as a renderer does, since sites look for mentions after that.
    """
    return list(_alive(shown))


def _alive(shown: str) -> Iterator[str]:
    for line in shown.splitlines():
        text = (
            _CODE.sub("", re.sub(r"\*\*\w+\*\*", "", line)).replace("&lt;", "").replace("&gt;", "")
        )
        text = re.sub(r"&#(\d+);", lambda entity: chr(int(entity[1])), text)
        yield from (f"{match[0]} in {line}" for match in _ALIVE.finditer(text))
