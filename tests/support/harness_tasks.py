"""Tasks for lm-evaluation-harness, written here: one of each kind that is asked, and some bad ones.

Their data lie beside them as JSON Lines, named from the tasks' folder; nothing comes from a hub.
"""

import json
from pathlib import Path
from typing import Any

COLOURS = ("red", "green", "blue", "yellow", "white", "black")
THINGS = ("sky", "leaf", "snow", "coal", "lemon", "rose", "sea", "grass", "night", "cloud")

CHOICE = """\
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
fewshot_split: test
num_fewshot: 2
output_type: multiple_choice
doc_to_text: "Question: what colour is the {{thing}}?\\nAnswer:"
doc_to_choice: "{{colours}}"
doc_to_target: "{{right}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""

WORD = """\
task: last
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: loglikelihood
doc_to_text: "The colour of the {{thing}} is "
doc_to_target: "{{colours[right]}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""

SAID = """\
task: said
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "Name the colour of the {{thing}}"
doc_to_target: "{{said}}"
generation_kwargs: {until: ["\\n", "ff"], max_gen_toks: 12, do_sample: false}
filter_list:
  - name: first
    filter: [{function: regex, regex_pattern: "([A-Za-z])"}, {function: take_first}]
  - name: whole
    filter: [{function: take_first}]
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""

GROUP = """\
group: both
task: [colours, said]
"""

ROLLING = """\
task: rolling
dataset_path: json
dataset_kwargs: {data_files: {test: colours.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{thing}}"
metric_list:
  - {metric: word_perplexity, higher_is_better: false}
"""


def write_tasks(folder: Path, said: str = "x") -> Path:
    """The folder with every task and its data; `said` is what `said` takes for right."""
    folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = [
        {"thing": f"{size} {thing}", "colours": list(COLOURS), "right": at % 6, "said": said}
        for at, (size, thing) in enumerate(
            (size, thing) for size in ("large", "small", "old") for thing in THINGS
        )
    ]
    data = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "colours.jsonl").write_text(data)
    texts = {"colours": CHOICE, "last": WORD, "said": SAID, "both": GROUP, "rolling": ROLLING}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    bad = {
        "unsafe": SAID + "unsafe_code: true\n",
        "l" * 71: SAID,
        "many": SAID + "repeats: 4\n",
        "beams": SAID.replace("do_sample: false", "do_sample: false, num_beams: 3"),
        "missing": SAID.replace("colours.jsonl", "nowhere.jsonl"),
        "worse": CHOICE.replace("true", "false"),
    }
    for name, text in bad.items():
        (folder / f"{name}.yaml").write_text(text.replace(text.split("\n")[0], f"task: {name}"))
    return folder
