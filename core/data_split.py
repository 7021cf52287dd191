"""The dev split: which train reviews models are selected on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import DataError
from core.i18n import gettext as _
from core.i18n import ngettext

if TYPE_CHECKING:
    import numpy as np

SPLIT_VERSION = 1
"""Raise it when the same reviews and seed would be split otherwise."""


def dev_rows(groups: np.ndarray, labels: np.ndarray, dev_size: float, seed: int) -> np.ndarray:
    """A boolean mask (one per row) of the rows that go to dev.

    `groups` numbers each row's text (equal texts, equal numbers 0…), `labels` is 0 or 1 per row. `dev_size` is a
    share below 1, else a number of rows. The rows are stratified by label, a group is never divided, and the
    result depends on nothing but the arguments. Raises DataError when nothing would be left to train on.
    """
    import numpy as np

    rows = len(labels)
    mask = np.zeros(rows, dtype=bool)
    wanted = round(rows * dev_size) if dev_size < 1 else int(dev_size)
    if wanted == 0:
        return mask
    if wanted >= rows:
        raise DataError(
            ngettext(
                "data.dev_size = {size} takes the {rows} train review",
                "data.dev_size = {size} takes all {rows} train reviews",
                rows,
            ).format(size=dev_size, rows=rows),
            _("make data.dev_size smaller"),
        )
    n_groups = int(groups.max()) + 1
    positive = round(wanted * int(labels.sum()) / rows)
    room = [wanted - positive, positive]
    ones = np.bincount(groups, weights=labels, minlength=n_groups).astype(np.int64)
    zeros = np.bincount(groups, minlength=n_groups) - ones
    order = np.argsort(_scramble(np.arange(n_groups, dtype=np.uint64), seed), kind="stable")
    chosen = np.zeros(n_groups, dtype=bool)
    for group, zero, one in zip(order.tolist(), zeros[order].tolist(), ones[order].tolist(), strict=True):
        if zero <= room[0] and one <= room[1]:
            chosen[group] = True
            room[0] -= zero
            room[1] -= one
            if room == [0, 0]:
                break
    return chosen[groups]


def _scramble(values: np.ndarray, seed: int) -> np.ndarray:
    """splitmix64 of uint64 `values` and `seed`: the same on every machine and in every numpy, unlike its generators."""
    import numpy as np

    with np.errstate(over="ignore"):
        mixed = values + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
