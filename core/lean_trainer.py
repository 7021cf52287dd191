"""`Trainer` whose steps cost the host less: what only special devices, optimizers and wrappers need is left out.

Heavy: imported by the worker and what measures it.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer
from transformers.training_args import OptimizerNames

# Of accelerate's kinds of wrapping those that leave forward and backward as they are.
PLAIN = ("NO", "MULTI_GPU", "MULTI_CPU")


class LeanTrainer(Trainer):
    """`Trainer` with a short way through a step; where it would not be the same, the step is Trainer's own."""

    optimizer: Any
    lr_scheduler: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._learns: list[torch.nn.Parameter] | None = None
        self._counted: int | None = None

    def lean_step(self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Trainer's step without what only special devices, optimizers and wrappers need of it."""
        if not self._plain():
            return super().training_step(model, inputs, *args, **kwargs)
        # Wrapped for several processes, the wrapper is born training while weights that were loaded are not: theirs
        # counts, or a whole run goes without dropout.
        if not (model.training and self.model.training):
            model.train()
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs, False, *args, **kwargs)
        self.accelerator.backward(loss)
        return loss.detach()

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # Trainer looks for the end after a step: going on from the last one, it would train one too many.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _plain(self) -> bool:
        """Whether a step is forward, backward and nothing else."""
        args = self.args
        return (
            args.n_gpu <= 1
            and args.torch_empty_cache_steps is None
            and self.accelerator.distributed_type in PLAIN
            and getattr(self.accelerator, "parallelism_config", None) is None
            and args.optim not in (OptimizerNames.LOMO, OptimizerNames.ADALOMO)
            and not args.optim.startswith("schedule_free")
        )

    def _clip_grad_norm(self, model: torch.nn.Module) -> Any:
        if self.accelerator.distributed_type != "NO" or self.accelerator.scaler is not None:
            return super()._clip_grad_norm(model)
        return torch.nn.utils.clip_grad_norm_(self.learning(model), self.args.max_grad_norm)

    def learning(self, model: torch.nn.Module) -> list[torch.nn.Parameter]:
        """The parameters that learn; looked for once, walking through the modules costs as much as the norm itself."""
        if self._learns is None:
            self._learns = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return self._learns

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Trainer's estimate, 6 × tokens × parameters outside the embeddings; these are counted once."""
        if self._counted is None:
            model: Any = self.accelerator.unwrap_model(self.model)
            self._counted = int(model.num_parameters(exclude_embeddings=True))
        return 6 * int(inputs["input_ids"].numel()) * self._counted
