"""The benchmarks run, as small as can be and without textual, rich or click; their figures are not judged."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core import data, models, preset_tokenizer
from core.config import DataConfig
from core.sample import generate

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
LITTLE = "a directory with 64 reviews"
SIZES = {
    "train_throughput.py": ("--reviews", "64", "--held-out", "64"),
    "eval_throughput.py": ("--held-out", "200"),
    "overhead.py": ("--reviews", "96"),
    # More reviews than there are: as many steps all the same.
    "overhead.py, in turns": ("--reviews", "96", "--batch", "8", "--how", "turns", "--data", LITTLE),
    "cold_start.py": ("--reviews", "200", "--model", "tiny"),
    "cold_start.py, of a directory": ("--reviews", "200", "--bf16"),
    "inspector.py": ("--texts", "3", "--tokens", "32"),
    "memory.py": ("--reviews", "1200", "--held-out", "64", "--steps", "2"),
}

# As if only `core` were installed: in the benchmark and in every process it starts.
WITHOUT_SCREENS = """
from importlib.machinery import PathFinder

found = PathFinder.find_spec

def find_spec(cls, name, path=None, target=None):
    if name.partition(".")[0] in ("textual", "textual_plotext", "plotext", "rich", "click", "syrupy"):
        return None
    return found(name, path, target)

# pytest keeps it as a class attribute of its own: a plain function would become a method there.
PathFinder.find_spec = classmethod(find_spec)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose Pythons find no screen library."""
    directory = tmp_path_factory.mktemp("site")
    (directory / "sitecustomize.py").write_text(WITHOUT_SCREENS, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(directory), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preset tiny with random weights in a directory: both sides start from it."""
    import torch
    from transformers import AutoModelForSequenceClassification

    splits = data.load_splits(DataConfig(source="sample"))
    tokenizer = preset_tokenizer.preset_tokenizer(splits.train, splits.fingerprint)
    torch.manual_seed(0)
    made = AutoModelForSequenceClassification.from_config(models.preset_config("tiny", tokenizer, {}))
    directory = tmp_path_factory.mktemp("model")
    made.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("little")
    for split in ("train", "test"):
        rows = [f"{row}\t{text}\t{label}" for row, text, label in generate(split)[:64]]
        (directory / f"ratings_{split}.txt").write_text("\n".join(["id\tdocument\tlabel", *rows]) + "\n", "utf-8")
    return directory


