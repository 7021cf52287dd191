"""A text with words taken away: as inputs of the model, and what that does to a class. Needs torch, imported inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from core.errors import UsageError
from core.i18n import gettext as _
from core.inspector_batches import predict, probabilities
from core.word_edits import delete_words, moved_up

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import Inputs, LoadedModel, Subject
    from core.inspector_ops import Task

MODES = ("mask", "delete")


def mode_of(loaded: LoadedModel, mode: str | None) -> str:
    """How words are taken away: `mode`, or for None `mask` where the tokenizer has a mask token, else `delete`.

    Raises UsageError for another word, and for `mask` without a mask token.
    """
    if mode is None:
        return "delete" if loaded.mask_id is None else "mask"
    if mode not in MODES:
        raise UsageError(
            _("There is no mode {mode}.").format(mode=mode), _("One of: {methods}").format(methods=", ".join(MODES))
        )
    if mode == "mask" and loaded.mask_id is None:
        raise UsageError(_("The tokenizer has no mask token."), _("Delete the words instead."))
    return mode


def without(loaded: LoadedModel, subject: Subject, words: Iterable[int], mode: str) -> Inputs:
    """The inputs of `subject` without the words at these indexes.

    mask: each of their tokens becomes the mask token, so positions stay. delete: the text without them
    (`core.word_edits.delete_words`) in new tokens, cut to the same length. Words that are masked stay masked.
    """
    gone = set(words)
    if mode == "delete":
        rest = delete_words(subject.text, gone)
        return loaded.subject(rest, subject.max_length, moved_up(subject.masked, gone)).encoded.inputs
    assert loaded.mask_id is not None
    inputs = dict(subject.encoded.inputs)
    inputs["input_ids"] = [
        loaded.mask_id if word in gone else token
        for token, word in zip(inputs["input_ids"], subject.token_words, strict=True)
    ]
    return inputs


def predict_without(
    loaded: LoadedModel,
    subject: Subject,
    sets: Sequence[Iterable[int]],
    mode: str,
    task: Task,
    *,
    done: int = 0,
    total: int = 0,
) -> NDArray[np.float32]:
    """The logits (sets × classes) without each of `sets` of words. done, total: progress, as for `predict`."""
    return predict(loaded, [without(loaded, subject, words, mode) for words in sets], task, done=done, total=total)


def occlusion(
    loaded: LoadedModel, subject: Subject, target: int, task: Task, mode: str, of: str = "probability"
) -> NDArray[np.float64]:
    """For each word (W) how much the class's `probability` (or `logit`) falls without it; 0 for words not read.

    Zeiler & Fergus 2014, arXiv:1311.2901; Li et al. 2016, arXiv:1612.08220.
    """
    import numpy as np

    read = subject.read_words
    sets: list[tuple[int, ...]] = [(), *((word,) for word in read)]
    logits = predict_without(loaded, subject, sets, mode, task, total=len(sets))
    values = (probabilities(loaded, logits) if of == "probability" else logits.astype(np.float64))[:, target]
    weights = np.zeros(len(subject.encoded.words))
    weights[list(read)] = values[0] - values[1:]
    return weights


def spread(words: NDArray[np.float64], subject: Subject) -> NDArray[np.float64]:
    """Weights of words given to their tokens in equal parts (T); 0 for tokens of no word."""
    import numpy as np

    of_token = subject.token_words
    counts = np.bincount([word for word in of_token if word is not None], minlength=max(1, len(words)))
    return np.array([0.0 if word is None else words[word] / counts[word] for word in of_token], dtype=np.float64)
