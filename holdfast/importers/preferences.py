"""Preference pairs: two answers to one prompt, of which people preferred the first.

They are data for training and comparison; no probe asks them. Answers stand in them as published,
harmful ones too, so such a suite stays in the user's own folder and is never shown.
"""

import re
from typing import Any

from holdfast.importers.records import Record
from holdfast.suites.items import PreferenceItem

REPLY = "\n\nAssistant:"
REQUEST = "\n\nHuman:"


def hh_rlhf(record: Record) -> PreferenceItem:
    """Bai et al. 2022: two transcripts that agree up to their last reply."""
    transcripts = [record.fields.get(column) for column in ("chosen", "rejected")]
    if not all(isinstance(text, str) for text in transcripts):
        raise record.wrong("chosen and rejected are not both texts")
    chosen, rejected = map(str, transcripts)
    ends = [match.end() for match in re.finditer(REPLY, chosen)]
    after = max((end for end in ends if rejected.startswith(chosen[:end])), default=None)
    if after is None:
        raise record.wrong(f"chosen and rejected share no transcript up to {REPLY.strip()}")
    prompt = chosen[:after].removesuffix(REPLY).strip()
    if prompt.count(REQUEST.strip()) == 1:
        prompt = prompt.removeprefix(REQUEST.strip()).strip()
    return _preference(record, "hh-rlhf", prompt, chosen[after:], rejected[after:])


def pku_saferlhf(record: Record) -> PreferenceItem:
    """Ji et al. 2023: the safer of two responses is the preferred one."""
    responses = (_text(record, "response_0"), _text(record, "response_1"))
    safer = int(record.keyword("safer_response_id", ("0", "1")))
    prompt = record.text("prompt")
    return _preference(record, "pku-saferlhf", prompt, responses[safer], responses[1 - safer])


def preferences(record: Record) -> PreferenceItem:
    """TRL's `prompt, chosen, rejected`, texts or messages, and ShareGPT's conversations."""
    turns = record.value("prompt", "conversations")
    chosen, rejected = (_reply(record, column) for column in ("chosen", "rejected"))
    prompt = turns if isinstance(turns, str) else "\n\n".join(_messages(record, turns))
    return _preference(record, "preferences", prompt, chosen, rejected)


def _reply(record: Record, column: str) -> str:
    value = record.value(column)
    if isinstance(value, str):
        return value
    return _messages(record, value if isinstance(value, list) else [value])[-1]


def _messages(record: Record, turns: Any) -> list[str]:
    if not isinstance(turns, list) or not turns:
        raise record.wrong("a conversation is neither text nor a list of messages")
    texts = [
        turn.get("content", turn.get("value")) if isinstance(turn, dict) else None for turn in turns
    ]
    if not all(isinstance(text, str) for text in texts):
        raise record.wrong("a message has neither content nor value")
    return [str(text) for text in texts]


def _text(record: Record, column: str) -> str:
    value = record.fields.get(column)
    if not isinstance(value, str):
        raise record.wrong(f"{column} is no text")
    return value


def _preference(
    record: Record, name: str, prompt: str, chosen: str, rejected: str
) -> PreferenceItem:
    key = f"{name}-{record.number:06}"
    return PreferenceItem(id=key, cluster=key, prompt=prompt, chosen=chosen, rejected=rejected)
