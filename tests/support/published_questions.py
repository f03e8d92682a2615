"""Rows of multiple-choice sets as published: format, file, rows, what the last item holds."""

from typing import Any

Fields = dict[str, Any]

MC1 = {"choices": ["Water", "Air", "Fire"], "labels": [1, 0, 0]}

ROWS: list[tuple[str, str, list[Fields], Fields]] = [
    (
        "mmlu",
        "mmlu.jsonl",
        [{"subject": "anatomy", "question": "Which?", "choices": ["a", "b"], "answer": 1}],
        {"answer": 1, "topic": "anatomy", "choices": ("a", "b")},
    ),
    (
        "arc",
        "ARC-Easy.jsonl",
        [
            {
                "id": "X",
                "question": {
                    "stem": "What burns?",
                    "choices": [{"text": "wood", "label": "1"}, {"text": "rock", "label": "2"}],
                },
                "answerKey": "2",
            }
        ],
        {"question": "What burns?", "choices": ("wood", "rock"), "answer": 1},
    ),
    (
        "arc",
        "arc.jsonl",
        [
            {
                "question": "What burns?",
                "choices": {"text": ["wood", "rock"], "label": ["A", "B"]},
                "answerKey": "A",
            }
        ],
        {"choices": ("wood", "rock"), "answer": 0},
    ),
    (
        "arc",
        "arc.jsonl",
        [{"question": "What burns?", "choices": ["wood", "rock"], "answer": "B"}],
        {"answer": 1},
    ),
    (
        "openbookqa",
        "test.jsonl",
        [
            {
                "question_stem": "The sun is",
                "choices": {"text": ["hot", "cold"], "label": ["A", "B"]},
                "answerKey": "A",
            }
        ],
        {"question": "The sun is", "answer": 0},
    ),
    (
        "openbookqa",
        "openbook_qa.jsonl",
        [{"query": "Question: The sun is\nAnswer:", "choices": ["cold", "hot"], "gold": 1}],
        {"question": "The sun is", "choices": ("cold", "hot"), "answer": 1},
    ),
    (
        "piqa",
        "piqa.jsonl",
        [{"query": "Open a jar", "choices": ["Eat it", "Twist it"], "gold": 1}],
        {"question": "Open a jar", "answer": 1},
    ),
    (
        "truthfulqa",
        "generation.jsonl",
        [{"question": "Rain?", "best_answer": "Water", "incorrect_answers": ["Beer", "Tears"]}],
        {"choices": ("Water", "Beer", "Tears"), "answer": 0},
    ),
    (
        "truthfulqa",
        "TruthfulQA.csv",
        [
            {
                "Type": "A",
                "Category": "Myths",
                "Question": "What is rain?",
                "Best Answer": "Water",
                "Correct Answers": "Water; H2O",
                "Incorrect Answers": "Tears; Beer",
                "Source": "",
            }
        ],
        {"choices": ("Water", "Tears", "Beer"), "answer": 0, "topic": "Myths"},
    ),
    (
        "truthfulqa",
        "mc.jsonl",
        [{"question": "What is rain?", "mc1_targets": MC1}],
        {"choices": ("Water", "Air", "Fire"), "answer": 0},
    ),
    (
        "truthfulqa",
        "mc_task.json",
        [{"question": "What is rain?", "mc1_targets": {"Beer": 0, "Water": 1}}],
        {"choices": ("Beer", "Water"), "answer": 1},
    ),
    (
        "piqa",
        "piqa.jsonl",
        [{"goal": "Open a jar", "sol1": "Twist it", "sol2": "Eat it", "label": 0}],
        {"question": "Open a jar", "choices": ("Twist it", "Eat it"), "answer": 0},
    ),
    (
        "boolq",
        "dev.jsonl",
        [{"question": "is snow cold", "passage": "Snow is ice.", "title": "Snow", "answer": True}],
        {"context": "Snow is ice.", "question": "is snow cold?", "answer": 1},
    ),
    (
        "boolq",
        "boolq.jsonl",
        [{"query": "Passage: Snow.\nQuestion: is it cold?", "choices": ["no", "yes"], "gold": 1}],
        {"context": "Snow.", "question": "is it cold?", "answer": 1},
    ),
    (
        "winogrande",
        "winogrande.jsonl",
        [{"context_options": ["so Ann", "so Bea"], "continuation": "won.", "gold": 1}],
        {"choices": ("so Ann", "so Bea"), "continuation": "won.", "answer": 1},
    ),
]
