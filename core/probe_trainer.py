"""A run's own Trainer over batches of our choice, with a clock: what `core.forecast_probe` measures with.

Heavy: imported by the forecast's process only.
"""

from __future__ import annotations

import copy
import itertools
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from core.batches import longest_first
from core.config import RunConfig
from core.memory import Peaks
from core.preparation import Prepared
from core.training import build_trainer, predict_logits
from core.training_data import lengths

# A CUDA context and the libraries in it take some hundred MB; more is somebody else's.
MOST_CONTEXT = 1 << 30


class FixedBatches:
    """A batch sampler that gives these batches (row numbers) in this order."""

    def __init__(self, batches: list[list[int]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


class Clock(TrainerCallback):
    """Marks the end of each optimizer step, or the bounds of evaluation batches.

    On a GPU the marks are CUDA events: waiting for the device after each step would keep it from being fed ahead,
    as a run feeds it.
    """

    def __init__(self) -> None:
        self.marks: list[Any] = []
        self.warm = 0
        self.enough: Callable[[int, float], bool] = lambda done, passed: False
        self.tell: Callable[[int], None] = lambda done: None
        self._begun = 0.0

    def prepare(self, warm: int, enough: Callable[[int, float], bool], tell: Callable[[int], None]) -> None:
        """Begin anew: `warm` marks do not count; `enough(measured, seconds)` ends training; `tell` hears of each."""
        self.marks, self.warm, self.enough, self.tell = [], warm, enough, tell

    def _mark(self) -> int:
        if torch.cuda.is_initialized():
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(time.perf_counter())
        done = len(self.marks) - self.warm
        if done == 0:
            self._begun = time.perf_counter()
        self.tell(max(done, 0))
        return done

    def seconds(self) -> list[float]:
        """The time of each step after the warm ones."""
        marks = self.marks[self.warm - 1 :]
        if marks and not isinstance(marks[0], float):
            torch.cuda.synchronize()
            return [first.elapsed_time(second) / 1000 for first, second in itertools.pairwise(marks)]
        return [second - first for first, second in itertools.pairwise(marks)]

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Mark an optimizer step."""
        done = self._mark()
        if done > 0 and self.enough(done, time.perf_counter() - self._begun):
            control.should_training_stop = True
        return control

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Mark the beginning of an evaluation batch, and the end of the last."""
        self._mark()


class ProbeTrainer:
    """The Trainer of a prepared run, the batches it would take, and the means to have it take some of them.

    batches: the first epoch's, each the row numbers of one device's batch. costs: their tokens with padding.
    """

    def __init__(self, config: RunConfig, prepared: Prepared) -> None:
        self.config = config
        self.prepared = prepared
        self.clock = Clock()
        self._gpu = torch.cuda.is_available() and not prepared.arguments.use_cpu
        if self._gpu:
            torch.cuda.reset_peak_memory_stats()
        self._peaks = Peaks()
        quiet = config.model_copy(deep=True)
        # Neither can do without evaluations, and the probe has none.
        quiet.train.early_stopping_patience = 0
        quiet.train.load_best_model_at_end = False
        self.trainer = build_trainer(
            quiet,
            _without_company(prepared.arguments),
            prepared.model,
            prepared.tokenizer,
            prepared.tokens["train"],
            prepared.tokens["dev"],
            [self.clock],
        )
        self._loader = self.trainer.get_train_dataloader()
        self.batches = [list(batch) for batch in self.trainer.batch_plan]
        self._lengths = lengths(prepared.tokens["train"])
        self.costs = _costs(self.batches, self._lengths)
        self._evaluated: dict[str, tuple[list[np.ndarray], np.ndarray]] = {}

    # -- the steps of an epoch --------------------------------------------------------------------------------

    def _steps(self) -> np.ndarray:
        """Row i: the batches of step i. A shorter last step is left out, it hardly counts."""
        size = self.prepared.arguments.gradient_accumulation_steps
        whole = len(self.batches) // size
        if whole == 0:
            return np.resize(np.arange(len(self.batches)), (1, size))
        return np.arange(whole * size).reshape(whole, size)

    def step_costs(self) -> np.ndarray:
        """Tokens of each step of an epoch, padding included."""
        return self.costs[self._steps()].sum(axis=1)

    def step_peaks(self) -> np.ndarray:
        """Tokens of the largest batch of each step: what its memory depends on."""
        return self.costs[self._steps()].max(axis=1)

    def train(
        self,
        chosen: list[int],
        warm: int,
        enough: Callable[[int, float], bool],
        tell: Callable[[int], None],
    ) -> list[float]:
        """Take the chosen steps in order and return the seconds of each after the first `warm`."""
        batches = [self.batches[number] for step in chosen for number in self._steps()[step]]
        loader = self._over(batches)
        self.trainer.get_train_dataloader = lambda: loader  # type: ignore[method-assign]
        self.trainer.args.max_steps = len(chosen)
        self.clock.prepare(warm, enough, tell)
        self.trainer.train()
        return self.clock.seconds()

    def _over(self, batches: list[list[int]]) -> DataLoader:
        """The run's own loader, but over `batches`."""
        like, arguments = self._loader, self.trainer.args
        return DataLoader(
            like.dataset,
            batch_sampler=FixedBatches(batches),
            collate_fn=like.collate_fn,
            num_workers=arguments.dataloader_num_workers,
            pin_memory=arguments.dataloader_pin_memory,
            prefetch_factor=arguments.dataloader_prefetch_factor,
        )

    # -- evaluation -------------------------------------------------------------------------------------------

    def _evaluation(self, split: str) -> tuple[list[np.ndarray], np.ndarray]:
        """A split's evaluation batches (row numbers, longest first) and their tokens, padding included."""
        if split not in self._evaluated:
            sizes = lengths(self.prepared.tokens[split])
            batches = longest_first(sizes, self.prepared.arguments.eval_batch_size)
            self._evaluated[split] = batches, _costs(batches, sizes)
        return self._evaluated[split]

    def evaluation_costs(self, split: str) -> np.ndarray:
        """Tokens of each evaluation batch of a split, padding included; empty for an empty split."""
        return self._evaluation(split)[1]

    def largest_evaluated(self) -> str | None:
        """The split with most reviews among those that the run evaluates; None when it evaluates none."""
        splits = {*self.config.evaluate.splits, *(["dev"] if self.config.train.eval_strategy != "no" else [])}
        sizes = {split: len(self.prepared.tokens[split]) for split in sorted(splits)}
        largest = max(sizes, key=lambda split: sizes[split], default=None)
        return largest if largest is not None and sizes[largest] else None

    def evaluate(self, split: str, chosen: list[int], tell: Callable[[int], None]) -> list[float]:
        """Predict the chosen evaluation batches (rising numbers) after the longest one; the seconds of each of them.

        A split of nothing but these is predicted as any split is: longest first, which is the order of their numbers.
        """
        batches, _tokens = self._evaluation(split)
        if len(batches) == 1:
            # Twice its reviews might still be one batch: it is predicted twice, and the second time counts.
            for _time in range(2):
                self.clock.prepare(1, lambda done, passed: False, tell)
                predict_logits(self.trainer, self.prepared.tokens[split], "probe")
            return self.clock.seconds() * len(chosen)
        rows = np.concatenate([batches[0], *(batches[number] for number in chosen)])
        # Marks stand before each batch and after the last: the first interval is the warm-up's.
        self.clock.prepare(2, lambda done, passed: False, tell)
        predict_logits(self.trainer, self.prepared.tokens[split].select(rows), "probe")
        return self.clock.seconds()

    # -- memory -----------------------------------------------------------------------------------------------

    def parameters(self) -> tuple[int, int]:
        """All parameters, and those that training changes."""
        all_of_them = list(self.prepared.model.parameters())
        return sum(p.numel() for p in all_of_them), sum(p.numel() for p in all_of_them if p.requires_grad)

    def weight_bytes(self) -> int:
        """Bytes of the model's weights and buffers."""
        model = self.prepared.model
        return sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))

    def gradient_bytes(self) -> int:
        """Bytes of the gradients: one for each trainable parameter, in its type."""
        return sum(p.numel() * p.element_size() for p in self.prepared.model.parameters() if p.requires_grad)

    def optimizer_bytes(self) -> int:
        """Bytes of the optimizer's states as the probe made them; an estimate of two (Adam) when it made none."""
        optimizer = self.trainer.optimizer
        states = optimizer.state.values() if optimizer is not None else ()
        held = sum(
            value.numel() * value.element_size()
            for state in states
            for value in state.values()
            if isinstance(value, torch.Tensor)
        )
        return held or 2 * self.gradient_bytes()

    def peak(self, free_before: int) -> tuple[int, int | None, int]:
        """Bytes: the probe's peak, what torch had reserved for it (None on the CPU), the CUDA context beside it.

        The peak is that of steps and evaluations, each of which has it counted anew; on the CPU the process's.
        The context is what is gone of `free_before` and not torch's; others on the GPU may move it, within bounds.
        """
        peaks = self._peaks.note()
        if not self._gpu:
            # Kilobytes, but bytes on macOS (getrusage(2)), which has no /proc, nor a peak that is counted anew.
            unit = 1 if sys.platform == "darwin" else 1024
            return peaks.rss or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, None, 0
        free_now = torch.cuda.mem_get_info()[0]
        context = min(max(0, free_before - free_now - torch.cuda.memory_reserved()), MOST_CONTEXT)
        return peaks.gpu, peaks.reserved, context

    def parts(self) -> int:
        """In how many parts the longest batches had to be taken: 1 when they fitted."""
        return int(self.trainer.parts)

    def device_name(self) -> str:
        """The device's name for people."""
        return torch.cuda.get_device_name() if self._gpu else "CPU"


def _costs(batches: Sequence[Any], sizes: np.ndarray) -> np.ndarray:
    return np.array([int(sizes[batch].max()) * len(batch) for batch in batches], dtype=np.int64)


def _without_company(arguments: TrainingArguments) -> TrainingArguments:
    """The run's arguments without evaluations, checkpoints, logs and reports; all that makes a step stays."""
    quiet = copy.copy(arguments)
    quiet.eval_strategy = IntervalStrategy.NO
    quiet.save_strategy = SaveStrategy.NO
    quiet.logging_strategy = IntervalStrategy.NO
    quiet.load_best_model_at_end = False
    quiet.push_to_hub = False
    quiet.report_to = []
    return quiet
