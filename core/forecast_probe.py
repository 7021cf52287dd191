"""The heavy part of a forecast: the run prepared as it would be, and some of its steps taken by its own Trainer.

Heavy: imported by the forecast's process only.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import checkpoints
from core import forecast_plan as plan
from core.config import RunConfig
from core.device import Nvml, visible_gpus
from core.errors import DataError, OutOfMemoryError
from core.failures import explain
from core.forecast import Caution, DataFigures, Disk, Forecast, LengthRow, Memory, Parameters, Seconds, Steps
from core.forecast_warnings import cautions
from core.host import Host
from core.i18n import gettext as _
from core.processes import process_rss

if TYPE_CHECKING:
    import numpy as np

    from core.preparation import Prepared

STRATA = 20
WARMUP_STEPS = 3
# Quick steps are tried again until the probe has run this long: twenty of them say little.
ENOUGH_SECONDS = 5.0
MOST_ROUNDS = 10
LENGTHS = (32, 48, 64, 96, 128, 256)
CHUNK = 10_000


class Phases:
    """Passes preparation's progress on and adds up the time of what the next start finds in the cache."""

    def __init__(self, progress: Callable[[str, int, int], None]) -> None:
        self._progress = progress
        self._last = time.monotonic()
        self._phase = ""
        self.cached_later = 0.0
        self.cautions: list[Caution] = []

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Take one report of progress."""
        now = time.monotonic()
        if self._phase in ("loading", "tokenizing") and (total > 0 or self._phase == "tokenizing"):
            self.cached_later += now - self._last
        self._last, self._phase = now, phase
        self._progress(phase, done, total)

    def alert(self, level: str, code: str, message: str, hint: str = "") -> None:
        """Keep what preparation warns of."""
        if level != "info":
            self.cautions.append(Caution(code, message, hint))


@dataclass(frozen=True)
class Tried:
    """What the probe found: seconds of a step and of an evaluation batch by cost; None when memory ran out."""

    step: float
    measured: int
    evaluation: Callable[[np.ndarray], float]


def measure(config: RunConfig, directory: Path, runs: Path, progress: Callable[[str, int, int], None]) -> Forecast:
    """The forecast of `config`, made in this process; `directory` takes what is written meanwhile.

    Raises DataError, ModelError, ConfigError or OfflineError for a run that could not start.
    """
    return _Measurement(config, directory, runs, progress).run()


class _Measurement:
    def __init__(
        self, config: RunConfig, directory: Path, runs: Path, progress: Callable[[str, int, int], None]
    ) -> None:
        self.config = config
        self.directory = directory
        self.runs = runs
        self.progress = progress
        self.processes = config.launch.processes * config.launch.nodes

    def run(self) -> Forecast:
        """All of it, in the order of a run."""
        free = _gpu_memory(self.config)
        host = _host_memory()
        progress = self.progress
        progress("loading", 0, 0)
        import psutil
        import torch
        import transformers  # noqa: F401 - a part of every start, not of what a cache saves

        from core import training  # noqa: F401
        from core.preparation import Preparation
        from core.probe_trainer import ProbeTrainer

        phases = Phases(progress)
        prepared = Preparation(self.config, self.directory, phases, phases.alert).run()
        start = time.time() - psutil.Process().create_time() - phases.cached_later
        if len(prepared.tokens["train"]) == 0:
            raise DataError(_("there are no train reviews"), _("`nsmc-tui data check` shows what is in the data."))
        if prepared.arguments.device.type != "cuda":
            free = host
        elif free is None:
            free = torch.cuda.mem_get_info()
        probe = ProbeTrainer(self.config, prepared)
        progress("counting", 0, 0)
        data = data_figures(prepared, probe.batches, probe.costs)
        steps = self._steps(prepared, probe)
        tried, failure = None, None
        try:
            tried = self._try(probe)
        except Exception as error:
            reason = explain(error, self.config.train.per_device_train_batch_size)
            if not isinstance(reason, OutOfMemoryError):
                raise
            failure = Caution("memory", reason.message, reason.hint)
        memory = self._memory(probe, free, tried is not None)
        saves = self._occasions("save", prepared, steps)
        seconds = None if tried is None else self._seconds(tried, probe, prepared, steps, start, saves)
        forecast = Forecast(
            Parameters(*probe.parameters()), data, steps, memory, seconds, self._disk(memory, prepared, saves)
        )
        if probe.parts() > 1:
            failure = Caution(
                "memory",
                _("the longest batches do not fit and are taken in {parts} parts").format(parts=probe.parts()),
                _("The result stays the same, steps take longer; the time counts that."),
            )
        found = cautions(forecast, self.config) + phases.cautions
        return forecast.with_warnings([*found, *([failure] if failure else [])])

    def _occasions(self, what: str, prepared: Prepared, steps: Steps) -> int:
        arguments = prepared.arguments
        strategy = str(getattr(arguments, f"{what}_strategy").value)
        if strategy == "best":
            # At most: a save for each evaluation that finds a better model.
            return self._occasions("eval", prepared, steps)
        delay = float(arguments.eval_delay or 0) if what == "eval" else 0.0
        interval = getattr(arguments, f"{what}_steps")
        if what == "eval" and len(prepared.tokens["dev"]) == 0:
            return 0
        return plan.occasions(strategy, interval, steps.total, steps.planned, steps.per_epoch, delay)

    def _steps(self, prepared: Prepared, probe: Any) -> Steps:
        arguments, config = prepared.arguments, self.config
        accumulation = arguments.gradient_accumulation_steps
        per_epoch = plan.steps_in_epoch(len(probe.batches), self.processes, accumulation)
        total = arguments.max_steps if arguments.max_steps > 0 else math.ceil(arguments.num_train_epochs * per_epoch)
        per_device = (
            sum(map(len, probe.batches)) / len(probe.batches)
            if config.train.max_tokens
            else float(arguments.train_batch_size)
        )
        return Steps(
            total=total,
            planned=plan.planned_steps(config, total, per_epoch),
            per_epoch=per_epoch,
            warmup=arguments.get_warmup_steps(total),
            batch_per_device=per_device,
            accumulation=accumulation,
            processes=config.launch.processes,
            nodes=config.launch.nodes,
            effective_batch=per_device * accumulation * self.processes,
        )

    def _try(self, probe: Any) -> Tried:
        """Time steps and evaluation batches."""
        import numpy as np

        costs = probe.step_costs()
        chosen = plan.strata(costs, STRATA, MOST_ROUNDS, self.config.train.seed)
        round_size = min(STRATA, len(costs))
        # The longest come first: they need the most memory, and a lack of it shows at once.
        longest = np.argsort(-probe.step_peaks(), kind="stable")[: WARMUP_STEPS - 1].tolist()
        warm = [*longest, *chosen[: WARMUP_STEPS - len(longest)]]
        seconds = probe.train(
            [*warm, *chosen],
            len(warm),
            # A whole number of rounds: otherwise the strata would not count alike.
            lambda done, passed: done % round_size == 0 and done >= STRATA and passed >= ENOUGH_SECONDS,
            lambda done: self.progress("probing", done, len(chosen)),
        )
        tried = np.array(chosen[: len(seconds)])
        step = plan.expected_seconds(costs[tried], np.array(seconds), costs)
        return Tried(step, len(seconds), self._try_evaluation(probe, step / max(float(costs.mean()), 1.0)))

    def _try_evaluation(self, probe: Any, per_token: float) -> Callable[[np.ndarray], float]:
        import numpy as np

        split = probe.largest_evaluated()
        if split is None:
            return lambda costs: 0.0
        costs = probe.evaluation_costs(split)
        # A forward pass is about a third of a step; enough rounds for a second or so.
        wanted = 1.5 / max(per_token / 3 * float(costs.mean()) * min(STRATA, len(costs)), 1e-6)
        rounds = int(np.clip(math.ceil(wanted), 1, MOST_ROUNDS))
        drawn = plan.strata(costs, STRATA, rounds, self.config.train.seed)
        size = len(drawn) // rounds
        chosen: list[int] = []
        seconds: list[float] = []
        for begin in range(0, len(drawn), size):
            part = sorted(drawn[begin : begin + size])
            self.progress("probing", begin, len(drawn))
            chosen += part
            seconds += probe.evaluate(split, part, lambda done: None)
        return lambda others: plan.expected_seconds(costs[chosen], np.array(seconds), others)

    def _seconds(self, tried: Tried, probe: Any, prepared: Prepared, steps: Steps, start: float, saves: int) -> Seconds:
        def whole(split: str) -> float:
            costs = probe.evaluation_costs(split)
            return tried.evaluation(costs) * math.ceil(len(costs) / self.processes) if len(costs) else 0.0

        evaluations = self._occasions("eval", prepared, steps)
        training = tried.step * steps.planned
        evaluating = evaluations * whole("dev") if evaluations else 0.0
        model = self._saving(probe)
        optimizer = 0 if prepared.arguments.save_only_model else probe.optimizer_bytes()
        state = 1 + optimizer / max(probe.weight_bytes(), 1)
        saving = model * (saves * state + 1)
        scoring = sum(whole(split) for split in self.config.evaluate.splits)
        total = start + training + evaluating + saving + scoring
        return Seconds(
            tried.step, tried.measured, start, training, evaluating, saving, scoring, total, evaluations, saves
        )

    def _saving(self, probe: Any) -> float:
        """Seconds to write the model once, tried where there is room for it."""
        if shutil.disk_usage(self.directory).free < 2 * probe.weight_bytes():
            return 0.0
        place = self.directory / "model"
        begun = time.perf_counter()
        probe.trainer.save_model(str(place))
        checkpoints.sync(place)
        seconds = time.perf_counter() - begun
        shutil.rmtree(place)
        return seconds

    def _memory(self, probe: Any, free: tuple[int, int], fitted: bool) -> Memory:
        available, total = free
        peak, reserved, context = probe.peak(available)
        needed = peak if reserved is None else reserved + context
        return Memory(
            device=probe.device_name(),
            weights=probe.weight_bytes(),
            gradients=probe.gradient_bytes(),
            optimizer=probe.optimizer_bytes(),
            peak=peak,
            reserved=reserved,
            needed=needed,
            free=available,
            total=total,
            fits=fitted and probe.parts() == 1 and needed <= available,
        )

    def _disk(self, memory: Memory, prepared: Prepared, saves: int) -> Disk:
        checkpoint = memory.weights + (0 if prepared.arguments.save_only_model else memory.optimizer)
        kept = plan.kept_checkpoints(
            saves, self.config.train.save_total_limit, self.config.train.load_best_model_at_end
        )
        place = self.runs
        while not place.exists() and place != place.parent:
            place = place.parent
        needed = kept * checkpoint + memory.weights
        return Disk(checkpoint, kept, needed, shutil.disk_usage(place).free, str(self.runs))


def _gpu_memory(config: RunConfig) -> tuple[int, int] | None:
    """Bytes free on the GPU that the run would use, and all that it has, before anything of ours is on it.

    None without a GPU, and where NVML tells of none (AMD's): torch knows, but not before it has taken some itself.
    """
    if config.launch.device == "cpu":
        return None
    nvml = Nvml()
    try:
        samples = visible_gpus(nvml.sample())
    finally:
        nvml.close()
    return (samples[0].memory_total - samples[0].memory_used, samples[0].memory_total) if samples else None


def _host_memory() -> tuple[int, int]:
    """Bytes of the machine's memory that are free for the run, and all of it."""
    host = Host().sample()
    return host.memory_free + process_rss(), host.memory_total


def data_figures(prepared: Prepared, batches: list[list[int]], costs: np.ndarray) -> DataFigures:
    """An epoch of `prepared` in `batches` (row numbers of train), which cost `costs` tokens, padding included."""
    import numpy as np

    from core.training_data import lengths
    from core.unknown_tokens import unknown_share

    train = lengths(prepared.tokens["train"]).astype(np.int64)
    whole = _uncut(prepared, train)
    tokens, reviews = int(train.sum()), len(train)
    padded = int(costs.sum())
    in_batches = sum(int(train[batch].sum()) for batch in batches)
    special = prepared.tokenizer.num_special_tokens_to_add() * reviews
    cut = int((whole > prepared.max_length).sum())
    marks = sorted({*LENGTHS, prepared.max_length})
    characters = _characters(prepared.splits["train"])
    return DataFigures(
        reviews=reviews,
        splits={name: len(prepared.splits[name]) for name in ("train", "dev", "test")},
        max_length=prepared.max_length,
        tokens=tokens,
        padded_tokens=padded,
        padding=1 - in_batches / padded,
        cut_reviews=cut,
        cut=cut / reviews,
        unknown=unknown_share(prepared.tokens["train"], prepared.tokenizer),
        tokens_per_character=(int(whole.sum()) - special) / max(characters, 1),
        lengths=tuple(
            LengthRow(mark, float((whole > mark).mean()), int(np.minimum(whole, mark).sum())) for mark in marks
        ),
    )


def _uncut(prepared: Prepared, train: np.ndarray) -> np.ndarray:
    """The length of each train review without a limit; only those as long as the limit have to be cut up again."""
    import numpy as np

    whole = train.copy()
    full = np.flatnonzero(train >= prepared.max_length)
    for begin in range(0, len(full), CHUNK):
        rows = full[begin : begin + CHUNK]
        texts = list(prepared.splits["train"].select(rows)["document"])
        ids = prepared.tokenizer(
            texts, truncation=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
        )["input_ids"]
        whole[rows] = [len(row) for row in ids]
    return whole


def _characters(reviews: Any) -> int:
    import pyarrow.compute as pc

    parts = reviews.with_format("arrow").iter(CHUNK)
    return sum(pc.sum(pc.utf8_length(part.column("document"))).as_py() or 0 for part in parts)
