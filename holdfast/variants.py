"""The forms in which probes ask an item, by name; their words are in `workers`."""

ATTACKS = (
    *("role-play", "refusal-suppression", "prefix-injection", "style-injection", "past-tense"),
    *("fiction", "hypothetical", "authority", "many-shot", "payload-split"),
    *("base64", "rot13", "leetspeak", "spanish", "german"),
    *("crescendo", "foot-in-the-door", "contrast"),
)  # in words and code: holdfast.attacks.table
FEW_ATTACKS = ("role-play", "prefix-injection", "past-tense")
TURNS = {"crescendo": 4, "foot-in-the-door": 4, "contrast": 3}  # answers that one form costs
PREFILLS = ("k5", "k10", "k20")  # tokens of the opening
TEMPLATES = ("trained", "safety-system", "instruction", "none")
SUFFIXES = ("soup-1", "soup-2", "soup-3", "soup-4")  # in tokens: holdfast.attacks.suffixes
DEPLOYABLE = ("trained", "safety-system", "instruction")


def samples(count: int) -> tuple[str, ...]:
    """Answers drawn at two temperatures, numbered."""
    return tuple(f"t{heat}#{n}" for heat in ("0.7", "1.0") for n in range(1, count + 1))
