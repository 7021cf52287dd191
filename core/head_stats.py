"""One number for each head: how it spreads its attention. For the overview of layers × heads. Needs numpy only.

Each is a mean over all asking tokens (rows), as in Clark et al. 2019, arXiv:1906.04341, but for the agreement with the
gradient, which is of the row that the classifier reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.i18n import N_
from core.rank_agreement import spearman

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Stat:
    """A number about a head. title, help: English source texts for gettext. low, high: its range; high None: open."""

    name: str
    title: str
    help: str
    low: float
    high: float | None


STATS: dict[str, Stat] = {
    stat.name: stat
    for stat in (
        Stat("entropy", N_("entropy"), N_("0: one token gets all; 1: all tokens get the same"), 0, 1),
        Stat("first", N_("first token"), N_("share that goes to the first token"), 0, 1),
        Stat("separators", N_("separators"), N_("share that goes to the other added tokens, such as [SEP]"), 0, 1),
        Stat("neighbours", N_("neighbours"), N_("share that goes to the token before and the token after"), 0, 1),
        Stat("distance", N_("distance"), N_("mean distance in tokens to where it looks"), 0, None),
        Stat(
            "gradient",
            N_("gradient agreement"),
            N_("rank correlation of what the classifier's token looks at with |gradient × input|"),
            -1,
            1,
        ),
    )
}
"""All numbers by name, in the order to show them."""


def head_stats(
    attention: NDArray[np.floating[Any]],
    special: Sequence[bool],
    query: int | None = 0,
    gradient: NDArray[np.floating[Any]] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """The STATS of `attention` (layers × heads × T × T), each layers × heads.

    special: T, whether the tokenizer added the token. query: index of the token that the classifier reads, None for
    the mean of all rows. gradient: T, gradient × input, whose magnitude is ranked on the tokens of the text; None
    leaves `gradient` out. entropy is divided by log T. nan where a number has no meaning.
    """
    import numpy as np

    weights = attention.astype(np.float64)
    size = weights.shape[-1]
    places = np.arange(size)
    apart = np.abs(places[:, None] - places[None, :])
    added = np.asarray(special, dtype=bool).copy()
    added[:1] = False
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(weights > 0, np.log(weights), 0.0)
    entropy = -(weights * logs).sum(-1).mean(-1)
    found = {
        "entropy": entropy / np.log(size) if size > 1 else np.full(weights.shape[:2], np.nan),
        "first": weights[..., 0].mean(-1),
        "separators": weights[..., added].sum(-1).mean(-1),
        "neighbours": (weights * (apart == 1)).sum(-1).mean(-1),
        "distance": (weights * apart).sum(-1).mean(-1),
    }
    if gradient is not None:
        of_text = ~np.asarray(special, dtype=bool)
        rows = weights.mean(axis=-2) if query is None else weights[..., query, :]
        magnitude = np.abs(gradient)[of_text]
        chosen = rows[..., of_text]
        found["gradient"] = np.array([[spearman(head, magnitude) for head in layer] for layer in chosen])
    return found
