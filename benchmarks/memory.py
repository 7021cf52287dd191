"""What a run needs of memory: the worker's peak against the guide's, and what the reviews alone cost.

Peak resident memory (RSS) of a process from its start to the end of training and the evaluation of test, seen from
outside in the same way on both sides (process_memory.py). Beside it: what of that no file backs (the kernel can drop
the rest, such as pages of the mapped token file), and the process together with its children. On a GPU also the most
that torch had allocated. Memory does not grow with steps, so each trains only a few. Ours with all reviews and with a
thousand (in a file of their own: a limit would still read the whole file) shows what the data costs above the model:
first with an empty cache, where reviews are read and tokenised, then again. Repeats alternate; on a GPU there is one.

`python benchmarks/memory.py [--reviews 150000] [--device cuda --model xlm-roberta-base-shape --bf16]`
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import common
import workers
from process_memory import MemoryWatch

FEW = 1000
LIMIT = 100e6
MB = 1e6


def main() -> None:
    """Measure all and print the table."""
    parser = common.parser(__doc__, reviews=150_000, repeat=3)
    parser.add_argument("--held-out", type=int, default=5_000, help="test reviews")
    parser.add_argument("--steps", type=int, default=50)
    options = common.parse(parser, repeat=1)
    common.set_threads(options)
    few = min(FEW, options.reviews)
    names = ("guide", "worker, first time", "worker, again", f"worker, {few} reviews")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        model = common.make_model(options, Path(temporary))
        little = small_copy(options, model, few, Path(temporary))
        for number in range(options.repeat):
            directory = Path(temporary) / str(number)
            directory.mkdir()
            os.environ["NSMC_TUI_CACHE"] = str(directory / "cache")
            for name in names[1:]:
                source = little if name == names[3] else None
                found[name].append(ours(options, model, source, directory / "runs"))
            found[names[0]].append(guide(options, model, directory))
    print(f"Memory: {options.reviews} reviews, batch {options.batch}, {options.model}, {options.device}")
    print(f"({common.machine(options)})\n")
    print(common.table(HEADER, [_row(name, found[name], found["guide"]) for name in names]))
    for name in names[1:3]:
        pairs = list(zip(found[name], found[names[3]], strict=True))
        above, anonymous = (_above(pairs, kind) for kind in ("rss", "anonymous"))
        fit = "under" if above < LIMIT else "NOT under"
        told = "" if anonymous is None else f" ({anonymous / MB:+.0f} MB of what no file backs)"
        print(f"\n{options.reviews} reviews above {few} ({name}): {above / MB:+.0f} MB{told}, ", end="")
        print(f"{fit} {LIMIT / MB:.0f} MB.")


HEADER = (
    "median of the repeats", "peak RSS MB", "ratio", "least–most MB", "not of files MB", "with children MB",
    "peak GPU MB", "ratio",
)  # fmt: skip


def _above(pairs: list[tuple[dict[str, Any], dict[str, Any]]], kind: str) -> float | None:
    if any(answer[kind] is None for pair in pairs for answer in pair):
        return None
    return common.median(all_[kind] - some[kind] for all_, some in pairs)


def settings(options: Any) -> dict[str, Any]:
    """What both sides do: some steps, then the whole test split."""
    return {
        "train": {"max_steps": options.steps},
        "evaluate": {"splits": ["test"]},
    }


def small_copy(options: Any, model: Path, few: int, directory: Path) -> Path:
    """A directory with the first `few` train reviews, and the test reviews of all sides."""
    made = directory / "few"
    config = common.make_config(options, model, data={"train_limit": few, "test_limit": options.held_out})
    request = {"config": config.model_dump(mode="json"), "directory": str(made)}
    common.run_part("model.py", request, common.plain_environment(config), directory)
    return made


def ours(options: Any, model: Path, source: Path | None, runs: Path) -> dict[str, Any]:
    """The worker's peaks in bytes; `source` replaces the data."""
    data: dict[str, Any] = {"test_limit": options.held_out}
    if source is not None:
        data["source"] = str(source)
    worker = workers.Worker(common.make_config(options, model, data=data, **settings(options)), runs)
    watch = MemoryWatch()
    watch.begin(worker.pid)
    worker.finish()
    return {**watch.end(), "gpu": worker.gpu_peak()}


def guide(options: Any, model: Path, directory: Path) -> dict[str, Any]:
    """The guide's peaks in bytes."""
    config = common.make_config(options, model, data={"test_limit": options.held_out}, **settings(options))
    request = {"config": config.model_dump(mode="json"), "work": ["train", "evaluate"]}
    watch = MemoryWatch()
    answer = common.run_part("guide.py", request, common.plain_environment(config), directory, watch.begin)
    return {**answer, **watch.end()}


def _row(name: str, answers: list[dict[str, Any]], peer: list[dict[str, Any]]) -> list[str]:
    cells = [name]
    for kind in ("rss", "gpu"):
        if any(answer.get(kind) is None for answer in (*answers, *peer)):
            cells += ["–", "–"]
            continue
        values = [answer[kind] for answer in answers]
        ratio = common.median(ours / theirs[kind] for ours, theirs in zip(values, peer, strict=True))
        cells += [f"{common.median(values) / MB:.0f}", f"{ratio:.2f}"]
        if kind == "rss":
            cells.append(f"{min(values) / MB:.0f}–{max(values) / MB:.0f}")
            for more in ("anonymous", "tree"):
                known = [answer[more] for answer in answers if answer[more] is not None]
                cells.append(f"{common.median(known) / MB:.0f}" if known else "–")
    return cells


if __name__ == "__main__":
    main()
