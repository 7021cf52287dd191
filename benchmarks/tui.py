"""What Monitor costs in a real pseudo-terminal of 120 × 40, against `wandb leet` on the same values where it is there.

- `open`: from exec to the charts of a finished run of 4,688 steps and six metrics, among 50 runs: the first output
  with lines in it, and the one after which no line changes any more (leet paints while it reads)
- `keys`: from a key to the last byte it brings about, while a run is told 30 times a second
- `watch`: CPU, bytes and pictures a second of watching that run, and of a finished one at rest; memory
- `million`: opening a run of 1,000,000 steps for the first time and again, and its memory above that of a run without
  steps
- `tick`: CPU of watching a run of 1,000 and one of 1,000,000 steps

wandb: `python -m pip install -c constraints.txt 'nsmc-tui[bench]'`, or an installation of its own with `--wandb
ENVIRONMENT/bin/wandb`. Nothing is sent anywhere: the run is offline and error reports are switched off. With other
work on the cores the times are worthless.

`python benchmarks/tui.py [--parts open,keys,watch,million,tick] [--repeat 7] [--seconds 30]`
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte
from common import HERE, table
from tui_runs import finished_run
from tui_terminal import ENOUGH_DOTS, Terminal, dots

from core.runs import create_run_dir

PARTS = ("open", "keys", "watch", "million", "tick")
STEPS, RUNS, MILLION = 4688, 50, 1_000_000
PER_SECOND = 30
# In half a second a live run's log grows by less.
LIVE_BYTES = 64 << 10
RIGHT, LEFT = b"\x1b[C", b"\x1b[D"
# leet's keys for going from chart to chart; it takes arrows only when a pane has the focus.
LEET_KEYS = (b"d", b"a")


def environment(home: Path) -> dict[str, str]:
    """A modern terminal, a home of its own, no reports to anybody."""
    made = {
        **os.environ,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "NSMC_TUI_SETTINGS": str(home / "settings.toml"),
        "NSMC_TUI_CACHE": str(home / "cache"),
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        # An installed program is compiled once; a checkout must not be left with files of ours.
        "PYTHONPYCACHEPREFIX": str(home / "bytecode"),
    }
    for name in ("NSMC_TUI_RUNS", "NSMC_TUI_LANG", "NO_COLOR", "PYTHONDONTWRITEBYTECODE"):
        made.pop(name, None)
    return made


def ours(runs: Path, run: Path) -> list[str]:
    """The command that opens a run in Monitor."""
    return [sys.executable, "-P", "-m", "tui", "--runs", str(runs), "open", str(run), "--screen", "monitor"]


def charts(screen: pyte.Screen) -> bool:
    """Whether the charts are painted."""
    text = "\n".join(screen.display)
    return dots(screen) >= ENOUGH_DOTS and "loss" in text and ("gradient norm" in text or "grad_norm" in text)


@contextmanager
def writing(path: Path, before: int, seconds: float) -> Iterator[None]:
    """A run that is being written, `before` steps being there when this begins."""
    arguments = [str(path), str(MILLION * 2), str(before), str(PER_SECOND), str(seconds)]
    writer = subprocess.Popen([sys.executable, str(HERE / "tui_runs.py"), *arguments])
    try:
        deadline = time.time() + 120
        while not (path / "events.jsonl").is_file() or not (path / "status.json").is_file():
            if time.time() > deadline:
                raise SystemExit("the writer has not begun")
            time.sleep(0.05)
        # A long beginning is written as fast as it goes: it is over when no more comes than is told live.
        size, now = 0, LIVE_BYTES + 1
        while before > PER_SECOND and now - size > LIVE_BYTES:
            time.sleep(0.5)
            size, now = now, (path / "events.jsonl").stat().st_size
        yield
    finally:
        writer.kill()
        writer.wait()


class Leet:
    """`wandb leet` on offline runs of ours."""

    def __init__(self, wandb: Path, directory: Path, variables: dict[str, str]) -> None:
        self._wandb, self._directory, self._variables = wandb, directory, variables
        self._python = wandb.parent / "python"

    def _log(self, *arguments: str) -> tuple[subprocess.Popen[str], Path]:
        logger = subprocess.Popen(
            [str(self._python), str(HERE / "tui_wandb.py"), str(self._directory), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**self._variables, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"},
        )
        assert logger.stdout is not None
        files = logger.stdout.readline().strip()
        if not files:
            raise SystemExit("wandb could not make an offline run")
        return logger, Path(files).parent

    def finished(self, steps: int) -> list[str]:
        """The command that opens a finished run."""
        logger, run = self._log(str(steps))
        logger.communicate()
        return self.command(run)

    def command(self, run: Path) -> list[str]:
        """The command that opens `run`."""
        return [str(self._wandb), "leet", "run", str(run)]

    @contextmanager
    def writing(self, seconds: float) -> Iterator[list[str]]:
        """A run that is being logged; gives the command that opens it."""
        logger, run = self._log(str(int(seconds * PER_SECOND)), str(PER_SECOND))
        try:
            time.sleep(1)
            yield self.command(run)
        finally:
            logger.kill()
            logger.wait()


def measure_open(commands: dict[str, list[str]], repeat: int, variables: dict[str, str]) -> None:
    """Alternating, the medians, after one round that does not count."""
    for command in commands.values():
        with Terminal(command, variables) as terminal:
            terminal.painted(10)
    firsts: dict[str, list[float]] = {name: [] for name in commands}
    lasts: dict[str, list[float]] = {name: [] for name in commands}
    for _round in range(repeat):
        for name, command in commands.items():
            with Terminal(command, variables) as terminal:
                first, last = terminal.painted()
            firsts[name].append(first)
            lasts[name].append(last)
    rows = []
    for name in commands:
        cells = [
            (f"{statistics.median(times[name]):.2f}", f"{min(times[name]):.2f}", ratio(times, name))
            for times in (firsts, lasts)
        ]
        rows.append([name, *cells[0], *cells[1]])
    header = ("first lines, median s", "min s", "ratio", "charts complete, median s", "min s", "ratio")
    print(table((f"opening {STEPS:,} steps, {RUNS} runs", *header), rows) + "\n")


def ratio(times: dict[str, list[float]], name: str) -> str:
    """Of medians to leet's."""
    if "wandb leet" not in times or name == "wandb leet":
        return ""
    return f"{statistics.median(times[name]) / statistics.median(times['wandb leet']):.2f}"


