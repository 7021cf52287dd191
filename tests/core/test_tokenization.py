"""Tokens land on the right characters and words, for three kinds of tokenizer."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from core.errors import ModelError
from core.text import clusters
from core.tokenization import Encoded, align, encode, split_words, window
from tests.conftest import NSMC, needs_nsmc
from tests.core.tiny_models import NASTY, TOKENIZERS


@pytest.fixture(scope="module", params=sorted(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> Any:
    tokenizer = TOKENIZERS[request.param]()
    tokenizer.kind = request.param
    return tokenizer


def check(encoded: Encoded, text: str, tokenizer: Any) -> None:
    """What must hold of any text: stated again from the text alone, not through the code under test."""
    assert [(w.text, w.start, w.end) for w in encoded.words] == [
        (word, start, start + len(word)) for word, start in _naive_words(text)
    ]
    covered: set[int] = set()
    safe = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    # One unknown token may stand for several words: it belongs to the longest.
    bridges = [s for s in tokenizer([safe], return_offsets_mapping=True)["offset_mapping"][0] if " " in _plain(text, s)]
    bridged = {place for start, end in bridges for place in range(start, end)}
    boundaries = {edge for c in clusters(text) for edge in (c.start, c.end)}
    for token in encoded.tokens:
        if token.special:
            assert token.word is None
            assert token.text == token.piece
            continue
        assert token.text == text[token.start : token.end]
        if not token.text.strip():
            assert token.word is None
            continue
        assert token.word is not None, token
        word = encoded.words[token.word]
        assert word.start <= token.start < token.end <= word.end, (token, word)
        assert {token.start, token.end} <= boundaries | {word.start, word.end}
        covered.update(range(token.start, token.end))
    end = len(text) if encoded.cut is None else encoded.cut
    for word in encoded.words:
        # A word in which nothing but control characters was given has no token to be covered by.
        missing = [i for i in range(word.start, min(word.end, end)) if i not in covered]
        lost = [i for i in missing if i not in bridged and not _is_dropped(tokenizer, text[i])]
        assert not lost, (word, [text[i] for i in lost], encoded.tokens)


def _plain(text: str, span: tuple[int, int]) -> str:
    """What is in `span` of `text`, whitespace of any kind as a space, but for what is at its ends."""
    return "".join(" " if char.isspace() else char for char in text[span[0] : span[1]]).strip()


def _naive_words(text: str) -> list[tuple[str, int]]:
    found, start = [], None
    for index, char in enumerate(text + " "):
        if char.isspace():
            if start is not None:
                found.append((text[start:index], start))
            start = None
        elif start is None:
            start = index
    return found


def _is_dropped(tokenizer: Any, char: str) -> bool:
    """Whether the tokenizer makes nothing of it: a control character, a mark that it strips."""
    return not set(tokenizer.tokenize("\ufffd" if "\ud800" <= char <= "\udfff" else char)) - {"▁", "Ġ"}


@pytest.mark.parametrize("text", NASTY, ids=[ascii(text[:12]) for text in NASTY])
@pytest.mark.parametrize("max_length", [None, 128, 8])
def test_nasty_texts(tokenizer: Any, text: str, max_length: int | None) -> None:
    encoded = encode(tokenizer, text, max_length)
    check(encoded, text, tokenizer)
    if max_length is not None:
        assert len(encoded.tokens) <= max_length
        whole = encode(tokenizer, text).tokens
        assert (encoded.cut is None) == (len(whole) <= max_length)
    safe = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    limits = {} if max_length is None else {"truncation": True, "max_length": max_length}
    assert encoded.inputs["input_ids"] == tokenizer(safe, **limits)["input_ids"]


@needs_nsmc
def test_real_reviews(tokenizer: Any) -> None:
    with (NSMC / "ratings_test.txt").open(encoding="utf-8", newline="\n") as file:
        reviews = [line.split("\t")[1] for line, _n in zip(file, range(5001), strict=False)][1:]
    assert len(reviews) == 5000
    for review in reviews:
        check(encode(tokenizer, review, 128), review, tokenizer)


def variants() -> dict[str, Any]:
    """Tokenizers whose normalizers and pre-tokenizers move characters about, by what they do."""
    from tokenizers import Regex, normalizers, pre_tokenizers, processors

    made = {}
    for name, normalizer in {
        "takes apart and strips": normalizers.BertNormalizer(lowercase=True),
        "composes after all": normalizers.NFKC(),
        "shortens laughs": normalizers.Replace(Regex("ㅋ{2,}"), "ㅋㅋ"),
        "as it is": None,
    }.items():
        made[name] = TOKENIZERS["wordpiece"]()
        made[name].backend_tokenizer.normalizer = normalizer
    quotes = [normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    for name, normalizer, pre in (
        ("as ALBERT", normalizers.Sequence(quotes), pre_tokenizers.Metaspace()),
        ("not split", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False)),
        ("never in front", normalizers.NFD(), pre_tokenizers.Metaspace(prepend_scheme="never")),
    ):
        made[name] = TOKENIZERS["metaspace"]()
        made[name].backend_tokenizer.normalizer, made[name].backend_tokenizer.pre_tokenizer = normalizer, pre
    for name, prefix, trim in (("space in front", True, True), ("spaces kept", True, False)):
        made[name] = byte = TOKENIZERS["byte_level"]()
        byte.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
        byte.backend_tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim, prefix)
    made["cut in front"] = TOKENIZERS["wordpiece"]()
    made["cut in front"].truncation_side = "left"
    return made


SPELLED = ["영화</s>좋다<mask>", "영화<mask>a [MASK]끝 [UNK]", "''인용'' ㅎㅎㅠㅠ ㅋㅏ ㅋㅋㅋㅋ요 ㅋㅋㅋ"]


@pytest.mark.parametrize("max_length", [None, 8])
@pytest.mark.parametrize("name", sorted(variants()))
def test_other_ways_to_normalize_and_split(name: str, max_length: int | None) -> None:
    tokenizer = variants()[name]
    reads_left = tokenizer.truncation_side == "left" and max_length is not None
    for text in (*NASTY, *SPELLED):
        encoded = encode(tokenizer, text, max_length)
        limits = {} if max_length is None else {"truncation": True, "max_length": max_length}
        safe = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        assert encoded.inputs["input_ids"] == tokenizer(safe, **limits)["input_ids"]
        if not reads_left:
            check(encoded, text, tokenizer)


def test_characters_that_melt_into_one_belong_to_it() -> None:
    """NFKC makes 휴 of ㅎ and ㅠ, ALBERT one quote of two, a replacement two laughs of five."""
    made = variants()
    for name, text, wanted in (
        ("composes after all", "ㅠㅠ ㅎㅠ", ["ㅠㅠ", "ㅎㅠ"]),
        ("as ALBERT", "영화 ''", ["영화", "''"]),
        ("shortens laughs", "ㅋㅋㅋㅋㅋ 영화", ["ㅋㅋㅋㅋㅋ", "영화"]),
        ("space in front", "영화</s>좋", ["영화</s>좋"]),
    ):
        encoded = encode(made[name], text)
        for number, word in enumerate(wanted):
            own = [token for token in encoded.tokens if token.word == number]
            assert (min(token.start for token in own), max(token.end for token in own)) == (
                text.index(word),
                text.index(word) + len(word),
            ), (name, own)
    [melted] = [token for token in encode(made["composes after all"], "ㅠㅠ ㅎㅠ").tokens if token.word == 1]
    assert melted.text == "ㅎㅠ"
    after = encode(made["space in front"], "영화</s>좋").tokens
    assert {token.text for token in after if token.start >= 6} <= {"", "좋"}


@needs_nsmc
def test_every_word_of_real_reviews_gets_exactly_its_tokens(tokenizer: Any) -> None:
    """Their ids are those of the word by itself: no offset is asked."""
    with (NSMC / "ratings_test.txt").open(encoding="utf-8", newline="\n") as file:
        reviews = [line.split("\t")[1] for line, _n in zip(file, range(5001), strict=False)][1:]
    # What byte-level BPE makes of a word depends on whether it is the first.
    space = " " if tokenizer.kind == "byte_level" else ""
    words = sorted({space * (start > 0) + word for review in reviews for word, start in _naive_words(review)})
    alone = dict(zip(words, tokenizer(words, add_special_tokens=False)["input_ids"], strict=True))
    blank = tokenizer.convert_tokens_to_ids("Ġ")
    for review in reviews:
        encoded = encode(tokenizer, review)
        given: list[list[int]] = [[] for _word in encoded.words]
        for token, number in zip(encoded.tokens, encoded.inputs["input_ids"], strict=True):
            if token.word is not None:
                given[token.word].append(number)
        for word, own in zip(encoded.words, given, strict=True):
            wanted = alone[space * (word.start > 0) + word.text]
            assert own == [number for number in wanted if number != blank or not space], word


def test_byte_level_korean_reads_as_korean() -> None:
    encoded = encode(TOKENIZERS["byte_level"](), "뷁 읽다")
    shown = [token.text for token in encoded.tokens if token.word == 0]
    assert len(shown) > 1
    assert set(shown) == {"뷁"}
    assert all(token.piece != "뷁" for token in encoded.tokens)


def test_decomposed_hangul_is_one_character_for_every_token_of_it() -> None:
    text = unicodedata.normalize("NFD", "한국 영화")
    for make in TOKENIZERS.values():
        for token in encode(make(), text).tokens:
            if not token.special:
                assert unicodedata.normalize("NFC", token.text) in "한국 영화"


def test_unknown_word_is_placed_and_marked() -> None:
    tokens = encode(TOKENIZERS["wordpiece"](), "영화 뷁뷁 최고").tokens
    [unknown] = [token for token in tokens if token.unk]
    assert (unknown.text, unknown.start, unknown.end, unknown.word, unknown.piece) == ("뷁뷁", 3, 5, 1, "[UNK]")


def test_emoji_sequence_is_never_taken_apart() -> None:
    family = "👨‍👩‍👧‍👦"
    tokens = [t for t in encode(TOKENIZERS["byte_level"](), f"굳{family}!").tokens if "\u200d" in t.text]
    assert tokens
    assert all(family in token.text for token in tokens)


def test_spelled_out_special_token_belongs_to_the_text() -> None:
    encoded = encode(TOKENIZERS["wordpiece"](), "영화 [SEP] 끝")
    spelled = [token for token in encoded.tokens if token.piece == "[SEP]"]
    assert [(token.special, token.word) for token in spelled] == [(False, 1), (True, None)]


def test_cut_is_where_the_tokens_end() -> None:
    text = "최고 " * 300
    encoded = encode(TOKENIZERS["wordpiece"](), text, 12)
    assert len(encoded.tokens) == 12
    assert encoded.cut == max(token.end for token in encoded.tokens)
    assert text[encoded.cut :].strip()
    assert encode(TOKENIZERS["wordpiece"](), "최고 최고", 12).cut is None


def test_span_over_two_words_goes_to_the_larger_share() -> None:
    text = "a bcd"
    [token] = align(text, split_words(text), ["x"], [(0, 5)], [False], [False])
    assert (token.word, token.text) == (1, "bcd")


def test_leading_space_in_a_span_is_left_out() -> None:
    text = "좋은 영화"
    [token] = align(text, split_words(text), ["Ġ영"], [(2, 4)], [False], [False])
    assert (token.word, token.start, token.text) == (1, 3, "영")


@pytest.mark.parametrize(
    ("text", "span", "shown"), [("\u0600 가", (0, 1), "\u0600"), ("가 \u0301나", (2, 3), "\u0301")]
)
def test_cluster_that_reaches_out_of_its_word(text: str, span: tuple[int, int], shown: str) -> None:
    """A prepended mark takes the space after it into its cluster, a combining one the space before it."""
    assert shown not in [text[c.start : c.end] for c in clusters(text)]
    [token] = align(text, split_words(text), ["x"], [span], [False], [False])
    assert token.text == shown


def test_zero_span_is_special_only_when_said_so() -> None:
    tokens = align(
        "가", split_words("가"), ["[CLS]", "▁", "가"], [(0, 0), (0, 0), (0, 1)], [True, False, False], [False] * 3
    )
    assert [(token.special, token.word) for token in tokens] == [(True, None), (False, None), (False, 0)]


class _Config:
    max_position_embeddings = 514


class _Positions:
    padding_idx: int | None
    weight = range(514)

    def __init__(self, padding_idx: int | None) -> None:
        self.padding_idx = padding_idx


class _Model:
    config = _Config()

    def __init__(self, padding_idx: int | None) -> None:
        self._positions = _Positions(padding_idx)

    def named_modules(self) -> list[tuple[str, Any]]:
        return [("embeddings.position_embeddings", self._positions)]


@pytest.mark.parametrize(
    ("padding", "tokenizer_max", "requested", "expected"),
    [(None, 10**30, None, 514), (1, 10**30, None, 512), (1, 256, None, 256), (1, 256, 64, 64), (1, 256, 999, 256)],
)
def test_window(padding: int | None, tokenizer_max: int, requested: int | None, expected: int) -> None:
    class Tokenizer:
        model_max_length = tokenizer_max

    assert window(Tokenizer(), _Model(padding), requested) == expected


def test_tokenizer_without_offsets_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="Slow"):
        encode(Slow(), "글")


def test_saved_tokenizer_is_loaded_as_it_was(tmp_path: Path) -> None:
    """AutoTokenizer rebuilds a `BertTokenizer` from its vocabulary, lowercasing: ours must escape that."""
    from transformers import AutoConfig, AutoTokenizer

    for kind, make in (("bert", "wordpiece"), ("xlm-roberta", "metaspace"), ("roberta", "byte_level")):
        saved = TOKENIZERS[make]()
        saved.save_pretrained(tmp_path / kind)
        AutoConfig.for_model(kind).save_pretrained(tmp_path / kind)
        loaded = AutoTokenizer.from_pretrained(tmp_path / kind)
        for text in (*(t for t in NASTY if "\ud800" not in t), "Good MOVIE", unicodedata.normalize("NFD", "최고")):
            assert loaded(text)["input_ids"] == saved(text)["input_ids"]
