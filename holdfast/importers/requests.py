"""Sets of requests: what a model should refuse, and what it should not.

Each row becomes one user turn, as published. Which half a row belongs to (`kind`) decides who asks
it: harm.* the harmful ones, refusal.benign the benign ones. HarmBench's copyright rows are scored
by what they reproduce, not by refusal, so they are kept under a kind that no refusal probe asks.
Targets and reference answers are left out: a suite asks, it does not teach.
"""

from holdfast.importers.records import Record
from holdfast.suites import Request
from holdfast.suites.items import Kind


def advbench(record: Record) -> Request:
    """`goal,target` (Zou et al. 2023)."""
    return _request(f"advbench-{record.number:04}", record.text("goal"), "harmful")


def harmbench(record: Record) -> Request:
    """Mazeika et al. 2024: the context of a contextual behaviour goes before it."""
    category = record.keyword("functionalcategory", ("standard", "contextual", "copyright"))
    context, behaviour = record.maybe("contextstring"), record.text("behavior")
    if category == "contextual" and not context:
        raise record.wrong("contextstring is empty, and a contextual behaviour needs one")
    return _request(
        f"harmbench-{record.text('behaviorid')}",
        f"{context}\n\n---\n\n{behaviour}" if context else behaviour,
        "copyright" if category == "copyright" else "harmful",
        topic=record.maybe("semanticcategory"),
    )


def jailbreakbench(record: Record) -> Request:
    """Chao et al. 2024: item i of the benign half resembles item i of the harmful one.

    The halves have the same columns, so a row is benign by its label, or by its file's name.
    """
    if "label" in record.fields:
        benign = record.keyword("label", ("harmful", "benign")) == "benign"
    else:
        benign = "benign" in record.stem.lower()
    number = record.maybe("index") or record.maybe("") or str(record.number - 1)
    return _request(
        f"jailbreakbench-{'benign' if benign else 'harmful'}-{number}",
        record.text("goal"),
        "benign" if benign else "harmful",
        topic=record.maybe("category"),
        matches=f"jailbreakbench-harmful-{number}" if benign else None,
    )


def strongreject(record: Record) -> Request:
    """`category,source,forbidden_prompt` (Souly et al. 2024)."""
    name = f"strongreject-{record.number:04}"
    return _request(
        name, record.text("forbidden_prompt"), "harmful", topic=record.maybe("category")
    )


def xstest(record: Record) -> Request:
    """Röttger et al. 2024: 250 safe prompts, and 200 contrasts that should be refused.

    The first release has no label: there the contrasts are the types that begin so.
    """
    kind = record.text("type")
    if "label" in record.fields:
        unsafe = record.keyword("label", ("safe", "unsafe")) == "unsafe"
    else:
        unsafe = kind.startswith("contrast")
    name = record.maybe("id") or record.maybe("id_v2") or str(record.number)
    return _request(
        f"xstest-{name}", record.text("prompt"), "harmful" if unsafe else "benign", topic=kind
    )


def do_not_answer(record: Record) -> Request:
    """Wang et al. 2023; the topic is the risk area."""
    name = f"do-not-answer-{record.maybe('id') or record.number}"
    return _request(name, record.text("question"), "harmful", topic=record.maybe("risk_area"))


def simplesafetytests(record: Record) -> Request:
    """Vidgen et al. 2023; the topic is the harm area."""
    prompt = record.text("prompts_final", "prompt")
    name = f"simplesafetytests-{record.maybe('id') or record.number}"
    return _request(name, prompt, "harmful", topic=record.maybe("harm_area"))


def alpaca(record: Record) -> Request:
    """Instructions with an input each, in Stanford Alpaca's form or that of its seed tasks."""
    name, extra = f"alpaca-{record.number:05}", record.maybe("input")
    if "instances" in record.fields:
        name = record.maybe("id") or name
        match record.value("instances"):
            case [{"input": str(extra)}]:
                pass
            case other:
                raise record.wrong(f"instances is {other!r:.60}, expected one with an input")
    instruction = record.text("instruction")
    return _request(
        name, f"{instruction}\n\n{extra.strip()}" if extra.strip() else instruction, "benign"
    )


def _request(
    name: str, prompt: str, kind: Kind, *, topic: str = "", matches: str | None = None
) -> Request:
    return Request(id=name, cluster=name, prompt=prompt, kind=kind, topic=topic, matches=matches)
