"""What a run will take, known before it starts: tokens, steps, memory, minutes, disk, and what to beware of.

Light to import: `forecast` has `python -m core.forecast REQUEST` prepare the run and try some of its steps
(`core.forecast_probe`) in a process of its own, which leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from core.answering import DEBUG, answer
from core.config import RunConfig
from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.paths import cache_dir, runs_dir

VERSION = 1
POLL = 0.25
# Seconds a process gets to end by itself before it is killed.
GRACE = 3.0

Progress = Callable[[str, int, int], None]


class ForecastError(NsmcTuiError):
    """No forecast could be made."""

    code = "forecast"


@dataclass(frozen=True)
class Parameters:
    """Numbers in the model's weights: all of them, and those that training changes."""

    total: int
    trainable: int


@dataclass(frozen=True)
class LengthRow:
    """An epoch if reviews were cut at `max_length` tokens: share of reviews cut (0 to 1), tokens left."""

    max_length: int
    cut: float
    tokens: int


@dataclass(frozen=True)
class DataFigures:
    """One epoch of train as the model gets it.

    reviews: train reviews; splits: reviews in each split; max_length: tokens at which reviews are cut, never above
    the model's window. tokens: real ones, special ones included; padded_tokens: with padding, in the batches of the
    run's own sampling; padding: share of padding in these. cut_reviews, cut: number and share of reviews cut.
    unknown: share of unknown tokens among those that stand for text. tokens_per_character: tokens of the uncut
    texts by their characters; above 1 the tokenizer takes Hangul apart.
    """

    reviews: int
    splits: dict[str, int]
    max_length: int
    tokens: int
    padded_tokens: int
    padding: float
    cut_reviews: int
    cut: float
    unknown: float
    tokens_per_character: float
    lengths: tuple[LengthRow, ...]


@dataclass(frozen=True)
class Steps:
    """Optimizer steps.

    total: of the whole schedule; planned: until `launch.stop_at_step` or `stop_at_epoch`, else the same. warmup: of
    the learning rate. effective_batch: reviews a step (the mean of an epoch), by batch_per_device × accumulation ×
    processes × nodes; with `train.max_tokens` batch_per_device is the mean of its batches.
    """

    total: int
    planned: int
    per_epoch: int
    warmup: int
    batch_per_device: float
    accumulation: int
    processes: int
    nodes: int
    effective_batch: float


@dataclass(frozen=True)
class Memory:
    """Bytes. weights, gradients, optimizer: by counting what the model and its optimizer hold.

    peak: of the probe, whose first steps are the run's longest batches: on a GPU what tensors took
    (`torch.cuda.max_memory_allocated`), on the CPU the resident memory of the process. reserved: what torch took from
    the driver for it, None on the CPU; needed: what has to be free for the run (reserved and the CUDA context).
    free, total: of the device before the probe. fits is False too when the probe ran out of memory; peak is then
    what it had got to.
    """

    device: str
    weights: int
    gradients: int
    optimizer: int
    peak: int
    reserved: int | None
    needed: int
    free: int
    total: int
    fits: bool


@dataclass(frozen=True)
class Seconds:
    """Where a run's time goes, in seconds.

    step: one optimizer step, the mean expected over an epoch; measured: steps of the probe behind it. start: imports
    and preparation, with data and tokens in the cache. training, evaluating (while training), saving, scoring (at
    the end): all of each. total: their sum. evaluations, checkpoints: how many are counted.
    """

    step: float
    measured: int
    start: float
    training: float
    evaluating: float
    saving: float
    scoring: float
    total: float
    evaluations: int
    checkpoints: int


@dataclass(frozen=True)
class Disk:
    """Bytes: one checkpoint, the most a run needs (`checkpoints` of them and the model), what is free."""

    checkpoint: int
    checkpoints: int
    needed: int
    free: int
    path: str


@dataclass(frozen=True)
class Caution:
    """What to think about before starting, and a way out."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Forecast:
    """Everything known about a run before it starts. `seconds` is None when the probe ran out of memory."""

    parameters: Parameters
    data: DataFigures
    steps: Steps
    memory: Memory
    seconds: Seconds | None
    disk: Disk
    warnings: tuple[Caution, ...] = field(default=())

    def as_document(self) -> dict[str, Any]:
        """The forecast as JSON holds it, with `minutes` (None without time) and the record's version `v`."""
        minutes = None if self.seconds is None else self.seconds.total / 60
        return {"v": VERSION, **asdict(self), "minutes": minutes}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Forecast:
        """The forecast that `as_document` was made of."""
        data = dict(document["data"])
        data["lengths"] = tuple(LengthRow(**row) for row in data["lengths"])
        return cls(
            Parameters(**document["parameters"]),
            DataFigures(**data),
            Steps(**document["steps"]),
            Memory(**document["memory"]),
            None if document["seconds"] is None else Seconds(**document["seconds"]),
            Disk(**document["disk"]),
            tuple(Caution(**caution) for caution in document["warnings"]),
        )

    def with_warnings(self, more: list[Caution]) -> Forecast:
        """The same with further warnings, one of each code."""
        known = {caution.code: caution for caution in (*more, *self.warnings)}
        return replace(self, warnings=tuple(known.values()))


