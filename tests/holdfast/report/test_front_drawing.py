"""The front's picture: every try named, the front joined, nobody's name run as markup."""

from xml.etree import ElementTree as ET

from holdfast.report.front_drawing import draw_front

POINTS = [
    ("wise_ft 0.8", 0.5, 0.0, True, False),
    ("rehearsal", 0.02, 0.1, True, True),
    ("<b>&", 0.6, 0.2, False, False),
]


def test_every_try_is_a_named_point_and_the_front_is_joined() -> None:
    drawn = ET.fromstring(draw_front(POINTS))
    assert [one.text for one in drawn.iter("title")] == [name for name, *_ in POINTS]
    (line,) = drawn.iter("polyline")
    assert len(line.attrib["points"].split()) == 2
    assert len(list(drawn.iter("circle"))) == len(POINTS) + 1  # the ring of the chosen one
    assert "rehearsal: harm 0.02, over-refusal 0.10, chosen" in drawn.attrib["aria-label"]
    assert "#" not in draw_front(POINTS)  # the page's own colour alone


def test_nothing_to_draw_is_a_dash() -> None:
    assert draw_front([]) == "-"