def press(terminal: Terminal, keys: Sequence[bytes], count: int) -> list[float]:
    """Milliseconds from key to last byte, at moments that have nothing to do with the run's."""
    found = []
    for number in range(count):
        terminal.watch(0.11 + 0.037 * (number % 5))
        taken = terminal.press(keys[number % len(keys)])
        if taken is not None:
            found.append(taken * 1000)
    return found


def key_row(name: str, found: list[float], count: int) -> list[str]:
    """p50, p95 and how many keys were answered."""
    if len(found) < 2:
        return [name, "–", "–", f"{len(found)}/{count}"]
    ordered = sorted(found)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return [name, f"{statistics.median(ordered):.1f}", f"{p95:.1f}", f"{len(found)}/{count}"]


def measure_watch(runs: Path, leet: Leet | None, options: argparse.Namespace, variables: dict[str, str]) -> None:
    """Keys and costs while a run is written, then at rest; both programs in the same minute."""
    keys, costs = [], []
    count, settle = 60, 3.0
    length = settle + options.seconds + count * 0.4 + 20
    path = create_run_dir(runs, "live")
    with writing(path, 300, length), Terminal(ours(runs, path), variables) as terminal:
        terminal.wait_for(charts)
        terminal.watch(settle)
        if "watch" in options.parts:
            costs.append(("nsmc-tui, live", terminal.cost(options.seconds)))
        if "keys" in options.parts:
            keys.append(key_row("nsmc-tui: choose a chart", press(terminal, (RIGHT, LEFT), count), count))
            terminal.press(b"c")
            keys.append(key_row("nsmc-tui: move the cursor", press(terminal, (LEFT, RIGHT), count), count))
    if leet is not None:
        with leet.writing(length) as command, Terminal(command, variables) as terminal:
            terminal.wait_for(lambda screen: dots(screen) >= ENOUGH_DOTS)
            terminal.watch(settle)
            if "watch" in options.parts:
                costs.append(("wandb leet, live", terminal.cost(options.seconds)))
            if "keys" in options.parts:
                terminal.press(b"\t")
                keys.append(key_row("wandb leet: choose a chart", press(terminal, LEET_KEYS, count), count))
    if "watch" in options.parts:
        done = finished_run(runs, "at-rest", STEPS)
        with Terminal(ours(runs, done), variables) as terminal:
            terminal.wait_for(charts)
            terminal.watch(settle)
            costs.append(("nsmc-tui, finished run in view", terminal.cost(options.seconds)))
        print(table(("watching", "CPU of a core", "bytes/s", "pictures/s", "memory MB"), [
            [name, f"{cost.cpu:.1%}", f"{cost.bytes_per_second:,.0f}", f"{cost.frames_per_second:.1f}",
             f"{cost.rss / 1e6:.0f}"] for name, cost in costs
        ]) + "\n")  # fmt: skip
    if "keys" in options.parts:
        print(table((f"key to last byte, {PER_SECOND} events a second", "p50 ms", "p95 ms", "answered"), keys) + "\n")


