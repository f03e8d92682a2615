"""Beside a verdict: which items got worse, worst first, and noise of the same backend alone."""

import json
from html.parser import HTMLParser

from holdfast.evidence.file import Evidence, gather
from holdfast.evidence.trial import scored, unscored
from holdfast.policy.text import parse_policy
from holdfast.readings.two_passes import noise_between
from holdfast.report.beside import Extras, Worst, WorstFlip
from holdfast.report.render import render
from holdfast.report.worst_flips import WORST, report_extras, worst_flips
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from tests.support.evidence import evidence, manifest, share

POLICY = parse_policy(
    "version: 1\nname: b\nmin_items: 5\nchecks:\n"
    "  harm.direct: {metric: attack_success_rate, max_regression: 0.10}\n",
    source="p",
)
HOSTILE = "<script>alert(1)</script>\x1b[31m&"


def graded(name: str, badness: list[float | None]) -> Evidence:
    found = [
        unscored("harm.direct", f"i{n:02}", f"c{n}", "silent")
        if value is None
        else scored("harm.direct", f"i{n:02}", f"c{n}", value, group=HOSTILE)
        for n, value in enumerate(badness)
    ]
    return gather(manifest(name), found)


def test_those_that_lost_most_come_first_and_what_is_lost_is_no_flip() -> None:
    before = graded("p", [0.0, 0.0, 0.5, 1.0, 0.0, 0.5])
    after = graded("c", [0.5, 1.0, 1.0, 0.0, None, 0.5])
    found = worst_flips("harm.direct", before, after)
    assert [(flip.item, flip.before, flip.after) for flip in found.flips] == [
        ("i01", 0.0, 1.0),
        ("i00", 0.0, 0.5),
        ("i02", 0.5, 1.0),
    ]
    many = worst_flips("harm.direct", graded("p", [0.0] * 30), graded("c", [1.0] * 30))
    assert (len(many.flips), many.worse) == (WORST, 30)
    assert [flip.item for flip in many.flips] == [f"i{n:02}" for n in range(WORST)]


def test_noise_of_another_backend_is_not_drawn() -> None:
    ours = evidence("p", {"harm.direct": share(0, 100)})
    again = evidence("p", {"harm.direct": share(4, 100)})
    theirs = evidence("c", {"harm.direct": share(0, 100)})
    noise = noise_between(ours, again)
    assert report_extras(["harm.direct"], ours, theirs, noise).noise == noise.probes
    assert report_extras(["refusal.benign"], ours, theirs, noise).noise == {}
    other = noise.model_copy(update={"backend": noise.backend | {"dtype": "float64"}})
    assert report_extras(["harm.direct"], ours, theirs, other).noise == {}


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "line", "circle", "rect"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def judged() -> tuple[Verdict, Extras]:
    before, after = graded("p", [0.0] * 100), graded("c", [1.0] * 60 + [0.0] * 40)
    noise = noise_between(before, graded("p", [1.0] * 3 + [0.0] * 97))
    return decide(POLICY, before, after), report_extras(["harm.direct"], before, after, noise)


def test_the_page_is_whole_and_asks_nobody_for_anything() -> None:
    verdict, found = judged()
    page = Page(render(verdict, "html", found))
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "form", "a"} & set(page.tags)
    assert not {"src", "href", "action", "onclick"} & {name for name, _ in page.attributes}
    assert ("lang", "en") in page.attributes
    assert page.tags.count("table") == page.tags.count("caption") > 0
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("title") == 1
    labels = [str(value) for name, value in page.attributes if name == "aria-label"]
    (drawn,) = [label for label in labels if label.startswith("change +0.60, interval ")]
    assert drawn.endswith("noise 0.030")
    assert "Holdfast: fail" in page.words
    assert "10 of 60 that got worse" in page.words
    assert r"<script>alert(1)</script>\x1b[31m&" in page.words  # as text, not as an element
    assert render(verdict, "html", found) == render(verdict, "html", found)


def test_flips_are_named_and_their_text_is_shown_only_where_it_was_added() -> None:
    verdict, found = judged()
    plain = render(verdict, "md", found)
    assert "### harm.direct, the worst flips (10 of 60)" in plain
    assert "| i00 | c0 |" in plain
    told = WorstFlip("i00", "plain", "c0", None, 0.0, 1.0, texts=("No.\n# Sure", "Sure: <b>"))
    shown = Extras(worst={"harm.direct": Worst((told,), 60)})
    assert "i00, candidate: Sure: &lt;b>" in render(verdict, "md", shown)
    assert "\n# Sure" not in render(verdict, "md", shown)
    assert "Sure: &lt;b&gt;" in render(verdict, "html", shown)
    assert "Sure" not in plain + render(verdict, "html", found)


def test_noise_stands_beside_the_verdict_and_changes_nothing_of_it() -> None:
    verdict, found = judged()
    for form in ("text", "md", "html"):
        assert "3 of 100 answers move when nothing changed" in render(verdict, form, found)
        assert "answers move" not in render(verdict, form)
    document = json.loads(render(verdict, "json", found))
    assert document.pop("noise")["harm.direct"]["flips"] == 3
    assert Verdict.model_validate(document, strict=False).digest == verdict.digest
    assert render(verdict, "json").encode() == verdict.to_json()
