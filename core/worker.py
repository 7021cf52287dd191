"""The process of one run: `python -m core.worker RUN_DIR [--resume [STEP]]`.

Reads `config.toml` of the run directory, trains, evaluates, and writes everything that others read there. With
several processes to start (`launch.processes`) it only supervises them; each is then a worker of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import checkpoints, config_file, environment, foreign_json, outcome, reserve, torchrun
from core.config import RunConfig
from core.dynamics import Keeper
from core.errors import NsmcTuiError, ResumeError
from core.failures import explain
from core.i18n import gettext as _
from core.launch import LOG_FILE
from core.memory import MemoryFigures
from core.orders import Aborted, Orders
from core.paths import write_atomically
from core.preparation import Preparation
from core.processes import die_with_parent
from core.rank_failures import write_failure
from core.ranks import Ranks
from core.recorder import Recorder, SilentRecorder
from core.reserve import with_room
from core.resume import deciding
from core.resumed import Resumed
from core.runs import CONFIG_FILE, read_results
from core.watch import Watch

if TYPE_CHECKING:
    from core.callback import MonitorCallback
    from core.preparation import Prepared
    from core.trainer import ReviewTrainer

EXIT_ABORTED = 130
NEWEST = -1


class StoppedEarly(Exception):  # noqa: N818 - not an error: the user asked for it
    """A stop before the first step."""


class Worker:
    """One run from its config to its end, or from its last checkpoint to its end.

    `resume` is None for a new run, `NEWEST` for its newest whole checkpoint, else the checkpoint's step.
    """

    def __init__(self, run_dir: Path, resume: int | None = None, ranks: Ranks | None = None) -> None:
        self.run_dir = run_dir
        self.resume = resume
        self.ranks = ranks or Ranks.from_environment()
        self.recorder = Recorder(run_dir) if self.ranks.head else SilentRecorder(run_dir)
        if self.ranks.head:
            reserve.keep(run_dir)
        self.recorder.set_state("starting")
        self.config = RunConfig()
        self.environment: dict[str, Any] = {}
        self.orders = Orders(run_dir, self.recorder, self.ranks)
        self.cut = False
        self.resumed = Resumed()
        self.figures: dict[str, int] = {}

    # -- the whole ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run to the end, whatever it is; returns the process's exit code."""
        recorder = self.recorder
        self.orders.listen()
        try:
            self.config = config_file.load(self.run_dir / CONFIG_FILE)
            checkpoint = self._checkpoint()
            self._announce(checkpoint)
            state = self._work(checkpoint)
        except Aborted:
            self.orders.ignore_signals()
            self.orders.tell_abort()
            outcome.tell_earlier(self.run_dir, recorder)
            recorder.set_state("stopped", phase="", eta=None)
            recorder.emit("run_finished", state="stopped", metrics=recorder.metrics, aborted=True)
            return EXIT_ABORTED
        except BaseException as error:  # noqa: BLE001 - whatever ends a run has to be told to its watchers
            self.orders.ignore_signals()
            self._fail(error)
            return 1
        finally:
            self.orders.ignore_signals()
        recorder.set_state(state, phase="", eta=None)
        recorder.emit("run_finished", state=state, metrics=recorder.metrics)
        return 0

    def _checkpoint(self) -> checkpoints.Checkpoint | None:
        """The checkpoint to go on from, and a word about those that were passed over."""
        if self.resume is None:
            return None
        # Every rank looks as closely: they have to choose the same one.
        found = checkpoints.list_checkpoints(self.run_dir, deep=True)
        chosen = checkpoints.choose(self.run_dir, None if self.resume == NEWEST else self.resume, found)
        self.resumed = Resumed(chosen)
        for checkpoint in found:
            if checkpoint.broken:
                self.recorder.alert(
                    "warning",
                    "checkpoint",
                    _("{checkpoint} is not whole and was passed over: {reason}").format(
                        checkpoint=checkpoint.path.name, reason=checkpoint.broken
                    ),
                )
        if chosen is None:
            self.recorder.alert(
                "warning", "resume", _("there is no whole checkpoint: the run starts again from its first step")
            )
        return chosen

    def _settle(self) -> None:
        """Make sure that all ranks go on from the same checkpoint, and make room behind it. Collective."""
        (first,) = self.ranks.agree((float(self.resumed.step),))
        if first != self.resumed.step:
            raise ResumeError(
                _(
                    "the processes found different checkpoints: rank 0 one of step {first}, rank {rank} of {step}"
                ).format(first=int(first), rank=self.ranks.rank, step=self.resumed.step),
                _("All machines have to see the same files in the run's directory; --from names a step."),
            )
        # Not before all have looked: half of a deleted checkpoint looks like one that lacks state.
        self.ranks.wait()
        if self.resume is not None and self.ranks.head:
            checkpoints.tidy(self.run_dir, self.resumed.step)

    def _announce(self, checkpoint: checkpoints.Checkpoint | None) -> None:
        path = self.run_dir / "environment.json"
        started = foreign_json.parse(path.read_bytes()) if path.is_file() else {}
        self.environment = {**started, **environment.collect()}
        self._write_environment()
        resumed = {} if self.resume is None else {"resumed_from": checkpoint.step if checkpoint is not None else 0}
        self.recorder.emit(
            "run_started",
            run_id=self.run_dir.name,
            config=self.config.model_dump(mode="json"),
            environment=self.environment,
            **resumed,
        )

    def _write_environment(self) -> None:
        if self.ranks.head:
            write_atomically(
                self.run_dir / "environment.json", json.dumps(self.environment, ensure_ascii=False, indent=1)
            )

    def _fail(self, error: BaseException) -> None:
        # The log may be on a full disk, too.
        with suppress(OSError):
            with_room(self.run_dir, partial(traceback.print_exception, error, file=sys.stderr))
        failure = explain(error, self.config.train.per_device_train_batch_size)
        if not self.ranks.alone:
            # Which rank failed first is only known to the supervisor: it tells.
            word = self.ranks.rank, failure.code, failure.message, failure.hint
            with_room(self.run_dir, partial(write_failure, self.run_dir, *word))
            return
        outcome.tell_earlier(self.run_dir, self.recorder)
        try:
            self.recorder.set_state("failed", phase="", eta=None, error=failure.message, hint=failure.hint)
        finally:
            self.recorder.emit(
                "run_failed",
                error=failure.code,
                message=failure.message,
                hint=failure.hint,
                log=str(self.run_dir / LOG_FILE),
            )

    # -- the parts ---------------------------------------------------------------------------------------------

    def _prepare_step(self, phase: str, done: int = 0, total: int = 0) -> None:
        """Report preparation and take orders: before the first step a stop just ends the run."""
        self.recorder.phase(phase, done, total)
        self.orders.take(0, training=False)
        if self.orders.ending and self.ranks.head and self.ranks.together:
            self._meet()

    def _meet(self) -> None:
        """Wait for all ranks; raises on all of them where the first was told to end the run. Collective."""
        self.orders.share()
        if self.orders.stop:
            raise StoppedEarly
        self.ranks.wait()

    def _work(self, checkpoint: checkpoints.Checkpoint | None) -> str:
        memory = MemoryFigures("init")
        try:
            trainer, prepared, monitor = self._build()
            self._settle()
            self.orders.share()
            if self.orders.stop:
                raise StoppedEarly
        except StoppedEarly:
            return "stopped"
        from core.sampler import DeviceSampler

        self.figures = memory.figures()
        sampler = DeviceSampler(self.recorder.emit, self.run_dir, self.config.launch.device_interval)
        monitor.attach(trainer, sampler)
        sampler.start()
        try:
            self._train(trainer, monitor, checkpoint)
            self.recorder.phase("saving")
            outcome.settle_weights(self.run_dir, self.recorder, trainer)
            if self.ranks.head:
                outcome.save_model(self.run_dir, self.recorder, trainer, prepared.max_length)
            self._score(trainer, prepared)
            self._write_card()
        finally:
            sampler.stop()
        self.ranks.wait()
        return "stopped" if self.orders.stop else "finished"

    def _build(self) -> tuple[ReviewTrainer, Prepared, MonitorCallback]:
        source = self.resumed.loadable(self.config, self.recorder.alert)
        prepared = Preparation(
            source, self.run_dir, self._prepare_step, self.recorder.alert, self.ranks, self._meet
        ).run()
        from core import warmup
        from core.callback import MonitorCallback
        from core.training import build_trainer, precision

        config, tokens, arguments = self.config, prepared.tokens, prepared.arguments
        digests = {split: report.sha256 for split, report in prepared.splits.report.files.items()}
        self.resumed.check_data(digests, self.recorder.alert)
        self.resumed.check_gpus(max(1, arguments.n_gpu))
        self.environment["data"] = {
            "fingerprint": prepared.splits.fingerprint,
            "unknown_tokens": prepared.unknown,
            **prepared.splits.report.to_dict(),
        }
        self.environment["training"] = {
            "device": str(arguments.device),
            "precision": precision(arguments),
            "world_size": arguments.world_size,
            "effective_batch": arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
            if config.train.max_tokens is None
            else None,
        }
        self._write_environment()
        if prepared.fresh and config.model.preset is None:
            print("weights made anew:", ", ".join(prepared.fresh), flush=True)
        monitor = MonitorCallback(
            self.recorder,
            self.orders,
            events_per_second=config.launch.events_per_second,
            stop_on_nan=config.launch.stop_on_nan,
            has_dev=len(tokens["dev"]) > 0,
            world=self.ranks.world,
        )
        monitor.keep = {
            "settings": deciding(config),
            "data": digests,
            "accumulation": arguments.gradient_accumulation_steps,
            "gpus": max(1, arguments.n_gpu),
        }
        monitor.best = self.resumed.best
        if config.evaluate.history and self.ranks.head and len(tokens["dev"]):
            dev = prepared.splits.dev
            monitor.history = Keeper(self.run_dir, dev["id"][:], dev["label"][:], self.resumed.step)
        trainer = build_trainer(
            config,
            arguments,
            prepared.model,
            prepared.tokenizer,
            tokens["train"],
            tokens["dev"],
            [monitor],
            monitor,
        )
        needless = warmup.problem(trainer, config.train)
        if needless is not None:
            self.recorder.alert("warning", "warmup", *needless)
        self._plan_end()
        return trainer, prepared, monitor

    def _plan_end(self) -> None:
        """Where the config wants the run to stop, unless a resumed run has been there already."""
        launch = self.config.launch
        if launch.stop_at_step is not None and launch.stop_at_step > self.resumed.step:
            self.orders.stop_at_step = launch.stop_at_step
        if launch.stop_at_epoch is not None and launch.stop_at_epoch > self.resumed.epoch:
            self.orders.stop_at_epoch = launch.stop_at_epoch
        self.recorder.update(stop_at_step=self.orders.stop_at_step, stop_at_epoch=self.orders.stop_at_epoch)

    def _train(
        self, trainer: ReviewTrainer, monitor: MonitorCallback, checkpoint: checkpoints.Checkpoint | None
    ) -> None:
        from core.callback import EvaluationCut

        memory = MemoryFigures("train")
        path = str(checkpoint.path) if checkpoint is not None else None
        if self.resume is not None and self.ranks.head:
            outcome.leave_earlier(self.run_dir, self.recorder, self.resumed.step)
        try:
            result = trainer.train(resume_from_checkpoint=path)
            metrics = dict(result.metrics)
        except EvaluationCut:
            # A stop in the middle of an evaluation ends the run at once: it is saved, and can be scored later.
            self.cut = True
            trainer.control.should_training_stop = True
            trainer._save_checkpoint(trainer.model, None)
            monitor.tell_last()
            self.recorder.update(step=trainer.state.global_step, epoch=trainer.state.epoch)
            monitor.on_save(trainer.args, trainer.state, trainer.control)
            if trainer.args.load_best_model_at_end and trainer.state.best_model_checkpoint:
                trainer._load_best_model()
            metrics = {"epoch": trainer.state.epoch}
            self.recorder.alert(
                "info",
                "not_scored",
                _("stopped during an evaluation: the model is saved, but not scored"),
                _("`nsmc-tui evaluate {run}` scores it, `nsmc-tui resume {run}` goes on.").format(
                    run=self.run_dir.name
                ),
            )
        figures = {**self.figures, **memory.figures()}
        self.recorder.write_results("train", {**outcome.totals(trainer, monitor, metrics), **figures})

    def _score(self, trainer: ReviewTrainer, prepared: Prepared) -> None:
        """Score the splits that the config names, until a stop cuts it."""
        from core.callback import EvaluationCut

        for split in self.config.evaluate.splits:
            if self.cut:
                return
            try:
                outcome.score(
                    self.run_dir, self.recorder, trainer, split, prepared.tokens[split], prepared.splits[split]
                )
            except EvaluationCut:
                self.cut = True

    def _write_card(self) -> None:
        from core import model_card

        if self.ranks.head:
            model_card.write(self.run_dir, self.config, read_results(self.run_dir), self.environment)