def _quiet(phase: str, done: int, total: int) -> None:
    """Tell nobody."""


def forecast(config: RunConfig, progress: Progress = _quiet, runs: Path | None = None) -> Forecast:
    """Prepare the run of `config`, try some of its steps, and tell what the whole run will take.

    Blocks for as long as that takes. `progress(phase, done, total)` is called at least four times a second; what it
    raises ends the forecast and its process. `runs` is where the run would be written, for the room on its disk.
    Raises what preparing the run raises (an NsmcTuiError of the same code), ForecastError when the process died.
    """
    from core.launch import worker_environment

    home = cache_dir()
    try:
        home.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix="forecast-", dir=home))
    except OSError as error:
        raise ForecastError(
            _("cannot write to {path}: {reason}").format(path=home, reason=error.strerror or error),
            _("Set NSMC_TUI_CACHE to a directory with room."),
        ) from error
    reader, writer = os.pipe()
    child: subprocess.Popen[bytes] | None = None
    try:
        request = {
            "config": config.model_dump(mode="json"),
            "directory": str(directory),
            "runs": str(runs or runs_dir()),
            "progress": writer,
            "asker": os.getpid(),
            "batch_size": config.train.per_device_train_batch_size,
        }
        with (directory / "stderr").open("wb") as log:
            # In a session of its own an interrupt reaches it through us alone: it cannot be half ended.
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "core.forecast", json.dumps(request)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=worker_environment(config),
                pass_fds=(writer,),
                start_new_session=True,
            )
        os.close(writer)
        writer = -1
        _follow(child, reader, progress)
        answered = child.communicate()[0]
        return _read(answered, child.returncode, directory / "stderr")
    finally:
        if child is not None:
            _end(child)
        for descriptor in (reader, writer):
            if descriptor >= 0:
                os.close(descriptor)
        shutil.rmtree(directory, ignore_errors=True)


def _follow(child: subprocess.Popen[bytes], reader: int, progress: Progress) -> None:
    """Pass the child's progress on until it closes the pipe or ends."""
    latest: tuple[str, int, int] = ("loading", 0, 0)
    rest = b""
    while True:
        progress(*latest)
        ready, _writable, _failed = select.select([reader], [], [], POLL)
        if not ready:
            if child.poll() is not None:
                return
            continue
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            phase, done, total = json.loads(lines[-1])
            latest = (phase, done, total)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _read(answered: bytes, code: int, log: Path) -> Forecast:
    if code != 0 or not answered.strip():
        said = log.read_text("utf-8", "replace").strip().splitlines()
        raise ForecastError(
            _("the forecast's process ended with code {code}").format(code=code) + (f": {said[-1]}" if said else ""),
            _("Killed processes (-9) ran out of memory; `nsmc-tui doctor` checks the installation."),
        )
    document = json.loads(answered)
    if "error" in document:
        if os.environ.get(DEBUG):
            print(log.read_text("utf-8", "replace"), file=sys.stderr)
        failure = ForecastError(document["message"], document["hint"])
        failure.code, failure.exit_code = document["error"], document["exit_code"]
        raise failure
    return Forecast.from_document(document)


def _work(request: dict[str, Any]) -> dict[str, Any]:
    """The forecast's own process: prepare, try, and take away what was written."""
    directory = Path(request["directory"])
    with os.fdopen(request["progress"], "w", encoding="utf-8") as pipe:

        def report(phase: str, done: int, total: int) -> None:
            # When nobody reads any more this raises, and the forecast ends.
            print(json.dumps([phase, done, total]), file=pipe, flush=True)

        try:
            from core.forecast_probe import measure

            made = measure(RunConfig.model_validate(request["config"]), directory, Path(request["runs"]), report)
            return made.as_document()
        finally:
            # The asker reads `stderr` and removes the directory; without an asker it is done here.
            if os.getppid() != request["asker"]:
                shutil.rmtree(directory, ignore_errors=True)


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupted)
    sys.exit(answer(_work))
