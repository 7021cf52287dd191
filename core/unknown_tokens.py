"""How much of the text a tokenizer does not know, and refusing one that does not read Korean.

Heavy: pyarrow and numpy are imported inside; works on loaded tokenizers of transformers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import ModelError
from core.i18n import gettext as _

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

BATCH = 20_000
# Taken apart by accent stripping and put together again by NFC; upper case as well, for lower-casing.
PROBE = "영화가 A"
_SYLLABLE = re.compile("[가-힣]")
_JAMO = re.compile("[\u1100-\u11ff]")


def _share(ids: np.ndarray, tokenizer: Any) -> tuple[int, int]:
    """(unknown tokens, tokens that stand for text) among `ids`."""
    import numpy as np

    unknown = int(np.count_nonzero(ids == tokenizer.unk_token_id))
    added = np.array([number for number in tokenizer.all_special_ids if number != tokenizer.unk_token_id], ids.dtype)
    return unknown, int(ids.size - np.count_nonzero(np.isin(ids, added)))


def unknown_share(tokens: Dataset, tokenizer: Any) -> float:
    """The share of unknown tokens in `tokens` (a column `input_ids`), from 0 to 1.

    Counted over the tokens that stand for text, so that `[CLS]` and `[SEP]` of short reviews do not dilute it. Read
    as Arrow in batches of reviews: no Python lists. 0 for a tokenizer without an unknown token, and without tokens.
    """
    import pyarrow.compute as pc

    if tokenizer.unk_token_id is None:
        return 0.0
    unknown = total = 0
    for table in tokens.select_columns("input_ids").with_format("arrow").iter(batch_size=BATCH):
        for chunk in table.column("input_ids").chunks:
            found, counted = _share(pc.list_flatten(chunk).to_numpy(zero_copy_only=False), tokenizer)
            unknown += found
            total += counted
    return unknown / total if total else 0.0


def unknown_share_of_texts(texts: Iterable[str], tokenizer: Any) -> float:
    """The same for a few raw `texts`."""
    import numpy as np

    if tokenizer.unk_token_id is None:
        return 0.0
    rows = tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
    unknown, total = _share(np.array([number for row in rows for number in row], dtype=np.int64), tokenizer)
    return unknown / total if total else 0.0


def normalized(tokenizer: Any, text: str) -> str | None:
    """What the tokenizer's normalizer makes of `text`; None when it has no backend to ask."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    return text if backend.normalizer is None else str(backend.normalizer.normalize_str(text))


def cause(tokenizer: Any) -> tuple[str, str]:
    """Why `tokenizer` does not know Korean and the way out, each a sentence; empty when it cannot be told.

    Found in what it does: its normalizer applied to a probe, and the letters of its vocabulary.
    """
    vocabulary = tokenizer.get_vocab()
    made = normalized(tokenizer, PROBE)
    apart = made is not None and bool(_JAMO.search(made)) and not _SYLLABLE.search(made)
    if apart and not any(_JAMO.search(piece) for piece in vocabulary):
        assert made is not None
        if unicodedata.normalize("NFC", made) == PROBE.lower():
            return (
                _("It lower-cases and strips accents, which takes Hangul syllables apart (google-research/bert#228)."),
                _('Save it with "do_lower_case": false in tokenizer_config.json, or take a cased model.'),
            )
        return (
            _("It decomposes Hangul syllables (NFD), and its vocabulary has whole ones."),
            _("Save it with a normalizer that composes (NFC), or take another model."),
        )
    if not any(_SYLLABLE.search(piece) or _JAMO.search(piece) for piece in vocabulary):
        return (
            _("Its vocabulary has no Hangul."),
            _("Choose a model that reads Korean: `nsmc-tui model list`."),
        )
    return "", ""


def decomposed(texts: Sequence[str], tokenizer: Any) -> tuple[str, str]:
    """The same for reviews that are to blame and not the tokenizer: Hangul in letters (NFD), as macOS names files."""
    whole = [unicodedata.normalize("NFC", text) for text in texts]
    if whole == list(texts):
        return "", ""
    if unknown_share_of_texts(whole, tokenizer) > unknown_share_of_texts(texts, tokenizer) / 2:
        return "", ""
    return (
        _("The reviews have their Hangul syllables taken apart (NFD), and its vocabulary has whole ones."),
        _(
            'Write the files in composed form: `python3 -c "import sys, unicodedata; '
            "sys.stdout.write(unicodedata.normalize('NFC', sys.stdin.read()))\" < OLD > NEW`."
        ),
    )


def example(texts: Iterable[str], tokenizer: Any) -> tuple[str, str]:
    """The first of `texts` with an unknown token, and its pieces in a row; empty texts when there is none."""
    for text in texts:
        ids = tokenizer(text, truncation=False, add_special_tokens=False, verbose=False)["input_ids"]
        if tokenizer.unk_token_id in ids:
            return text, " ".join(tokenizer.convert_ids_to_tokens(ids))
    return "", ""


def check_unknown(share: float, limit: float, name: str, tokenizer: Any = None, texts: Sequence[str] = ()) -> None:
    """Refuse a tokenizer of model `name` whose `share` of unknown tokens is above `limit` (`model.max_unknown`).

    Raises ModelError with the share; given the `tokenizer`, with the cause where it shows, and given some `texts`
    (a few hundred train reviews do), with the first review that is not understood.
    """
    if share <= limit:
        return
    message = [
        _("the tokenizer of {name} does not know {share:.1%} of the train tokens ({limit:.0%} are allowed).").format(
            name=name, share=share, limit=limit
        )
    ]
    hint = ""
    if tokenizer is not None:
        reason, hint = cause(tokenizer)
        if not reason and texts:
            reason, hint = decomposed(texts, tokenizer)
        if reason:
            message.append(reason)
        text, pieces = example(texts, tokenizer)
        if text:
            message.append(_("For example “{text}” becomes {pieces}.").format(text=text, pieces=pieces))
    raise ModelError(
        " ".join(message),
        hint or _("Choose a model that reads Korean (`nsmc-tui model list`), or raise model.max_unknown to take it."),
    )