def main(arguments: list[str]) -> int:
    """Run the worker of the run directory in `arguments`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m core.worker")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--resume", type=int, nargs="?", const=NEWEST, metavar="STEP")
    options = parser.parse_args(arguments)
    if not options.run_dir.is_dir():
        print(f"{options.run_dir}: no such directory", file=sys.stderr)
        return 2
    run_dir = options.run_dir.resolve()
    if torchrun.is_rank():
        die_with_parent()
    elif (config := _of_several(run_dir)) is not None:
        from core.supervisor import supervise

        return supervise(run_dir, config, arguments[1:])
    worker = Worker(run_dir, options.resume)
    try:
        with Watch(worker.recorder, run_dir) if worker.ranks.head else nullcontext():
            try:
                code = worker.run()
            finally:
                # At once: the run may go on in another process while this one still sends its alerts.
                if worker.ranks.head:
                    reserve.free(run_dir)
    except NsmcTuiError as error:
        print(f"{error.message}\n{error.hint}", file=sys.stderr)
        return 1
    finally:
        worker.recorder.close()
    if code == EXIT_ABORTED and not worker.ranks.alone:
        # All is written. Taking torch down takes time, and may wait for another rank that is gone.
        sys.stdout.flush()
        os._exit(code)
    return code


def _of_several(run_dir: Path) -> RunConfig | None:
    """The run's config when it takes several processes; a config that cannot be read is the worker's to report."""
    try:
        config = config_file.load(run_dir / CONFIG_FILE)
    except NsmcTuiError:
        return None
    return config if config.launch.processes * config.launch.nodes > 1 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
