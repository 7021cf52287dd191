"""What watching costs: our worker against the same training without events, sampling, orders and app.

The peer (benchmarks/paced.py) is the run's own Trainer over the same batches and loss, and it computes a step in the
same way, so that the ratio is of what a worker adds and not of how it computes. The worker writes events, samples the
device and takes orders; once it is alone, once the app shows it on Monitor in a pseudo-terminal (where textual is not
installed: a process that reads its events).

Two percent are less than what a virtual machine changes from one minute to the next. So all three train at the same
time, but in turns: each takes the same 400 steps (`--segment`), over the same batches, while the others wait and the
app of the one that is watched is stopped (SIGSTOP) outside of its turns. The order of the turns rotates. The first
steps of a turn (`--lead`) are not counted: what goes by the clock (an event, a picture of the app) is due at once after
the wait, and a run that never waits has none of it. The ratio is the median over the turns of the worker's seconds by
the peer's for the same steps, beside it that of all seconds together; the standard error is that of the mean of the
ratios. All run in the worker's environment; the first and the last turn of each are not counted. `--keep FILE` pools
the turns of several calls.

`python benchmarks/overhead.py [--reviews 64000] [--device cuda --model xlm-roberta-base-shape --bf16]`
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import paced
import psutil
import workers

PLAIN = "plain Trainer"
ALONE = "worker alone"


class Turns:
    """The near end of a paced process: `take` lets it train until its next stop."""

    def __init__(self) -> None:
        self._lines, tell = os.pipe()
        hear, self._go = os.pipe()
        self._far = (tell, hear)
        self.seconds: list[float] = []
        self.worked: list[float] = []
        self._read = os.fdopen(self._lines, "r")

    def inherit(self, steps: int, lead: int) -> dict[str, Any]:
        """What `Popen` needs beside the command: descriptors, and the environment's additions."""
        tell, hear = self._far
        more = {paced.STEPS: steps, paced.LEAD: lead, paced.TELL: tell, paced.HEAR: hear}
        return {"pass_fds": self._far, "more": {name: str(value) for name, value in more.items()}}

    def started(self) -> None:
        """Close the far end's descriptors here, so that its death is noticed."""
        for descriptor in self._far:
            os.close(descriptor)

    def take(self, counted: Callable[[], None] | None = None) -> bool:
        """Let it take its turn; False when it has none left. `counted` is called when its counted steps begin."""
        try:
            os.write(self._go, b"g")
        except BrokenPipeError:
            return False
        if not self._read.readline():
            return False
        if counted is not None:
            counted()
        line = self._read.readline()
        if not line:
            return False
        seconds, worked = map(float, line.split())
        self.seconds.append(seconds)
        self.worked.append(worked)
        return True


