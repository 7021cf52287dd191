"""Just enough Korean morphology for the built-in sample: particles, and the endings of adjectives."""

from __future__ import annotations

_BASE = 0xAC00
_FINALS = 28
_N, _M = 4, 16


def has_final(word: str) -> bool:
    """Whether the last syllable of `word` is closed by a consonant (받침); digits and Latin letters count as open."""
    code = ord(word[-1]) - _BASE
    return 0 <= code < 11172 and code % _FINALS != 0


def particle(word: str, closed: str, open_: str) -> str:
    """`word` with the particle that its last syllable takes: 이/가, 은/는."""
    return word + (closed if has_final(word) else open_)


def topic(word: str) -> str:
    """`word` with 은 or 는."""
    return particle(word, "은", "는")


def subject(word: str) -> str:
    """`word` with 이 or 가."""
    return particle(word, "이", "가")


def _close(word: str, final: int) -> str:
    return word[:-1] + chr(ord(word[-1]) + final)


# Stems whose past and informal forms do not follow from their ending: stem -> (past stem, informal form).
_IRREGULAR = {
    "좋": ("좋았", "좋아"),
    "느리": ("느렸", "느려"),
    "멋지": ("멋졌", "멋져"),
    "뛰어나": ("뛰어났", "뛰어나"),
    "엄청나": ("엄청났", "엄청나"),
}


def forms(word: str) -> dict[str, str]:
    """The forms of a predicate by name.

    `word` is a stem (`지루하`, `재밌`, `좋`), a stem that changes ㅂ to 우 marked with `~` (`아쉽~`), or a noun that
    takes 이다 marked with `=` (`최고=`). Names: da go nde jiman m neyo past adn deora yo.
    """
    if word.endswith("="):
        noun = word[:-1]
        closed = has_final(noun)
        i = noun + ("이" if closed else "")
        past = noun + ("이었" if closed else "였")
        bare = {
            "nde": f"{noun}인데",
            "m": f"{noun}임",
            "adn": f"{noun}인",
            "yo": noun + ("이에요" if closed else "예요"),
        }
        stem = i
    elif word.endswith("~"):
        stem = word[:-1]
        open_stem = stem[:-1] + chr(ord(stem[-1]) - 17)
        past = open_stem + "웠"
        bare = {"nde": open_stem + "운데", "m": open_stem + "움", "adn": open_stem + "운", "yo": open_stem + "워요"}
    elif word.endswith("하"):
        stem = word
        past = word[:-1] + "했"
        bare = {
            "nde": _close(word, _N) + "데",
            "m": _close(word, _M),
            "adn": _close(word, _N),
            "yo": word[:-1] + "해요",
        }
    elif word[-1] in "있없밌":
        stem = word
        past = word + "었"
        bare = {"nde": word + "는데", "m": word + "음", "adn": word + "는", "yo": word + "어요"}
    else:
        stem = word
        past, informal = _IRREGULAR[word]
        adn = word + "은" if has_final(word) else _close(word, _N)
        bare = {
            "nde": adn + "데",
            "m": word + "음" if has_final(word) else _close(word, _M),
            "adn": adn,
            "yo": informal + "요",
        }
    return {
        **bare,
        "da": stem + "다",
        "go": stem + "고",
        "jiman": stem + "지만",
        "neyo": stem + "네요",
        "ne": stem + "네",
        "deora": stem + "더라",
        "past": past,
        "pastda": past + "다",
        "pastnde": past + "는데",
        "pastm": past + "음",
        "pastyo": past + "어요",
        "pastnida": past + "습니다",
    }


FINISHES = ("da", "m", "neyo", "ne", "deora", "pastda", "pastda", "pastm", "pastyo", "pastnida", "yo", "yo")
"""Names of forms that end a sentence, as often as the sample uses them."""
