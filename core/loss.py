"""The loss of a run: cross entropy that stays exact however an optimizer step is cut, with class weights.

Heavy: torch is imported on top; only what trains imports this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from core.errors import ConfigError
from core.i18n import gettext as _

CLASSES = 2
# Label of rows that only fill up a batch; the value that torch's cross entropy ignores by default.
IGNORED = -100


class ClassificationLoss:
    """Cross entropy over all reviews of an optimizer step, whatever the number of batches and devices it is cut into.

    transformers hands `num_items_in_batch` to models whose classification heads ignore it, and then takes their
    loss as already scaled: accumulation multiplies loss and gradient. Summing the reviews' losses here and dividing
    by the number of reviews is exact, the last, shorter step included.

    label_smoothing: share of the target that goes to all classes alike, as in `torch.nn.CrossEntropyLoss`.
    weights: a weight for each class (shape [2]), see `class_weights`; a review counts by its label's. Dividing by
        the number of reviews, not by their weights' sum, keeps a batch's share in the step independent of what
        other batches hold; it is an average still because the weights' mean over the train reviews is 1.

    Evaluation (logits without gradient) has neither, so that its loss can be compared between settings.
    """

    def __init__(self, label_smoothing: float = 0.0, weights: torch.Tensor | None = None) -> None:
        self.label_smoothing = label_smoothing
        self.weights = weights

    def __call__(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """The loss as a scalar, float32. `outputs` holds logits [N, 2], `labels` [N] with -100 for rows to ignore.

        `num_items_in_batch` counts the reviews of the whole step on all devices (as `Trainer` gives it); without it
        the mean over this batch is returned. A batch of ignored rows gives a zero with a gradient of zeros.
        """
        logits = (outputs["logits"] if isinstance(outputs, dict) else outputs[0]).float()
        total = self._sum(logits, labels)
        if num_items_in_batch is None:
            return total / (labels != IGNORED).sum().clamp(min=1)
        if not isinstance(num_items_in_batch, torch.Tensor):
            return total / max(num_items_in_batch, 1)
        # With DataParallel there is one count for each GPU, and Trainer multiplies the result by their number,
        # though this loss is over the logits gathered from all of them.
        count = num_items_in_batch.flatten()
        return total / (count[0] * count.numel()).clamp(min=1)

    def _sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        training = logits.requires_grad
        smoothing = self.label_smoothing if training else 0.0
        if self.weights is None or not training:
            return functional.cross_entropy(
                logits, labels, ignore_index=IGNORED, label_smoothing=smoothing, reduction="sum"
            )
        if self.weights.device != logits.device:
            self.weights = self.weights.to(logits.device)
        # torch's own `weight` would weigh the smoothed share by the other classes; here a review has one weight.
        losses = functional.cross_entropy(
            logits, labels, ignore_index=IGNORED, label_smoothing=smoothing, reduction="none"
        )
        return (losses * self.weights[labels.clamp(min=0)]).sum()


def class_weights(setting: str, labels: np.ndarray) -> torch.Tensor | None:
    """The weights [2] that `train.class_weights` means for the train split's `labels` (0 and 1), None for `none`.

    `balanced` is n / (2 · count of the class), as scikit-learn's `class_weight="balanced"` (King and Zeng, 2001);
    two numbers keep their ratio. Either way the weights' mean over `labels` is 1, so that the size of the loss, and
    with it the best learning rate, stays what it is without weights.
    Raises ConfigError when a class that needs a weight has no reviews, or all weights are zero.
    """
    if setting == "none":
        return None
    counts = np.bincount(np.asarray(labels), minlength=CLASSES)[:CLASSES]
    if setting == "balanced":
        if counts.min() == 0:
            raise ConfigError(
                _('train.class_weights = "balanced": the train split has only one class'),
                _("Look at data.label_column, data.negative_label and data.positive_label, or set it to none."),
                key="train.class_weights",
            )
        raw = counts.sum() / (CLASSES * counts)
    else:
        raw = np.array([float(part) for part in setting.split(",")])
    mean = float((raw * counts).sum()) / max(int(counts.sum()), 1)
    if mean <= 0:
        raise ConfigError(
            _("train.class_weights = {value!r} weighs every train review with zero").format(value=setting),
            _("Give two numbers of which at least one is above zero, such as 1, 2.5."),
            key="train.class_weights",
        )
    return torch.tensor(raw / mean, dtype=torch.float32)
