"""Does the answer say anything? Loops, echoes of the request and soup of characters do not.

A model that was broken complies with nothing and refuses nothing, and whoever only looks for
refusals takes its noise for compliance. Told by statistics of words and letters alone, without a
model or a dictionary, so that it holds in every language: what repeats itself for most of its
length, what only copies the request from its start, and what is no writing of any script, as a
model with damaged weights puts the pieces of its vocabulary together. Words that do not exist, but
could, pass unnoticed. Short answers, lists, numbers and code are not noise.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import islice

READ_CHARS = 2_000
SPAN = 6  # words that come again in the same order
LOOP_WORDS, LOOP_SHARE = 12, 0.6  # as much of an answer is said again: three rounds are two thirds
RUN = re.compile(r"([^\d\s]{1,8}?)\1{9,}")
ECHO_WORDS, ECHO_SHARE = 4, 0.9  # of the answer is the request, word by word
SOUP_CHARS = 20  # below, too few to tell
BROKEN_SHARE = 0.1  # of characters that are none
WRITTEN_SHARE = 0.25  # of letters and digits, below which it is signs alone
MIXED_WORDS, MIXED_SHARE = 3, 0.15  # words of two alphabets
SPELT_WORDS, ODD_SHARE = 8, 0.3  # words without a syllable; so many make no language
VOWEL_SHARE, FEW_ODD = 0.3, 0.2  # fewer do where vowels are rarer than in any

GLUED, GLUED_SHARE, CHUNKS = 3, 0.2, 6  # of what stands between spaces

_LETTER = r"[a-zA-Z\u00c0-\u024f]"
_INSIDE = r"[^\w\s'\u2019\-./,:&@\u00b7\u0300-\u036f]"  # signs that stand in no word
_IS_GLUED = re.compile(
    "|".join(
        (
            r"^\W*[a-z]{4,}[A-Z]",
            r"[a-z][A-Z].*[a-z][A-Z]",
            rf"{_LETTER}\d+{_LETTER}",
            rf"{_LETTER}{_INSIDE}+{_LETTER}",
            rf"[()\[\]{{}}]{{2,}}{_LETTER}",
            rf"{_LETTER}[\[{{]",
            rf"[^\w\s*]{{2,}}{_LETTER}",
            rf"{_LETTER}\u2026|::|__|\ufffd",
        )
    )
)
_CODE = re.compile(
    r"(?m)```|^\s*(?:def |class |import |from \w+ import|return\b|#include|\$ |SELECT |print\b)"
    r"|\"\w+\":|^\s*\w[\w.\[\]]*\s*[-+]?=\s*\S|[;{}]\s*$|</?\w+[^<>]*>|\w\(\w*\)|\w+\.\w+\("
)
_WORD = re.compile(r"\w+")
_LIST_MARK = re.compile(r"(?m)^\s*\d{1,3}[.)]\s|(?<=[.!?:,;]\s)\d{1,3}[.)]\s")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_LATIN = re.compile(r"[a-z\u00df-\u024f\u1e00-\u1eff]{4,}")
_VOWEL = re.compile(r"[aeiouyw\u00e6\u00f8\u0153\u0131]")
_NO_SYLLABLE = re.compile(r"[^aeiouyw\u00e6\u00f8\u0153\u0131]{5,}")
_TOGETHER = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "LATIN", "FULLWIDTH", "BOPOMOFO")


def incoherence(prompt: str, completion: str) -> str | None:
    """Why the answer says nothing, or None where it may say something."""
    text = completion[:READ_CHARS].strip()
    words = _words(text)
    if _echoes(_words(prompt), words):
        return "echoes the request"
    if _loops(_words(_LIST_MARK.sub(" ", text))) or _runs(text):
        return "repeats itself"
    return "is no language" if _is_soup(text) else None


def _words(text: str) -> list[str]:
    """The words in lower case; of scripts without spaces, every character is a word."""
    if text.isascii():
        return _WORD.findall(text.lower())
    words: list[str] = []
    for word in _WORD.findall(text.lower()):
        words += word if _UNSPACED.search(word) else [word]
    return words


def _echoes(request: Sequence[str], answer: Sequence[str]) -> bool:
    """Whether the answer is hardly more than the beginning of the request, once or repeatedly."""
    copied = 0
    while copied < len(answer):
        pairs = zip(islice(answer, copied, None), request, strict=False)
        run = next((at for at, (ours, theirs) in enumerate(pairs) if ours != theirs), None)
        length = min(len(request), len(answer) - copied) if run is None else run
        copied += length
        if length < max(1, len(request)):
            break
    return copied >= ECHO_WORDS and copied >= ECHO_SHARE * len(answer)


def _loops(words: Sequence[str]) -> bool:
    """Whether most words stand in a span that came before; a span of numbers does not count."""
    if len(words) < LOOP_WORDS:
        return False
    spans = list(zip(*(words[shift:] for shift in range(SPAN)), strict=False))
    if len(set(spans)) == len(spans):
        return False
    earlier_spans: set[tuple[str, ...]] = set()
    repeated = [False] * len(words)
    for at, span in enumerate(spans):
        if span in earlier_spans and sum(word.isalpha() for word in span) >= SPAN / 2:
            repeated[at : at + SPAN] = [True] * SPAN
        earlier_spans.add(span)
    return sum(repeated) >= LOOP_SHARE * len(words)


def _runs(text: str) -> bool:
    """Whether a few characters without a space are all that is said, over and over."""
    longest = max((len(match[0]) for match in RUN.finditer(text)), default=0)
    return longest >= SOUP_CHARS and longest >= LOOP_SHARE * len(text)


def _is_soup(text: str) -> bool:
    visible = "".join(text.split())
    if len(visible) < SOUP_CHARS:
        return False
    broken = sum(not char.isprintable() for char in visible) + visible.count("\ufffd")
    written = sum(map(str.isalnum, visible))
    if broken >= BROKEN_SHARE * len(visible) or written < WRITTEN_SHARE * len(visible):
        return True
    if not text.isascii() and _mixes_alphabets(text):
        return True
    return _is_unpronounceable(text) or _is_glued(text)


def _mixes_alphabets(text: str) -> bool:
    words = _WORD.findall(text)
    mixed = sum(len({_alphabet(char) for char in word if char.isalpha()}) > 1 for word in words)
    return mixed >= MIXED_WORDS and mixed >= MIXED_SHARE * len(words)


def _is_glued(text: str) -> bool:
    """Whether word after word holds capitals, numbers or signs inside, and it is no code."""
    chunks = text.split()
    glued = sum(_IS_GLUED.search(chunk) is not None for chunk in chunks)
    return (
        len(chunks) >= CHUNKS
        and glued >= max(GLUED, GLUED_SHARE * len(chunks))
        and _CODE.search(text) is None
    )


@cache
def _alphabet(char: str) -> str:
    """The script of a letter, by the first word of its name; those written together are one."""
    name = unicodedata.name(char, "").partition(" ")[0]
    return "LATIN" if name in _TOGETHER else name


def _is_unpronounceable(text: str) -> bool:
    """Whether the words of Latin letters lack the vowels that every language has."""
    plain = text if text.isascii() else _without_accents(text)
    words = [word for word in _WORD.findall(plain) if _LATIN.fullmatch(word)]
    if len(words) < SPELT_WORDS:
        return False
    letters = "".join(words)
    odd = sum(_NO_SYLLABLE.search(w) is not None or _VOWEL.search(w) is None for w in words)
    few_vowels = len(_VOWEL.findall(letters)) < VOWEL_SHARE * len(letters)
    return odd >= (FEW_ODD if few_vowels else ODD_SHARE) * len(words)


def _without_accents(text: str) -> str:
    parts = unicodedata.normalize("NFD", text)
    return "".join(char for char in parts if not unicodedata.combining(char))
