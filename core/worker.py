"""The process of one run: `python -m core.worker RUN_DIR`.

Reads `config.toml` of the run directory, trains, evaluates, and writes everything that others read there. It
knows nothing of who started it or who watches.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import config_file, environment
from core.config import RunConfig
from core.errors import NsmcTuiError
from core.failures import explain
from core.i18n import gettext as _
from core.launch import LOG_FILE
from core.orders import Aborted, Orders
from core.paths import write_atomically
from core.recorder import Recorder
from core.runs import CONFIG_FILE

if TYPE_CHECKING:
    from datasets import Dataset

    from core.callback import MonitorCallback
    from core.data import Splits
    from core.training import ReviewTrainer

EXIT_ABORTED = 130


class Worker:
    """One run from its config to its end."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.recorder = Recorder(run_dir)
        self.recorder.set_state("starting")
        self.config = RunConfig()
        self.environment: dict[str, Any] = {}
        self.orders = Orders(run_dir, self.recorder)
        self.cut = False
        self.max_length = 0

    # -- the whole ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run to the end, whatever it is; returns the process's exit code."""
        recorder = self.recorder
        self.orders.listen()
        try:
            self.config = config_file.load(self.run_dir / CONFIG_FILE)
            self._announce()
            state = self._work()
        except Aborted:
            self.orders.ignore_signals()
            recorder.set_state("stopped", phase="", eta=None)
            recorder.emit("run_finished", state="stopped", metrics=recorder.metrics, aborted=True)
            return EXIT_ABORTED
        except BaseException as error:  # noqa: BLE001 - whatever ends a run has to be told to its watchers
            self._fail(error)
            return 1
        finally:
            self.orders.ignore_signals()
        recorder.set_state(state, phase="", eta=None)
        recorder.emit("run_finished", state=state, metrics=recorder.metrics)
        return 0

    def _announce(self) -> None:
        path = self.run_dir / "environment.json"
        started = json.loads(path.read_bytes()) if path.is_file() else {}
        self.environment = {**environment.collect(), **started}
        self._write_environment()
        self.recorder.emit(
            "run_started",
            run_id=self.run_dir.name,
            config=self.config.model_dump(mode="json"),
            environment=self.environment,
        )

    def _write_environment(self) -> None:
        write_atomically(self.run_dir / "environment.json", json.dumps(self.environment, ensure_ascii=False, indent=1))

    def _fail(self, error: BaseException) -> None:
        traceback.print_exception(error, file=sys.stderr)
        sys.stderr.flush()
        failure = explain(error, self.config.train.per_device_train_batch_size)
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
        if self.orders.stop:
            raise StoppedEarly

    def _work(self) -> str:
        try:
            trainer, tokens, splits, monitor = self._build()
        except StoppedEarly:
            return "stopped"
        from core.device import DeviceSampler

        sampler = DeviceSampler(
            lambda sample: self.recorder.emit("device", **sample.as_event()), self.config.launch.device_interval
        )
        monitor.attach(sampler)
        sampler.start()
        try:
            self._train(trainer, monitor)
            self._save_model(trainer)
            for split in self.config.evaluate.splits:
                if not self.cut:
                    self._evaluate(trainer, split, tokens[split], splits[split])
        finally:
            sampler.stop()
        return "stopped" if self.orders.stop else "finished"

    def _build(self) -> tuple[ReviewTrainer, dict[str, Dataset], Splits, MonitorCallback]:
        self._prepare_step("loading")
        import transformers

        from core import data, models
        from core.callback import MonitorCallback
        from core.training import build_arguments, build_trainer
        from core.training_data import lengths, tokenize

        transformers.utils.logging.disable_progress_bar()
        config = self.config
        # The cheap refusals first: nobody should wait for data to learn of a wrong argument.
        arguments = build_arguments(config, self.run_dir)
        transformers.set_seed(config.train.seed)
        splits = data.load_splits(config.data, lambda name, done, total: self._prepare_step("loading", done, total))
        self.environment["data"] = {"fingerprint": splits.fingerprint, **splits.report.to_dict()}
        self._write_environment()
        for report in splits.report.files.values():
            left_out = report.describe_bad()
            for line in report.warnings():
                self.recorder.alert("warning" if line in left_out else "info", "data", line)

        model_config = config.model
        if model_config.preset is not None:
            self._prepare_step("tokenizing")
            tokenizer = models.train_tokenizer(splits.train["document"])
            architecture = models.preset_config(model_config.preset, tokenizer, model_config.config)
        else:
            self._prepare_step("loading")
            architecture = models.load_config(model_config)
            tokenizer = models.load_tokenizer(model_config)
        max_length = models.window(tokenizer, architecture, config.data.max_length)
        if max_length < config.data.max_length:
            self.recorder.alert(
                "warning",
                "window",
                _("reviews are cut at {length} tokens, the model's window").format(length=max_length),
            )
        self.max_length = max_length
        tokens = {
            name: tokenize(
                splits[name],
                tokenizer,
                max_length,
                f"{splits.fingerprint}:{name}",
                lambda done, total: self._prepare_step("tokenizing", done, total),
            )
            for name in ("train", "dev", "test")
        }
        self._prepare_step("building")
        # Trained tokenizers and pre-trained ones alike: weights depend on the seed alone.
        transformers.set_seed(config.train.seed)
        model, fresh = models.build_model(model_config, architecture)
        if fresh and model_config.preset is None:
            print("weights made anew:", ", ".join(fresh), flush=True)
        self._warn_about_warmup(len(tokens["train"]), arguments)
        monitor = MonitorCallback(
            self.recorder,
            self.orders,
            events_per_second=config.launch.events_per_second,
            tokens_per_sample=float(lengths(tokens["train"]).mean()) if len(tokens["train"]) else 0.0,
            stop_on_nan=config.launch.stop_on_nan,
            has_dev=len(tokens["dev"]) > 0,
        )
        trainer = build_trainer(config, arguments, model, tokenizer, tokens["train"], tokens["dev"], [monitor])
        gc.collect()
        return trainer, tokens, splits, monitor

    def _warn_about_warmup(self, reviews: int, arguments: Any) -> None:
        batch = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
        steps = arguments.max_steps if arguments.max_steps > 0 else int(reviews / batch * arguments.num_train_epochs)
        if 0 < steps <= arguments.warmup_steps:
            self.recorder.alert(
                "warning",
                "warmup",
                _("warm-up takes {warmup:.0f} steps, the whole run {steps}").format(
                    warmup=arguments.warmup_steps, steps=steps
                ),
                _("The learning rate never reaches its highest; try train.warmup_steps = 0.1."),
            )

    def _train(self, trainer: ReviewTrainer, monitor: MonitorCallback) -> None:
        from core.callback import EvaluationCut

        try:
            result = trainer.train()
        except EvaluationCut:
            # A stop in the middle of an evaluation: this one is left, the run is saved and scored as at any stop.
            trainer._save_checkpoint(trainer.model, None)
            monitor.on_save(trainer.args, trainer.state, trainer.control)
            if trainer.args.load_best_model_at_end and trainer.state.best_model_checkpoint:
                trainer._load_best_model()
            return
        metrics = dict(result.metrics)
        if monitor.paused_seconds:
            metrics["paused_seconds"] = monitor.paused_seconds
            worked = max(metrics["train_runtime"] - monitor.paused_seconds, 1e-9)
            for key in ("train_samples_per_second", "train_steps_per_second"):
                metrics[key] *= metrics["train_runtime"] / worked
            metrics["train_runtime"] = worked
        self.recorder.write_results("train", metrics)

    def _save_model(self, trainer: ReviewTrainer) -> None:
        """Write `model/` beside its place and move it there, so that nobody loads a half of it."""
        self.recorder.phase("saving")
        final = self.run_dir / "model"
        temporary = self.run_dir / ".model.tmp"
        if temporary.exists():
            shutil.rmtree(temporary)
        model = trainer.accelerator.unwrap_model(trainer.model)
        model.save_pretrained(temporary)
        # Whoever loads the model cuts reviews where training cut them, with `truncation=True`.
        trainer.processing_class.model_max_length = self.max_length
        trainer.processing_class.save_pretrained(temporary)
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)

    def _evaluate(self, trainer: ReviewTrainer, split: str, tokens: Dataset, reviews: Dataset) -> None:
        from core import metrics, predictions
        from core.callback import EvaluationCut
        from core.training import predict_logits
        from core.training_data import lengths

        if len(tokens) == 0:
            return
        prefix = "eval" if split == "dev" else split
        self.recorder.phase("evaluating", 0, 0, split=split)
        begun = time.monotonic()
        try:
            logits, measured = predict_logits(trainer, tokens, prefix)
        except EvaluationCut:
            self.cut = True
            return
        rows = predictions.table(
            reviews["id"][:], reviews["document"][:], reviews.with_format("numpy")["label"][:], logits, lengths(tokens)
        )
        labels, preds = rows["label"].to_numpy(), rows["pred"].to_numpy()
        loss = float(rows["loss"].to_numpy().mean())
        predictions.write(self.run_dir, split, rows)
        scored = {f"{prefix}_{name}": value for name, value in metrics.scores(labels, preds).items()}
        runtime = {key: value for key, value in measured.items() if key.endswith(("_runtime", "_per_second"))}
        results = {f"{prefix}_loss": loss, **scored, **runtime, f"{prefix}_samples": len(labels)}
        if trainer.state.epoch is not None:
            results["epoch"] = trainer.state.epoch
        self.recorder.write_results(prefix, results)
        self.recorder.emit(
            "eval",
            step=trainer.state.global_step,
            split=split,
            metrics=results,
            final=True,
            seconds=time.monotonic() - begun,
        )
        self.recorder.add_metrics({key: value for key, value in results.items() if key.startswith(prefix + "_")})


class StoppedEarly(Exception):  # noqa: N818 - not an error: the user asked for it
    """A stop before the first step."""


def main(arguments: list[str]) -> int:
    """Run the worker of the run directory in `arguments`; returns the exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m core.worker RUN_DIR", file=sys.stderr)
        return 2
    worker = Worker(Path(arguments[0]).resolve())
    try:
        return worker.run()
    except NsmcTuiError as error:
        print(f"{error.message}\n{error.hint}", file=sys.stderr)
        return 1
    finally:
        worker.recorder.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
