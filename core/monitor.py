"""Who watches a run's training: what a `ReviewTrainer` tells of itself besides Trainer's own callbacks. Light."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from core.trainer import ReviewTrainer


class Monitor(Protocol):
    """The listener of one `ReviewTrainer`.

    keep: what checkpoints keep besides, by name. evaluation_due: whether the newest step was to be evaluated, stop or
    no stop.
    """

    keep: dict[str, Any]
    evaluation_due: bool

    @property
    def stopping(self) -> bool:
        """Whether the user has stopped the run: then its last checkpoint is all that it has."""

    def after_step(self, trainer: ReviewTrainer, grad_norm: Any, learning_rate: float | None) -> None:
        """An optimizer step is done, and the flags of `trainer.control` are settled."""

    def scored(self, step: int, logits: np.ndarray) -> None:
        """The dev split was predicted after `step`: logits (N × 2) in its order, on every rank."""

    def alert(self, level: str, code: str, message: str, hint: str = "") -> None:
        """Something the user should know."""

    def lost(self, step: int) -> None:
        """The weights after `step` are no longer numbers, and are not saved. Raises where that ends the run."""
