"""The language of an answer, so that a judge can tell whether it reads it.

Scripts tell themselves by the names of their letters; languages in Latin script by their most
frequent short words. What is too short to tell, and code or numbers, counts as English: only
positive signs of another language make an answer unread.
"""

import re
import unicodedata
from collections import Counter

ENGLISH = "English"
READ = frozenset({ENGLISH, "Spanish", "French", "German", "Italian", "Portuguese", "Chinese"})
FEWEST_LETTERS = 6  # in another script
FEWEST_WORDS = 4  # in Latin script
FEWEST_SIGNS = 2  # frequent words of another language, or words with letters of none that is read
SHARE_OF_SIGNS = 0.14
SHARE_OF_ENGLISH = 0.15  # from which no other language is considered
WORDS_PER_SIGN_OF_CODE = 3  # fewer than that, and it is code or arithmetic
SHARE_OF_KANA = 0.1  # Japanese is written with Chinese characters, too

_WORD = re.compile(r"[^\W\d_]{2,}")  # one letter is as often a variable as a word
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzßäöüàâæçéèêëîïôœùûÿñáíóúìòãõªº")  # of READ
_CODE = re.compile(r"[{}=<>;\\*+]|\w\(")
_FENCED = re.compile(r"'''.*?(?:'''|\Z)", re.DOTALL)  # backticks, in a straightened text
FREQUENT = {
    ENGLISH: "the an of to in on for with and or but not is are was be it this that you can't "
    "cannot will would have has do don't my your we they he she as at by from if so what there "
    "can no yes his her their its all more about which who when how am",
    "Spanish": "el la los las un una de del que en no es por para con se su lo como más pero sus "
    "le ya este sí porque esta son está muy sin sobre ser me hay puedo eso mi te al siento",
    "French": "le la les un une des de du et en est que qui dans pour pas ne ce cette il elle je "
    "vous nous sur avec au aux par plus mais ou se sont votre cela peux suis qu",
    "German": "der die das und ist nicht ein eine einen ich sie es zu mit den dem von auf für im "
    "des auch wie als aber kann dass wir bei oder nur so sich haben sind an mir leider du dabei "
    "ihnen",
    "Italian": "il lo la gli le un una di del della che in non per con si mi sono come più ma da "
    "al questo questa anche ho posso ti dei nel alla se",
    "Portuguese": "os as um uma de do da dos das que em no na não para com se por mais mas como "
    "ao eu você isso posso seu sua ou este esta são foi muito",
    "Dutch": "de het een en van ik je niet is dat op te zijn voor met die maar dit er ook aan om "
    "bij kan naar wat als of mijn daar spijt deze worden hier geen over",
    "Swedish": "och att det som en på är av för jag inte den med till om har de ett men du kan "
    "var hur så vi från eller detta din mig tyvärr",
    "Danish or Norwegian": "og at det som en på er av af for jeg ikke den med til om har de et "
    "men du kan var hvordan så vi fra eller dette din mig meg desværre dessverre",
    "Finnish": "ja on ei se että en voi olen ole tämä mutta kun niin tai hän minä sinä ovat myös "
    "joka kuin mitä valitettavasti auttaa siinä tässä sen siitä",
    "Polish": "nie na się do jest to że jak co mi ale po tak za od czy przez tego tym może mogę "
    "dla są ten jestem przykro",
    "Czech or Slovak": "je se na že to do si ale jak pro nebo není jsem jsou by tak nemohu vám "
    "sa nie som sú pre čo ako bohužel mi tím tom",
    "South Slavic": "je na da se ne za što sam su to od kako ali ili ovo žao mogu mi nije koji "
    "vam sa biti lahko ki pa in",
    "Hungarian": "az és nem hogy is egy de ez ha van meg csak már vagy mint sajnálom ebben én ön "
    "tudok kell volt lehet ezt",
    "Romanian": "și si nu este un de la cu în in pe că să pentru din mai dar sunt îmi pot rău "
    "pare sau care ca acest asta vă",
    "Turkish": "bir ve bu için ile değil da de ben çok ne gibi daha ama olarak var yok üzgünüm "
    "konuda yardımcı olamam veya kadar her sonra mi ancak",
    "Indonesian or Malay": "yang dan di ini itu saya tidak dengan untuk dari ke pada bisa anda "
    "akan adalah dalam maaf ada atau juga karena boleh tak kami dapat oleh membantu",
    "Vietnamese": "là và của không tôi bạn có các một những cho với được này trong thể xin lỗi "
    "để người đó khi đã nhưng về giúp hoặc nếu",
    "Swahili": "na ya wa kwa ni katika la za kwamba hii hiyo mimi wewe au lakini samahani siwezi "
    "hilo cha kama si yako yangu huo kusaidia",
    "Tagalog": "ang ng sa na mga at ay hindi ko ako mo ka ito para po ikaw kung siya may kita pa "
    "rin ba iyon iyan paumanhin",
    "Catalan": "el la els les un una de del que en no és per amb es ho com més però puc això ja "
    "aquest aquesta són et em us dels ajudar",
    "Baltic": "ir un ne kad tai su iš kaip bet yra aš ar tas tā es var nav par no uz lai negaliu "
    "nevaru atsiprašau diemžēl",
    "Estonian": "ja on ei et see ma kui ka aga mis või olen sa seda kuid saa aidata selles "
    "kahjuks oma ta nii",
    "Albanian": "të në dhe është që nuk për me një unë se si por nga kjo ju mund ka më ky",
    "Afrikaans": "die en van is nie ek dat om te het jy vir met in dit wat op aan maar ons kan "
    "sal jammer hierdie jou",
}  # fmt: skip
_SETS = {language: frozenset(words.split()) for language, words in FREQUENT.items()}


def detect_language(text: str) -> str:
    """The language of a lower-case text, or its script; English where nothing else is shown."""
    if not text.isascii():
        script = _script(text)
        if script is not None:
            return script
    words = _WORD.findall(_FENCED.sub(" ", text) if "'''" in text else text)
    if len(words) < max(FEWEST_WORDS, WORDS_PER_SIGN_OF_CODE * len(_CODE.findall(text))):
        return ENGLISH
    english = sum(word in _SETS[ENGLISH] for word in words)
    return ENGLISH if english >= SHARE_OF_ENGLISH * len(words) else _by_signs(words, english)


def _by_signs(words: list[str], english: int) -> str:
    """The language with the most signs; of two with as many, the one that is read."""
    foreign = sum(not (word.isascii() or _LETTERS.issuperset(word)) for word in words)
    different = frozenset(words)
    signs = {
        language: len(different & frequent) + foreign * (language not in READ)
        for language, frequent in _SETS.items()
    }
    best = max(signs, key=lambda language: (signs[language], language in READ))
    enough = max(FEWEST_SIGNS, SHARE_OF_SIGNS * len(words), english + 1)
    return best if signs[best] >= enough else ENGLISH


def _script(text: str) -> str | None:
    """The script of most letters; None where they are Latin or few."""
    scripts = Counter(
        "LATIN" if letter.isascii() else unicodedata.name(letter, "LATIN").split()[0]
        for letter in text
        if letter.isalpha()
    )
    latin = scripts.pop("LATIN", 0)
    if scripts.total() < max(FEWEST_LETTERS, latin):
        return None
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    if kana >= SHARE_OF_KANA * scripts.total():
        return "Japanese"
    script = scripts.most_common(1)[0][0]
    return "Chinese" if script == "CJK" else f"{script.title()} script"