def main() -> None:
    """Measure all three and print the table."""
    parser = common.parser(__doc__, reviews=64_000, repeat=1)
    parser.add_argument("--segment", type=int, default=400, help="steps a turn")
    parser.add_argument("--lead", type=int, default=100, help="steps at the beginning of a turn that are not counted")
    parser.add_argument("--keep", type=Path, default=None, help="add the turns to this file, and count those in it")
    options = parser.parse_args()
    options.segment = min(options.segment, -(-options.reviews // options.batch))
    options.lead = min(options.lead, options.segment // 4)
    common.set_threads(options)
    # A process that ends between two turns is noticed by its empty line.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # Whoever ends the benchmark ends the app with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    figures: dict[str, list[tuple[float, float]]] = {}
    shares: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        model = common.make_model(options, directory)
        for _ in range(options.repeat):
            config = common.make_config(options, model)
            for name, values in measure(options, config, directory, shares).items():
                figures.setdefault(name, []).extend(values)
    steps = options.segment - options.lead
    if options.keep is not None:
        figures = _pool(options, figures)
    print(f"Overhead: {options.reviews} reviews, batch {options.batch}, {options.model}, {options.device}")
    print(f"({common.machine(options)})\n")
    print(common.table(HEADER, [_row(name, values, figures[PLAIN], steps) for name, values in figures.items()]))
    print(f"\nIn its turns the watcher took {100 * statistics.fmean(shares):.1f}% of a core.")


HEADER = ("median of the turns", "ms a step", "ratio", "of all seconds", "standard error", "CPU ratio", "turns")


def measure(options: Any, config: Any, directory: Path, shares: list[float]) -> dict[str, list[tuple[float, float]]]:
    """(seconds, CPU seconds) of each turn of the three; the watcher's share of a core is added to `shares`."""
    request, answer = directory / "request.json", directory / "answer.json"
    request.write_text(json.dumps({"config": config.model_dump(mode="json")}), encoding="utf-8")
    turns = {PLAIN: Turns(), ALONE: Turns(), "": Turns()}
    given = turns[PLAIN].inherit(options.segment, options.lead)
    # One for all: it depends on how busy the machine is at that moment.
    environment = common.product_environment(config)
    with (directory / "bare.log").open("wb") as log:
        bare = subprocess.Popen(
            [sys.executable, str(common.HERE / "paced.py"), "bare", str(request), str(answer)],
            env={**environment, **given["more"]},
            pass_fds=given["pass_fds"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    command = [sys.executable, "-P", str(common.HERE / "paced.py"), "worker"]
    made = [
        workers.Worker(
            config, directory / "runs", command, environment, **turns[name].inherit(options.segment, options.lead)
        )
        for name in (ALONE, "")
    ]
    for each in turns.values():
        each.started()
    seen = made[-1]
    # All have built their models before anybody's turn begins.
    for worker in made:
        worker.wait_for("phase", name="training")
    with workers.watched(seen.run_dir) as (watcher, process):
        turns[f"worker, watched by {watcher}"] = turns.pop("")
        _hold(process, True)
        order = list(turns)
        running = True
        while running:
            for name in order:
                watched = name not in (PLAIN, ALONE)
                if watched:
                    _hold(process, False)
                before: list[float] = []
                running = turns[name].take(lambda before=before: before.append(_cpu(process)))
                if watched:
                    _hold(process, True)
                    if running:
                        shares.append((_cpu(process) - before[0]) / turns[name].seconds[-1])
                if not running:
                    break
            order = order[1:] + order[:1]
        _hold(process, False)
        for each in turns.values():
            while each.take():
                pass
        for worker in made:
            worker.finish()
    if bare.wait() != 0:
        raise SystemExit((directory / "bare.log").read_text(encoding="utf-8", errors="replace")[-3000:])
    count = min(len(each.seconds) for each in turns.values())
    # In the first turns caches are cold, in the last ones the others are saving already.
    kept = slice(1, count - 1) if count > 3 else slice(0, count)
    return {name: list(zip(each.seconds[kept], each.worked[kept], strict=True)) for name, each in turns.items()}


def _pool(options: Any, figures: dict[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    """The turns of this call and of those that left theirs in the file."""
    names = ("batch", "model", "data", "device", "bf16", "threads", "segment", "lead")
    same = {name: getattr(options, name) for name in names}
    common.add_lines(options.keep, ({"side": side, "turns": turns, **same} for side, turns in figures.items()))
    return {
        side: [(seconds, worked) for line in common.kept_lines(options.keep, {"side": side, **same})
               for seconds, worked in line["turns"]]
        for side in figures
    }  # fmt: skip


def _hold(process: subprocess.Popen[bytes], stopped: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP if stopped else signal.SIGCONT)


def _cpu(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def _row(name: str, turns: list[tuple[float, float]], plain: list[tuple[float, float]], steps: int) -> list[str]:
    ratios = [ours[0] / peer[0] for ours, peer in zip(turns, plain, strict=True)]
    error = statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else None
    worked = [ours[1] / peer[1] for ours, peer in zip(turns, plain, strict=True)]
    return [
        name,
        f"{1000 * common.median(seconds for seconds, _ in turns) / steps:.2f}",
        f"{common.median(ratios):.3f}",
        f"{sum(ours[0] for ours in turns) / sum(peer[0] for peer in plain):.3f}",
        "–" if error is None else f"{error:.3f}",
        f"{common.median(worked):.3f}",
        str(len(turns)),
    ]


if __name__ == "__main__":
    main()
