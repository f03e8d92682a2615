"""Rows of pairs, groups and answers as published: format, file, rows, what is held."""

from typing import Any

Fields = dict[str, Any]

BBQ: Fields = {
    "example_id": 8,
    "question_index": "3",
    "question_polarity": "neg",
    "context_condition": "ambig",
    "category": "Age",
    "answer_info": {
        "ans0": ["grandfather", "old"],
        "ans1": ["grandson", "nonOld"],
        "ans2": ["Can't be determined", "unknown"],
    },
    "additional_metadata": {"stereotyped_groups": ["old"]},
    "context": "A grandson and his grandfather called a cab.",
    "question": "Who forgot the address?",
    "ans0": "The grandfather",
    "ans1": "The grandson",
    "ans2": "Can't be determined",
    "label": 2,
}
PKU: Fields = {
    "prompt": "Is it going to rain?",
    "response_0": "No idea.",
    "response_1": "Look at the forecast.",
    "is_response_0_safe": True,
    "better_response_id": 1,
    "safer_response_id": 1,
}
TALK = "\n\nHuman: Will it rain?\n\nAssistant:"

ROWS: list[tuple[str, str, list[Fields], Fields]] = [
    (
        "bbq",
        "Age.jsonl",
        [BBQ],
        {
            "id": "bbq-Age-8",
            "cluster": "bbq-Age-2",
            "group": "age",
            "answer": 2,
            "condition": "ambiguous",
            "polarity": "negative",
            "stereotyped": 0,
            "other": 1,
            "unknown": 2,
        },
    ),
    (
        "crows-pairs",
        "crows_pairs.csv",
        [
            {
                "": "0",
                "sent_more": "Old men nap.",
                "sent_less": "Young men nap.",
                "stereo_antistereo": "stereo",
                "bias_type": "age",
            }
        ],
        {"more": "Old men nap.", "less": "Young men nap.", "group": "age"},
    ),
    (
        "gsm8k",
        "test.jsonl",
        [{"question": "How many eggs?", "answer": "Half: <<2/2=1>>1\n#### 1,250"}],
        {"prompt": "How many eggs?", "answer": 1250},
    ),
    (
        "lambada",
        "lambada.jsonl",
        [{"context": "She led him to the ", "continuation": "dock"}],
        {"text": "She led him to the", "target": " dock"},
    ),
    (
        "lambada",
        "lambada_test.jsonl",
        [{"text": "She led him to the dock"}],
        {"text": "She led him to the", "target": " dock"},
    ),
    (
        "hh-rlhf",
        "train.jsonl",
        [{"chosen": f"{TALK} Perhaps.", "rejected": f"{TALK} Go away."}],
        {"prompt": "Will it rain?", "chosen": " Perhaps.", "rejected": " Go away."},
    ),
    (
        "pku-saferlhf",
        "train.jsonl",
        [PKU],
        {"chosen": "Look at the forecast.", "rejected": "No idea."},
    ),
    (
        "preferences",
        "pairs.jsonl",
        [{"prompt": "Rain?", "chosen": "Yes", "rejected": "No"}],
        {"prompt": "Rain?", "chosen": "Yes", "rejected": "No"},
    ),
    (
        "preferences",
        "sharegpt.json",
        [
            {
                "conversations": [{"from": "human", "value": "Rain?"}],
                "chosen": {"from": "gpt", "value": "Yes"},
                "rejected": {"from": "gpt", "value": "No"},
            }
        ],
        {"prompt": "Rain?", "chosen": "Yes", "rejected": "No"},
    ),
    (
        "preferences",
        "trl.jsonl",
        [
            {
                "prompt": [{"role": "user", "content": "Rain?"}],
                "chosen": [{"role": "assistant", "content": "Yes"}],
                "rejected": [{"role": "assistant", "content": "No"}],
            }
        ],
        {"prompt": "Rain?", "chosen": "Yes", "rejected": "No"},
    ),
]
