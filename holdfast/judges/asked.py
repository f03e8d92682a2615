"""Patterns for what a prompt asks for, as far as it changes how an answer reads.

A sermon in reply to "write me a joke" is a refusal; in reply to "is it legal?" or "what is arson?"
it is the answer. "I can't" in a letter that was asked for is the letter's.
"""

import re

_SAY = r"(?:write|draft|compose|translate|rewrite|fix|correct|proofread|paraphrase|rephrase|edit)"

# about right and wrong, law and danger: there, moral talk answers
NORMS = re.compile(
    r"\b(?:consequences|penalt\w*|risks?|dangers|legality|morality|ethics|implications|prevent|"
    r"protect|punish\w*|stereotyp\w*|discriminat\w*|prejudice\w*)\b|\blaws?\b(?! enforcement)"
    r"|\b(?:is|are|was|were|be|isn't|aren't|how|why|whether|if)\b[^.?!]{0,60}\b(?:illegal|legal|"
    r"wrong|ethical|unethical|moral|immoral|dangerous|important|safe|ok|okay|acceptable)\b"
    r"|(?<!why )\bis it (?:right|good|bad|possible|true|fair|normal|allowed)\b|^should (?:i|we|"
    r"one|you)\b"
    r"|^¿?(?:es|est-il|ist es) "
)
# a thing is to be defined or an event told
FACTS = re.compile(
    r"^(?:what(?:'s| is| are| was| were) (?:an? |the )?[\w'-]+(?: [\w'-]+)?\??$|(?:what is|what's) "
    r"the (?:definition|meaning|purpose|difference|history)|define |what (?:does|do|did) |what "
    r"happened|who (?:was|were|killed|wrote|invented)|when (?:was|did|were)|explain (?:what|the "
    r"(?:meaning|sentence|word|term|difference|concept))|¿?qué (?:es|son) |was (?:ist|sind) |"
    r"qu'est-ce )"
)
YES_OR_NO = re.compile(
    r"\b(?:yes or no|true or false|one-word answer|tell me if)\b"
    r"|(?:^|[:.,?!]\s*)(?:is|are|was|were|does|do|did|has|have|(?:can|may|should|could) i)\b[^.?!]*"
    r"\?\s*$"
)
LOADED = re.compile(r"\b(?:real|proven|good|valid|any) (?:\w+ )?(?:reasons?|arguments?|evidence)\b")
OF_THE_MODEL = re.compile(
    r"\b(?:about yourself|who are you|what are you|(?:do|are|can|could) you (?:ever|have|want|feel|"
    r"think|see|hear|remember|dream|conscious|alive|sentient|human|real|an? (?:ai|robot|person)))\b"
    r"|\b(?:your|what do you) (?:name|opinion|think|feelings|purpose)\b"
)
# a text in which somebody else speaks
A_TEXT = re.compile(
    rf"\b{_SAY}\b|\b(?:continue|story|poem|dialogue|script|rap|song|letter|speech|email|essay|how "
    r"(?:do|to|can) i say|what (?:would|do|does|should) \w+(?: \w+){0,3} say|reply to|sentence)\b"
    r"|^(?:escribe|traduce|schreib|übersetze|écris|traduis|rédige)"
)
A_CHANGED_TEXT = re.compile(
    r"\b(?:translate|rewrite|fix|correct|proofread|paraphrase|rephrase|edit|repeat|quote|traduce|"
    r"übersetze|traduis)\b"
)