def measure_million(runs: Path, repeat: int, variables: dict[str, str]) -> None:
    """From exec to charts, to the whole log, without and with what the cache keeps of it; memory above Monitor without
    steps."""
    empty = finished_run(runs, "empty", 0)
    with Terminal(ours(runs, empty), variables) as terminal:
        terminal.watch(4)
        base = terminal.rss()
    long = finished_run(runs, "million", MILLION)
    painted: dict[str, list[float]] = {"first": [], "again": []}
    whole: dict[str, list[float]] = {"first": [], "again": []}
    memory: dict[str, list[float]] = {"first": [], "again": []}
    for _round in range(repeat):
        shutil.rmtree(Path(variables["NSMC_TUI_CACHE"]) / "logs", ignore_errors=True)
        for which in painted:
            with Terminal(ours(runs, long), variables) as terminal:
                painted[which].append(terminal.wait_for(charts))
                whole[which].append(terminal.wait_for(all_read))
                terminal.watch(2)
                memory[which].append((terminal.rss() - base) / 1e6)
    size = (long / "events.jsonl").stat().st_size / 1e6
    rows = []
    for name, found, digits in (
        ("charts painted, s", painted, 2),
        ("whole log read and drawn, s", whole, 2),
        ("memory above an empty Monitor, MB", memory, 0),
    ):
        cells = [f"{figure(found[which]):.{digits}f}" for which in painted for figure in (statistics.median, max)]
        rows.append([name, *cells])
    header = (f"a run of {MILLION:,} steps ({size:,.0f} MB of log)", "first opening, median", "most", "again", "most")
    print(table(header, rows) + "\n")


def all_read(screen: pyte.Screen) -> bool:
    """Whether the charts show all of a million steps."""
    line = screen.display[1]
    return charts(screen) and f"{MILLION:,}" in line and "reading the log" not in line


def measure_tick(runs: Path, seconds: float, variables: dict[str, str]) -> None:
    """CPU of watching a short and a long run."""
    rows, costs = [], []
    for before in (1000, MILLION):
        path = create_run_dir(runs, f"tick-{before}")
        with writing(path, before, seconds + 90), Terminal(ours(runs, path), variables) as terminal:
            terminal.wait_for(lambda screen: charts(screen) and "reading the log" not in screen.display[1])
            terminal.watch(5)
            cost = terminal.cost(seconds)
        costs.append(cost.cpu)
        rows.append(
            [f"{before:,} steps", f"{cost.cpu:.1%}", f"{cost.bytes_per_second:,.0f}", f"{cost.cpu / costs[0]:.2f}"]
        )
    print(table(("watching a run with so much behind it", "CPU of a core", "bytes/s", "ratio"), rows) + "\n")


def find_wandb(option: str | None) -> Path | None:
    """`--wandb`, else beside this interpreter, else on the path."""
    found = option or shutil.which("wandb", path=str(Path(sys.executable).parent)) or shutil.which("wandb")
    return Path(found) if found else None


def main() -> None:
    """Measure the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), type=lambda text: text.split(","))
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--wandb", help="the wandb to compare with; without one, ours alone is measured")
    options = parser.parse_args()
    if not set(options.parts) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    wandb = find_wandb(options.wandb)
    print(f"nsmc-tui{' and wandb leet' if wandb else '; no wandb here'}, {os.cpu_count()} cores\n", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        home, runs = Path(temporary) / "home", Path(temporary) / "runs"
        home.mkdir()
        variables = environment(home)
        leet = Leet(wandb, home, variables) if wandb else None
        if "open" in options.parts:
            for number in range(RUNS - 1):
                finished_run(runs, f"run-{number:04d}", STEPS, full=False)
            commands = {"nsmc-tui": ours(runs, finished_run(runs, "watched", STEPS))}
            if leet is not None:
                commands["wandb leet"] = leet.finished(STEPS)
            measure_open(commands, options.repeat, variables)
        if "keys" in options.parts or "watch" in options.parts:
            measure_watch(runs, leet, options, variables)
        if "million" in options.parts:
            measure_million(runs, min(3, options.repeat), variables)
        if "tick" in options.parts:
            measure_tick(runs, options.seconds, variables)


if __name__ == "__main__":
    main()
