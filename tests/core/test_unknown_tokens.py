"""Tokenizers that do not read Korean are measured and refused, with the cause where it shows."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from core.errors import ModelError
from core.training_data import tokenize
from core.unknown_tokens import cause, check_unknown, unknown_share, unknown_share_of_texts
from tests.core.tiny_models import SENTENCES, byte_level, metaspace, wordpiece

ENGLISH = ["this movie is really good", "i want my time back", "the story was too plain", "10 points"]


def reviews(texts: list[str]) -> Dataset:
    return Dataset.from_dict({"document": texts, "label": [number % 2 for number in range(len(texts))]})


def english_wordpiece(normalizer: Any) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        ENGLISH, trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[PAD]", "[UNK]"], show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def bert_that_lower_cases(directory: Path) -> Any:
    """A Korean vocabulary under BertTokenizer's defaults: what a missing `do_lower_case` makes of a cased model."""
    from transformers import BertTokenizer

    directory.mkdir()
    vocabulary = wordpiece().get_vocab()
    (directory / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)), encoding="utf-8")
    return BertTokenizer(vocab=str(directory / "vocab.txt"))


def test_share_is_counted_over_tokens_of_text(home: Path) -> None:
    tokenizer = wordpiece()
    texts = ["이 영화 정말", "이 龘 영화", "", "龘 龘"]
    tokens = tokenize(reviews(texts), tokenizer, 64, "unknown-share")
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    unknown = sum(row.count(tokenizer.unk_token_id) for row in ids)
    assert unknown == 3
    assert unknown_share(tokens, tokenizer) == unknown / sum(len(row) for row in ids)
    assert unknown_share_of_texts(texts, tokenizer) == unknown_share(tokens, tokenizer)


def test_share_of_a_selection_is_the_selections(home: Path) -> None:
    tokens = tokenize(reviews(["龘 龘", "이 영화", "龘"]), wordpiece(), 64, "unknown-selection")
    assert unknown_share(tokens.select([1]), wordpiece()) == 0
    assert unknown_share(tokens.select([2, 0]), wordpiece()) == 1
    assert unknown_share(tokens.select([]), wordpiece()) == 0


@pytest.mark.parametrize("make", [metaspace, byte_level])
def test_tokenizers_that_know_the_text_have_none(home: Path, make: Any) -> None:
    tokens = tokenize(reviews(SENTENCES), make(), 64, f"unknown-{make.__name__}")
    assert unknown_share(tokens, make()) == 0


def test_a_tokenizer_without_an_unknown_token_has_none(home: Path) -> None:
    tokenizer = byte_level()
    tokens = tokenize(reviews(["이 龘 영화"]), tokenizer, 64, "unknown-none")
    tokenizer.unk_token = None
    assert unknown_share(tokens, tokenizer) == 0


def test_below_the_limit_nothing_is_raised() -> None:
    check_unknown(0.2, 0.2, "m", wordpiece(), ["龘"])
    check_unknown(1.0, 1.0, "m")


def test_lower_casing_that_takes_hangul_apart_is_named(tmp_path: Path, home: Path) -> None:
    tokenizer = bert_that_lower_cases(tmp_path / "bert")
    tokens = tokenize(reviews(SENTENCES), tokenizer, 64, "unknown-lower")
    share = unknown_share(tokens, tokenizer)
    assert share > 0.5
    with pytest.raises(ModelError) as caught:
        check_unknown(share, 0.2, "my/bert", tokenizer, SENTENCES)
    assert "my/bert" in caught.value.message
    assert f"{share:.1%}" in caught.value.message
    assert "takes Hangul syllables apart" in caught.value.message
    assert SENTENCES[0] in caught.value.message
    assert "[UNK] [UNK]" in caught.value.message
    assert '"do_lower_case": false' in caught.value.hint


def test_the_way_out_for_lower_casing_works(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    directory = tmp_path / "bert"
    bert_that_lower_cases(directory).save_pretrained(directory)
    (directory / "config.json").write_text('{"model_type": "bert"}')
    assert unknown_share_of_texts(SENTENCES, AutoTokenizer.from_pretrained(directory)) > 0.5
    settings = directory / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "do_lower_case": False}))
    assert unknown_share_of_texts(SENTENCES, AutoTokenizer.from_pretrained(directory)) == 0


def test_other_causes_are_told_apart() -> None:
    from tokenizers import normalizers

    assert "no Hangul" in cause(english_wordpiece(None))[0]
    assert "model list" in cause(english_wordpiece(normalizers.Lowercase()))[1]
    apart = wordpiece()
    apart.backend_tokenizer.normalizer = normalizers.NFD()
    assert "decomposes" in cause(apart)[0]
    assert cause(wordpiece()) == ("", "")
    # A vocabulary of letters (자모) wants decomposed text, as multilingual uncased BERT does.
    letters = metaspace()
    letters.backend_tokenizer.normalizer = normalizers.NFD()
    letters.add_tokens(["\u1112\u1161"])
    assert cause(letters) == ("", "")


def test_reviews_in_decomposed_form_are_told_as_the_cause() -> None:
    """The tokenizer reads Korean; the files have Hangul as letters, as macOS writes it."""
    tokenizer = wordpiece()
    tokenizer.backend_tokenizer.normalizer = None
    apart = [unicodedata.normalize("NFD", text) for text in SENTENCES]
    share = unknown_share_of_texts(apart, tokenizer)
    assert share > 0.5
    with pytest.raises(ModelError, match="NFD") as caught:
        check_unknown(share, 0.2, "my/bert", tokenizer, apart)
    assert "unicodedata.normalize('NFC'" in caught.value.hint
    with pytest.raises(ModelError, match="龘") as caught:
        check_unknown(0.3, 0.2, "my/bert", tokenizer, ["龘"])
    assert "model list" in caught.value.hint


def test_without_a_cause_the_way_out_is_another_model() -> None:
    with pytest.raises(ModelError) as caught:
        check_unknown(0.25, 0.2, "my/model", wordpiece(), ["영화 龘"])
    assert "model.max_unknown" in caught.value.hint
    assert "龘" in caught.value.message


def test_counting_reads_no_lists_into_python() -> None:
    """300,000 rows whose lists would cost hundreds of megabytes are counted within a hundred."""
    script = (
        "import resource, numpy as np, pyarrow as pa\n"
        "from datasets import Dataset\n"
        "from core.unknown_tokens import unknown_share\n"
        "class Tokenizer:\n    unk_token_id = 1\n    all_special_ids = [0, 1, 2]\n"
        "values = pa.array(np.tile(np.arange(20, dtype=np.int32), 300_000))\n"
        "offsets = pa.array(np.arange(0, 6_000_001, 20, dtype=np.int32))\n"
        "tokens = Dataset(pa.table({'input_ids': pa.ListArray.from_arrays(offsets, values)}))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert unknown_share(tokens, Tokenizer()) == 1 / 18\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100
