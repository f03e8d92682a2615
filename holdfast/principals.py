"""Names of people and projects: in one form, so that two that look alike are not two.

A person is NFKC, without case, spaces around it or characters that cannot be seen. `operator` and
the form of a key's id are nobody's name: the trail uses them for itself.
"""

import re
import unicodedata

from holdfast.errors import CallerError
from holdfast.ids import is_id

RESERVED = frozenset({"operator", "server"})
PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def person_named(name: str) -> str:
    """The form in which a person's name is kept and compared; CallerError for one that is none."""
    plain = comparable(name)
    if not plain or any(unicodedata.category(letter)[0] == "C" for letter in name):
        raise CallerError(f"the principal {name!r} is empty or holds characters that are not seen")
    if plain in RESERVED or is_id(plain, "key"):
        raise CallerError(f"the principal {name!r} is a name that the trail uses for itself")
    return plain


def comparable(name: str) -> str:
    """A name as it is compared with others, also one that was stored before there was a form."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    seen = (letter for letter in folded if unicodedata.category(letter)[0] != "C")
    return unicodedata.normalize("NFKC", "".join(seen)).strip()


def require_project_name(name: str) -> str:
    """The name, if it can be a project's; CallerError otherwise."""
    if PROJECT.fullmatch(name) is None:
        raise CallerError(
            f"{name!r:.80} cannot be a project's name; expected up to 64 letters, digits, dots, "
            "dashes and underscores, the first a letter or digit"
        )
    return name