@pytest.fixture(scope="module")
def outputs(environment: dict[str, str], model: Path, little: Path) -> dict[str, str]:
    """What each benchmark prints. All at once: most of their time is importing torch in fresh processes."""
    running = {}
    for name, sizes in SIZES.items():
        options = ["--data", "sample", "--repeat", "1", *(str(little) if one == LITTLE else one for one in sizes)]
        if "--model" not in sizes:
            options += ["--model", str(model)]
        running[name] = subprocess.Popen(
            [sys.executable, str(BENCHMARKS / name.partition(",")[0]), *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    printed = {}
    for name, process in running.items():
        output, errors = process.communicate(timeout=500)
        assert process.returncode == 0, f"{name}: {errors}"
        printed[name] = output
    return printed


def cells(output: str, row: str) -> list[str]:
    """The cells of the table's row that begins with `row`."""
    line = next(line for line in output.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_screens_are_out_of_reach_in_these_tests(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import textual"], env=environment, capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError: No module named 'textual'" in done.stderr


def test_a_checkout_that_is_not_installed_is_measured(tmp_path: Path) -> None:
    """Without site-packages neither `core` nor anything else is found."""
    code = (
        f"import os, sys\nsys.path.insert(0, {str(BENCHMARKS)!r})\nimport checkout\nimport importlib.util\n"
        "print(importlib.util.find_spec('core').origin, os.environ['PYTHONPATH'], sep='\\n')"
    )
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, env=bare, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [str(ROOT / "core" / "__init__.py"), str(ROOT)], done.stderr


def test_the_tests_for_a_gpu_need_no_screens(environment: dict[str, str]) -> None:
    # Plugins of pytest bring what they test with along.
    alone = {**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    found = [line for line in done.stdout.splitlines() if "::" in line]
    assert found
    assert all(line.startswith("tests/gpu/") for line in found)


@pytest.mark.slow
def test_without_the_gpu_that_was_asked_for_nothing_is_measured(environment: dict[str, str], model: Path) -> None:
    """The guide's Trainer alone would silently train on the CPU."""
    command = [sys.executable, str(BENCHMARKS / "train_throughput.py"), "--device", "cuda", "--data", "sample"]
    done = subprocess.run(
        [*command, "--reviews", "64", "--repeat", "1", "--model", str(model)],
        env={**environment, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "torch finds no GPU for --device cuda", "", "guide.py failed (exit code 1)"
    ]  # fmt: skip
    assert done.stdout == ""


@pytest.mark.slow
def test_training_speed_and_accuracy_of_both_sides(outputs: dict[str, str]) -> None:
    output = outputs["train_throughput.py"]
    assert float(cells(output, "guide")[1]) > 0
    assert float(cells(output, "nsmc-tui")[1]) > 0
    assert re.search(r"Accuracy, ours − guide: [+-]\d+\.\d\d points", output)


@pytest.mark.slow
def test_both_sides_predict_the_same_with_the_same_weights(outputs: dict[str, str]) -> None:
    output = outputs["eval_throughput.py"]
    assert cells(output, "guide")[-1] == cells(output, "nsmc-tui")[-1]
    assert "Accuracy, ours − guide: +0.000 points" in output


@pytest.mark.slow
def test_overhead_is_that_of_a_run_somebody_watches(outputs: dict[str, str]) -> None:
    for output in (outputs["overhead.py"], outputs["overhead.py, in turns"]):
        # Without textual the watcher is not the app, and the row says so.
        for row in ("plain Trainer", "worker alone", "worker, watched by a reader of the events"):
            assert float(cells(output, row)[1]) > 0
            assert float(cells(output, row)[3]) > 0


@pytest.mark.slow
def test_a_start_is_timed_twice(outputs: dict[str, str]) -> None:
    for output in (outputs["cold_start.py"], outputs["cold_start.py, of a directory"]):
        for row in ("first start", "second start"):
            begins, told = (float(cells(output, row)[place]) for place in (1, -1))
            assert 0 < begins < told


@pytest.mark.slow
def test_a_review_costs_something_on_both_sides(outputs: dict[str, str]) -> None:
    for row in ("as they are", "full"):
        assert all(float(cell) > 0 for cell in cells(outputs["inspector.py"], row)[3:8])
    assert cells(outputs["inspector.py"], "full")[1] == "32"
    assert "a review after a long question was given up" in outputs["inspector.py"]


@pytest.mark.slow
def test_memory_of_both_sides_is_told(outputs: dict[str, str]) -> None:
    output = outputs["memory.py"]
    for row in ("guide", "worker, first time", "worker, again", "worker, 1000 reviews"):
        # No process with torch in it needs less than this.
        assert float(cells(output, row)[1]) > 100
        # Pages of libraries are files', and nobody has less with its children than without.
        assert float(cells(output, row)[4]) < float(cells(output, row)[1]) <= float(cells(output, row)[5])
    assert "1200 reviews above 1000" in output
    assert "MB of what no file backs" in output


RESETS = """
import re
from pathlib import Path

taken = bytearray(300 << 20)
print("taken", flush=True)
input()
del taken
Path("/proc/self/clear_refs").write_text("5")
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1), flush=True)
input()
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel keeps no peak that can be reset")
def test_the_peak_of_a_process_is_that_of_its_whole_life() -> None:
    """What a process had before it had its peak counted anew is seen from outside, its children beside it."""
    spec = importlib.util.spec_from_file_location("process_memory", BENCHMARKS / "process_memory.py")
    process_memory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(process_memory)
    parent = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {RESETS!r}]).returncode)"
    child, family = process_memory.MemoryWatch(), process_memory.MemoryWatch()
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "taken\n"
        (pid,) = process_memory.descendants(process.pid)
        child.begin(pid)
        family.begin(process.pid)
        eventually(lambda: child.rss > 300 << 20 and family.tree > 300 << 20)
        print(file=process.stdin, flush=True)
        counted = int(process.stdout.readline()) * 1024
        assert counted < 100 << 20, "nothing was counted anew, or this shows nothing"
        process.communicate("\n")
    assert process.returncode == 0
    found = child.end()
    assert found["rss"] > 300 << 20
    assert 300 << 20 < found["anonymous"] <= found["rss"] <= found["tree"]
    together = family.end()
    assert together["rss"] < 100 << 20
    assert together["tree"] > 300 << 20


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for a thread's look; the limit is for a condition that never comes."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
