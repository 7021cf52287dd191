"""What the benchmarks share: options, the data and the model both sides get, processes, medians, tables.

Nothing heavy is imported here: the process that measures must not take CPU time or memory from those it measures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import checkout  # noqa: F401 - before anything of core

from core import config_file
from core.config import PRESETS, RunConfig
from core.device import Nvml
from core.environment import package_versions
from core.launch import worker_environment

HERE = Path(__file__).resolve().parent
if str(HERE) in sys.path:
    # Looked through last, or tui.py here would be taken for the package of that name.
    sys.path.remove(str(HERE))
    sys.path.append(str(HERE))
NSMC = HERE.parent.parent / "shared" / "data" / "nsmc"
SHAPES = ("xlm-roberta-base-shape", "bert-base-shape")
# What starts from random weights.
RANDOM = (*PRESETS, *SHAPES)
# The guide's own rate is for pre-trained weights; from nothing a model learns at this one (README.md).
LEARNING_RATES = {"nothing": 1e-3, "base-shape": 1e-4, "directory": 5e-5}


def parser(description: str | None, *, reviews: int, repeat: int, model: str = "tiny") -> argparse.ArgumentParser:
    """The options that all of them take, with this one's defaults."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--model", default=model, help=f"{', '.join(RANDOM)}, or a directory")
    made.add_argument("--data", default=None, help="as data.source; default: NSMC beside the project, else sample")
    made.add_argument("--reviews", type=int, default=reviews, help="train reviews")
    made.add_argument("--batch", type=int, default=32)
    made.add_argument("--bf16", action="store_true", help="bfloat16 on both sides")
    made.add_argument("--threads", type=int, default=None, help="threads of each side (OMP_NUM_THREADS)")
    made.add_argument("--repeat", type=int, default=repeat)
    return made


def parse(made: argparse.ArgumentParser, **on_gpu: Any) -> argparse.Namespace:
    """The options of this call; `on_gpu` are other defaults for `--device cuda`, so that it ends within ten minutes.

    Starts of processes and the guide's tokenising take most of them with the shape of XLM-R base; steps take little.
    """
    options = made.parse_args()
    if options.device == "cuda":
        made.set_defaults(**on_gpu)
        options = made.parse_args()
    return options


def data_source(options: argparse.Namespace) -> str:
    """The `data.source` of all runs."""
    if options.data is not None:
        return str(options.data)
    return str(NSMC) if NSMC.is_dir() else "sample"


def learning_rate(options: argparse.Namespace) -> float:
    """A rate at which the model learns something in a short run."""
    if options.model in PRESETS:
        return LEARNING_RATES["nothing"]
    return LEARNING_RATES["base-shape" if options.model in SHAPES else "directory"]


def make_config(options: argparse.Namespace, model: Path | str, *, seed: int = 42, **sections: Any) -> RunConfig:
    """The run that both sides do: no dev split, nothing saved, tokens as the guide has them (cut at 512, not 128).

    `model` is a preset's name or a directory; `sections` are further settings, such as `train={"max_steps": 10}`.
    """
    values: dict[str, dict[str, Any]] = {
        "data": {
            "source": data_source(options),
            "dev_size": 0,
            "max_length": 512,
            "train_limit": options.reviews,
        },
        "model": {"preset": model} if model in PRESETS else {"name": str(model)},
        "train": {
            "per_device_train_batch_size": options.batch,
            "learning_rate": learning_rate(options),
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "bf16": options.bf16,
            "seed": seed,
        },
        "evaluate": {"splits": []},
        "launch": {"device": options.device, "offline": True},
    }
    if options.device == "cuda":
        # A run of ours takes TF32 by itself, and the guide does not: what is compared is the same arithmetic.
        values["train"]["tf32"] = False
    for name, section in sections.items():
        values[name].update(section)
    return config_file.validate(values)


def set_threads(options: argparse.Namespace) -> None:
    """Give all sides the same number of threads, where one was asked for. One thread never waits for another: on a
    machine with other work that is the fair comparison, and CPU seconds are then a figure of their own."""
    if options.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)


def product_environment(config: RunConfig) -> dict[str, str]:
    """The environment in which the product starts its worker."""
    return worker_environment(config)


def plain_environment(config: RunConfig) -> dict[str, str]:
    """The user's own environment, on the run's device."""
    environment = dict(os.environ)
    if config.launch.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment


def run_part(
    script: str,
    request: dict[str, Any],
    environment: dict[str, str],
    directory: Path,
    begun: Callable[[int], None] = lambda pid: None,
) -> dict[str, Any]:
    """Run `benchmarks/script` on `request` in a fresh process and return the JSON document it writes.

    The script's arguments are two paths, of the request and of the answer. `begun` is told the process. Ends the
    benchmark with the end of the script's output when it fails.
    """
    paths = [directory / f"{name}.json" for name in ("request", "answer")]
    paths[0].write_text(json.dumps(request), encoding="utf-8")
    paths[1].unlink(missing_ok=True)
    log = directory / "output.txt"
    with log.open("wb") as output:
        command = [sys.executable, str(HERE / script), *map(str, paths)]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process:
            try:
                begun(process.pid)
                process.wait()
            except BaseException:
                # Whatever ends the benchmark, ctrl+c too, ends what it has started.
                process.kill()
                raise
    if process.returncode != 0 or not paths[1].is_file():
        tail = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise SystemExit(f"{tail}\n{script} failed (exit code {process.returncode})")
    answer: dict[str, Any] = json.loads(paths[1].read_bytes())
    return answer


def answer_part(work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The other end of `run_part`: do `work` on the request and write what it returns."""
    request, answer = map(Path, sys.argv[1:3])
    answer.write_text(json.dumps(work(json.loads(request.read_bytes()))), encoding="utf-8")


def add_lines(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Add `lines` to a file of JSON lines, for a later call of the same benchmark."""
    with file.open("a", encoding="utf-8") as opened:
        opened.writelines(json.dumps(line) + "\n" for line in lines)


def kept_lines(file: Path, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of `file` that hold all of `wanted`."""
    found = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [line for line in found if wanted.items() <= line.items()]


def median(values: Iterable[float]) -> float:
    """The median; of an even number of values the mean of the middle two."""
    return statistics.median(values)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, figures to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(options: argparse.Namespace) -> str:
    """Processor or GPU, cores and versions in a line."""
    versions = package_versions()
    parts = [_processor(), f"{os.cpu_count()} cores"]
    if options.device == "cuda":
        nvml = Nvml()
        parts += [gpu.name for gpu in nvml.sample()] or ["GPU without NVML"]
        nvml.close()
    parts.append(f"Python {platform.python_version()}")
    parts += [f"{name} {versions[name]}" for name in ("torch", "transformers") if name in versions]
    return ", ".join(parts)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def make_model(options: argparse.Namespace, directory: Path) -> Path:
    """The directory of the model that both sides start from: the user's own, or one made now (see model.py)."""
    if options.model not in RANDOM:
        return Path(options.model).expanduser().absolute()
    config = make_config(options, "tiny")
    made = directory / "initial"
    request = {"config": config.model_dump(mode="json"), "model": options.model, "directory": str(made)}
    run_part("model.py", request, plain_environment(config), directory)
    return made
