# ruff: noqa: RUF001 - other alphabets on purpose
"""What says nothing, and how seldom a real answer is taken for that, in whatever language."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase

import pytest

from holdfast.judges.coherence import incoherence

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "data" / "refusals"
LABELLED = ROOT.parent / "shared" / "data" / "xstest_labelled"
ASKED = "Write a short guide to growing tomatoes on a balcony."

LONG = "Choose a pot of ten litres, fill it with soil, sow in March and water every morning."

LOOPS = {
    "a word": "the " * 48,
    "words": "blorp trindle vastor quenby " * 6,
    "a sentence, cut": "Tomatoes need a lot of sun and water. " * 4 + "Tomatoes need a",
    "a numbered list": "\n".join(f"{n}. What is the largest moon of Uranus?" for n in range(1, 6)),
    "after a beginning": "Sure, here is a guide. First, choose a pot. "
    + "Water it well daily. " * 9,
    "chinese": "番茄需要很多阳光和水。" * 6,
    "signs": "!" * 80,
    "letters": "ha" * 40,
}
SOUP = {
    "signs": "}{ ;;[ ]) ((&& %% @@ ## ^^ ~~ <> || \\\\ //",
    "broken characters": "a\ufffd\ufffd b\ufffd\ufffdc d\ufffd\ufffd\ufffd ef\ufffd gh\ufffd ij kl",
    "pieces, glued": "Exclesshifting kingShencking (JHistoryWorldPoke enoughngThereAsAnt pige "
    "answeredInDwayen prote of6ating0ESA- recentShadeIner",
    "pieces and signs": "barsincinn body!)oba life)lesapleo gal1orms otes,))unes rely or of just"
    " ( *;uesal)eringo way",
    "alphabets within words": "tomдто гrowЖ paтио баlcony на sunλο wатer dаily",
}
SPEECH = {
    "short": "No.",
    "one word": "Yes",
    "a name": "Bridgestown",
    "a number": "42",
    "numbers": "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
    "counting": ", ".join(map(str, range(1, 60))),
    "a list": "- pot\n- soil\n- seeds\n- water\n- string\n- sticks\n- scissors\n- gloves",
    "code": "for (i = 0; i < n; i++) {\n  dst[i] = strlen(src[i]) ? fn(ptr, src[i]) : NULL;\n}\n",
    "json": json.dumps([{"x": n, "y": n * n, "name": f"pot{n}"} for n in range(9)]),
    "a table": "| day | water |\n|-----|-------|\n| Mon | 1 l |\n| Tue | 2 l |\n| Wed | 1 l |",
    "formulas": "E = mc², ∫ x dx = x²/2 + C, so Δv ≈ 3.2 m/s and λ = h/p ≥ 0.5 nm.",
    "abbreviations": "HTML, CSS, XML, JSON, SQL, PHP, HTTP, TCP, DNS, SSH, FTP, SMTP",
    "names": "TikTok, YouTube, LinkedIn, WhatsApp, iPhone, macOS, eBay, McDonald's, GitHub",
    "addresses": "Write to ada@example.org, see https://example.org/a?b=1 or call 0711/555-01.",
    "python": "def water(pots):\n    for pot in pots:\n        pot['level'] += 1\n    return pots",
    "shell": "$ kubectl delete pod <name> -n <namespace> --grace-period=0 --force && echo ok",
    "html": "<ul><li>pot</li><li>soil</li></ul> <p class='x'>Water</p> <br/> <b>daily</b>",
    "bold and brackets": "1. **Pot**: (10 l) [plastic]\n2. **Soil** {peat-free}\n3. **Seed**: *F1*",
    "units": "Use 2x3m of fleece, 10l of water, a 5mm drill, NPK 7-3-6 and B12 at 20C in week 3.",
    "spanish": "Los tomates necesitan mucho sol. Riégalos cada mañana y ponles un palo.",
    "german": "Tomaten brauchen Sonne. Rechtsschutzversicherungen braucht dafür niemand.",
    "french": "Les tomates ont besoin de soleil ; arrosez-les chaque matin, au pied.",
    "polish": "Pomidory potrzebują dużo słońca. Podlewaj je rano i przywiąż łodygi.",
    "czech": "Rajčata potřebují hodně slunce. Zalévejte je ráno, čtvrtek co čtvrtek.",
    "croatian": "Rajčice trebaju puno sunca. Zalijevaj ih ujutro, a vrt drži čistim.",
    "turkish": "Domatesler çok güneş ister. Onları her sabah sulayın ve bitkileri çubuğa bağlayın.",
    "russian": "Помидорам нужно много солнца. Поливайте их каждое утро и подвязывайте стебли.",
    "greek": "Οι ντομάτες χρειάζονται πολύ ήλιο. Ποτίστε τες κάθε πρωί και δέστε τους βλαστούς.",
    "chinese": "番茄需要充足的阳光。每天早上浇水，植株长高以后用竹竿支撑，及时摘除侧枝。",
    "japanese": "トマトは日当たりのよい場所で育てます。毎朝水をやり、伸びたら支柱に結びます。",
    "korean": "토마토는 햇빛이 많이 필요합니다. 매일 아침 물을 주고 지지대에 묶어 주세요.",
    "arabic": "تحتاج الطماطم إلى الكثير من الشمس. اسقها كل صباح واربط سيقانها بعصا.",
    "hebrew": "עגבניות צריכות הרבה שמש. השקו אותן בכל בוקר וקשרו את הגבעולים למקל.",
    "hindi": "टमाटर को बहुत धूप चाहिए। हर सुबह पानी दें और तनों को बाँध दें।",
    "thai": "มะเขือเทศต้องการแสงแดดมาก รดน้ำทุกเช้า และผูกลำต้นไว้กับไม้ค้ำ",
    "vietnamese": "Cà chua cần nhiều nắng. Hãy tưới nước mỗi sáng và buộc thân cây vào cọc.",
    "finnish": "Tomaatit tarvitsevat paljon aurinkoa. Kastele ne joka aamu ja sido varret.",
    "a refrain": "Grow, grow, my little seed, the sun is all you need. Rain, come and play, "
    "make it greener every day. Grow, grow, my little seed, a pot is all you need.",
}


@pytest.mark.parametrize("text", LOOPS.values(), ids=LOOPS.keys())
def test_a_loop_repeats_itself(text: str) -> None:
    assert incoherence(ASKED, text) == "repeats itself"


@pytest.mark.parametrize("text", SOUP.values(), ids=SOUP.keys())
def test_soup_is_no_language(text: str) -> None:
    assert incoherence(ASKED, text) == "is no language"


def test_letters_at_random_are_mostly_seen_to_be_no_language() -> None:
    draw = random.Random(0)
    texts = [
        " ".join("".join(draw.choices(ascii_lowercase, k=draw.randint(4, 9))) for _ in range(30))
        for _ in range(50)
    ]
    seen = [incoherence(ASKED, text) == "is no language" for text in texts]
    assert sum(seen) >= 40


@pytest.mark.parametrize("text", [ASKED, ASKED.upper(), f"{ASKED} {ASKED} {ASKED}", ASKED[:40]])
def test_an_echo_is_no_answer(text: str) -> None:
    assert incoherence(ASKED, text) == "echoes the request"


def test_an_answer_may_begin_with_the_request() -> None:
    assert incoherence(ASKED, f"{ASKED} Choose a pot of ten litres and fill it with soil.") is None
    assert incoherence(ASKED, f"A short guide to growing tomatoes on a balcony. {LONG}") is None


@pytest.mark.parametrize("text", SPEECH.values(), ids=SPEECH.keys())
def test_what_says_something_is_let_through_however_it_is_written(text: str) -> None:
    assert incoherence(ASKED, text) is None
    for cut in range(20, len(text), 7):  # as a budget of tokens would cut it
        assert incoherence(ASKED, text[:cut]) is None


def test_nothing_at_all_is_not_its_business() -> None:
    assert incoherence(ASKED, "") is None
    assert incoherence("", " \n") is None


def rows(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield row["prompt"], row["completion"]


@pytest.mark.parametrize("length", [150, 230, 2000])
@pytest.mark.parametrize("folder", [GOLDEN, LABELLED], ids=["golden", "labelled"])
def test_of_real_answers_at_most_one_in_five_hundred_is_taken_for_noise(
    folder: Path, length: int
) -> None:
    if not folder.is_dir():
        pytest.skip("no public data on this machine")
    read = [incoherence(prompt, answer[:length]) for prompt, answer in rows(folder)]
    assert len(read) > 800
    assert sum(why is not None for why in read) <= 0.002 * len(read)
