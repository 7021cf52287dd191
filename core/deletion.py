"""The deletion check: does taking away the words of highest weight move the answer more than random words do?

DeYoung et al. 2020, arXiv:1911.03429 (comprehensiveness), by number of words as in Samek et al. 2017, arXiv:1509.06321.
A faithful method has its curve well below that of random words. Torch is imported inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.attribution_occlusion import predict_without
from core.inspector_batches import probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.inspector_models import LoadedModel, Subject
    from core.inspector_ops import Task


def highest_first(words: NDArray[np.float64], read: tuple[int, ...], most: int) -> list[int]:
    """The `most` words of highest weight, the highest first; of equal ones the one that stands first."""
    return sorted(read, key=lambda word: (-words[word], word))[:most]


def deletion(
    loaded: LoadedModel,
    subject: Subject,
    target: int,
    weights: list[NDArray[np.float64] | None],
    mode: str,
    task: Task,
    most: int,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Curves of the class's probability for each of M methods' weights (one a word), and for random words.

    K = the lesser of `most` and the words read. Gives `probability` (all words) and the arrays `order` (M × K, -1 for
    a method without weights), `curves` (M × K, nan for those), `random`, `random_sd` (K), `areas` (M) and
    `random_area` as `core.inspector_answers.Deletion` tells them. `mode` as for `attribution_occlusion.without`.
    """
    import numpy as np

    read = subject.read_words
    size = max(0, min(most, len(read)))
    shuffled = np.random.default_rng(seed)
    random_orders = [[read[n] for n in shuffled.permutation(len(read))[:size]] for _draw in range(draws)]
    orders: list[list[int] | None] = [None if words is None else highest_first(words, read, size) for words in weights]
    sets: list[tuple[int, ...]] = [()]
    for order in (*random_orders, *orders):
        # Sorted, so that the same words taken away in another order are the same question.
        sets += [tuple(sorted(order[:count])) for count in range(1, size + 1)] if order is not None else []
    logits = predict_without(loaded, subject, sets, mode, task, total=len(sets))
    values = probabilities(loaded, logits)[:, target]
    whole, curves = float(values[0]), values[1:].reshape(-1, size) if size else np.empty((0, 0))
    drawn, given = curves[:draws], list(curves[draws:])
    found = np.full((len(weights), size), np.nan)
    taken = np.full((len(weights), size), -1, dtype=np.int64)
    for number, order in enumerate(orders):
        if order is not None and size:
            found[number], taken[number] = given.pop(0), order
    empty = not size or not draws
    return {
        "probability": whole,
        "order": taken,
        "curves": found,
        "random": np.full(size, np.nan) if empty else drawn.mean(axis=0),
        "random_sd": np.full(size, np.nan) if empty else drawn.std(axis=0),
        "areas": np.full(len(weights), np.nan) if not size else (whole - found).mean(axis=1),
        "random_area": None if empty else float(whole - drawn.mean()),
    }
