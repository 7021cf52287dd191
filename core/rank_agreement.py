"""How alike two rankings are: Spearman's ρ and Kendall's τ-b, with ties. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def ranks(values: ArrayLike) -> NDArray[np.float64]:
    """The rank of each of `values` from 1, the smallest; equal ones share the mean of their ranks."""
    import numpy as np

    _unique, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse.reshape(-1)]
    return shared


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's ρ: the correlation of the ranks. nan for fewer than two values or where all of one side are equal."""
    import numpy as np

    first, second = ranks(one), ranks(other)
    if len(first) < 2:
        return float("nan")
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float("nan") if scale == 0 else float(np.clip(first @ second / scale, -1, 1))


def kendall(one: ArrayLike, other: ArrayLike) -> float:
    """Kendall's τ-b (Kendall 1945, "The treatment of ties in ranking problems"); nan as for `spearman`.

    Pairs in the same order less pairs in the opposite one, over the geometric mean of the pairs that are not tied on
    either side.
    """
    import numpy as np

    first, second = np.asarray(one), np.asarray(other)
    if len(first) < 2:
        return float("nan")
    above = np.triu_indices(len(first), 1)
    signs = np.sign(first[above[0]] - first[above[1]]), np.sign(second[above[0]] - second[above[1]])
    scale = float(np.sqrt(np.count_nonzero(signs[0]) * float(np.count_nonzero(signs[1]))))
    return float("nan") if scale == 0 else float(np.clip((signs[0] * signs[1]).sum() / scale, -1, 1))


def agreement(
    weights: NDArray[np.floating[Any]], signed: Sequence[bool]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """ρ, τ-b and "were signed weights ranked" for each pair of M methods; `weights` is M × words.

    Weights of two signed methods are ranked as they are; where one method knows no sign, magnitudes are, or what
    speaks against the class would count as unimportant on one side and as important on the other.
    """
    import numpy as np

    count = len(weights)
    rho, tau = np.full((count, count), np.nan), np.full((count, count), np.nan)
    both = np.array([[one and other for other in signed] for one in signed], dtype=bool).reshape(count, count)
    magnitudes = np.abs(weights)
    for i in range(count):
        for j in range(count):
            one, other = (weights[i], weights[j]) if both[i, j] else (magnitudes[i], magnitudes[j])
            rho[i, j], tau[i, j] = spearman(one, other), kendall(one, other)
    return rho, tau, both
