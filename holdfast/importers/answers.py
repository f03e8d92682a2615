"""Sets with one right answer to generate or to go on with: GSM8K and LAMBADA."""

import re

from holdfast.importers.records import Record
from holdfast.suites import LastWord, Request

FINAL = re.compile(r"####\s*\$?(-?[\d,]+)(?:\.0+)?\s*$")


def gsm8k(record: Record) -> Request:
    """Cobbe et al. 2021: the number after `####` is the answer; the solution is left out."""
    match = FINAL.search(record.text("answer"))
    if match is None:
        raise record.wrong("answer does not end in `#### ` and a whole number")
    name = f"gsm8k-{record.number:05}"
    number = int(match[1].replace(",", ""))
    return Request(id=name, cluster=name, prompt=record.text("question"), answer=number)


def lambada(record: Record) -> LastWord:
    """Paperno et al. 2016: the last word of a passage, scored with the space before it."""
    if "continuation" in record.fields:
        text, word = record.text("context"), record.text("continuation")
    else:
        text, _, word = record.text("text").rpartition(" ")
    if not text.strip() or " " in word:
        raise record.wrong("expected a passage and one last word")
    name = f"lambada-{record.number:05}"
    return LastWord(id=name, cluster=name, text=text.rstrip(), target=f" {word}")
