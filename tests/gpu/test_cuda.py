"""The worker and the inspector on a CUDA GPU; skipped where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import config_file
from core.launch import create_run
from core.tail import JsonlTail
from tests.conftest import SMALL_RUN, run_worker

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")]


def test_a_run_reports_gpu_memory_and_devices(tmp_path: Path) -> None:
    values = {**SMALL_RUN, "launch": {"name": "gpu", "device_interval": 0.5}}
    values["train"] = {**SMALL_RUN["train"], "bf16": torch.cuda.is_bf16_supported()}
    run_dir = create_run(config_file.validate(values), tmp_path)
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    events = JsonlTail(run_dir / "events.jsonl").read(10**6, 30)
    steps = [event for event in events if event["type"] == "step"]
    assert all(event["gpu_peak"] >= event["gpu_allocated"] > 0 for event in steps)
    devices = [event for event in events if event["type"] == "device"]
    assert devices
    assert devices[-1]["memory_used"] <= devices[-1]["memory_total"]
    assert json.loads((run_dir / "test_results.json").read_text())["test_accuracy"] > 0.75


def test_the_peak_of_a_run_does_not_fall_at_its_evaluations(tmp_path: Path) -> None:
    train = {**SMALL_RUN["train"], "eval_strategy": "steps", "eval_steps": 10, "save_strategy": "no"}
    # Training takes more than evaluating, which has the peak counted anew.
    train |= {"per_device_train_batch_size": 128, "per_device_eval_batch_size": 1}
    launch = {"name": "peaks", "events_per_second": 5}
    run_dir = create_run(config_file.validate({**SMALL_RUN, "train": train, "launch": launch}), tmp_path)
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(of(run_dir, "eval")) > 1
    peaks = [event["gpu_peak"] for event in of(run_dir, "step")]
    assert len(peaks) > 1
    assert peaks == sorted(peaks)


def test_out_of_memory_is_told_with_a_smaller_batch(tmp_path: Path) -> None:
    """Torch is allowed a few megabytes of the card, so that any card is too small."""
    run_dir = create_run(config_file.validate({**SMALL_RUN, "launch": {"name": "oom"}}), tmp_path)
    script = (
        "import sys, torch\ntorch.cuda.set_per_process_memory_fraction(2e7 / torch.cuda.mem_get_info()[1])\n"
        f"import core.worker\nsys.exit(core.worker.main([{str(run_dir)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr[-3000:]
    failed = [event for event in JsonlTail(run_dir / "events.jsonl").read(10**6, 30) if event["type"] == "run_failed"]
    assert failed[0]["error"] == "out_of_memory"
    assert "per_device_train_batch_size" in failed[0]["hint"]


def of(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in JsonlTail(run_dir / "events.jsonl").read(10**6, 30) if event["type"] == kind]


def test_precision_is_what_the_gpu_can_do_and_memory_is_counted(tmp_path: Path) -> None:
    run_dir = create_run(config_file.validate({**SMALL_RUN, "launch": {"name": "auto"}}), tmp_path)
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    training = json.loads((run_dir / "environment.json").read_text())["training"]
    ampere = torch.cuda.get_device_capability() >= (8, 0)
    assert training["precision"] == ("bf16" if ampere else "fp32")
    assert training["device"].startswith("cuda")
    results = json.loads((run_dir / "all_results.json").read_text())
    assert results["train_mem_gpu_alloc_delta"] > 0
    assert results["train_mem_gpu_peaked_delta"] > 0
    assert results["eval_mem_gpu_peaked_delta"] > 0
    assert {"init_mem_cpu_alloc_delta", "train_mem_cpu_peaked_delta", "test_mem_gpu_alloc_delta"} <= results.keys()


def test_full_precision_is_there_for_who_asks(tmp_path: Path) -> None:
    values = {**SMALL_RUN, "launch": {"name": "plain"}}
    values["train"] = {**SMALL_RUN["train"], "bf16": False, "tf32": False, "max_steps": 5}
    run_dir = create_run(config_file.validate(values), tmp_path)
    done = run_worker(run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((run_dir / "environment.json").read_text())["training"]["precision"] == "fp32"


# Trains once with all the memory, to learn what the batch takes, and then with less than that.
SMALL_CARD = """
import sys, torch
from pathlib import Path
from core import config_file
from core.preparation import Preparation
from core.training import build_trainer
run_dir = Path({run_dir!r})
config = config_file.load(run_dir / "config.toml")

def peak(batch):
    config.train.per_device_train_batch_size = batch
    prepared = Preparation(config, run_dir / "probe").run()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    train = prepared.tokens["train"]
    trainer = build_trainer(config, prepared.arguments, prepared.model, prepared.tokenizer, train, None, [])
    trainer.train()
    found = torch.cuda.max_memory_reserved()
    del trainer, prepared
    import gc
    gc.collect()
    torch.cuda.empty_cache()
    return found

large, small = peak(512), peak(32)
assert large > small * 1.2, (large, small)
total = torch.cuda.mem_get_info()[1]
torch.cuda.set_per_process_memory_fraction((large + small) / 2 / total)
import core.worker
sys.exit(core.worker.main([str(run_dir)]))
"""


def test_out_of_memory_halves_the_batch_and_goes_on(tmp_path: Path) -> None:
    values = {**SMALL_RUN, "launch": {"name": "small card"}}
    values["model"] = {"preset": "small"}
    values["train"] = {
        **SMALL_RUN["train"], "per_device_train_batch_size": 512, "max_steps": 6, "eval_strategy": "no",
        "save_strategy": "no",
    }  # fmt: skip
    run_dir = create_run(config_file.validate(values), tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-c", SMALL_CARD.format(run_dir=str(run_dir))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    alerts = [event for event in of(run_dir, "alert") if event["code"] == "out_of_memory"]
    assert alerts
    assert "gradient_accumulation_steps" in alerts[0]["hint"]
    assert of(run_dir, "run_finished")[0]["state"] == "finished"
    assert of(run_dir, "step")[-1]["step"] == 6


def test_attention_over_batches_of_many_shapes_makes_no_plans() -> None:
    from torch.nn.attention import SDPBackend

    from core.attention_kernels import for_many_shapes

    for_many_shapes()
    states = torch.randn(4, 2, 23, 64, device="cuda", dtype=torch.bfloat16)
    mask = torch.ones(4, 1, 23, 23, device="cuda", dtype=torch.bool)
    for given in (None, mask):
        assert torch._fused_sdp_choice(states, states, states, given) != SDPBackend.CUDNN_ATTENTION.value


def test_the_next_batch_is_copied_while_the_gpu_computes() -> None:
    from datasets import Dataset
    from torch.utils.data import DataLoader

    from core.batches import TokenTable, as_is
    from core.feeding import Feeder

    rows = [[number] * 50 for number in range(64)]
    tokens = Dataset.from_dict({"input_ids": rows, "length": [50] * 64, "labels": [0, 1] * 32})
    plan = [list(range(start, start + 16)) for start in range(0, 64, 16)]
    batches = iter(
        DataLoader(TokenTable(tokens, 0), batch_sampler=plan, collate_fn=as_is, pin_memory=True)  # type: ignore[arg-type]
    )
    feeder = Feeder(torch.device("cuda"))
    first = feeder.take(batches, 1)
    torch.cuda.synchronize()
    # About a second of nothing on the stream that computes.
    torch.cuda._sleep(2_000_000_000)
    busy = torch.cuda.Event()
    busy.record()
    second = feeder.take(batches, 1)
    feeder._ready[0][2].synchronize()
    assert not busy.query(), "the copy waited for the computation"
    torch.cuda.synchronize()
    assert first[0]["input_ids"][:, 0].tolist() == list(range(16))
    assert second[0]["input_ids"][:, 0].tolist() == list(range(16, 32))


def test_going_on_on_a_gpu_gives_the_losses_of_the_whole_run(tmp_path: Path) -> None:
    """Not to the last digit: the GPU adds in another order each time."""
    train = {**SMALL_RUN["train"], "max_steps": 40, "bf16": False, "tf32": False, "logging_steps": 5}
    train |= {"eval_strategy": "no", "save_strategy": "no"}
    config = {**SMALL_RUN, "train": train, "evaluate": {"splits": ["dev"]}}
    whole = create_run(config_file.validate({**config, "launch": {"name": "whole"}}), tmp_path)
    parts = create_run(config_file.validate({**config, "launch": {"name": "parts", "stop_at_step": 17}}), tmp_path)
    assert run_worker(whole).returncode == 0
    assert run_worker(parts).returncode == 0
    done = run_worker(parts, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [json.loads((path / "train_results.json").read_text())["train_loss"] for path in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_inspector_agrees_with_the_cpu(finished_run: Path) -> None:
    from core.inspector_client import inspect_once

    text = "정말 재밌다 ㅋㅋ 또 보고 싶다"
    on_gpu = inspect_once(finished_run / "model", text, 64, device="cuda")
    on_cpu = inspect_once(finished_run / "model", text, 64, device="cpu")
    np.testing.assert_allclose(on_gpu.attention, on_cpu.attention, atol=1e-4)


def test_explanations_agree_with_the_cpu(finished_run: Path) -> None:
    from core import inspector_questions as questions
    from core.attribution_methods import METHODS
    from core.inspector_client import inspector_session

    text = "정말 재밌다 ㅋㅋ 또 보고 싶다"
    with inspector_session() as session:
        for method in METHODS:
            question = questions.explain(finished_run / "model", text, 64, method=method, target=1)
            on_gpu, on_cpu = (session.ask(question, device).tokens for device in ("cuda", "cpu"))
            np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-3)
        heads = [session.ask(questions.knock_out(finished_run / "model", text, 64), d).heads for d in ("cuda", "cpu")]
        np.testing.assert_allclose(*heads, atol=1e-4)


def test_scoring_agrees_with_the_cpu(run_copy: Path) -> None:
    """The run was trained and scored on the CPU; here its model is put on the GPU."""
    import pyarrow.parquet as pq

    from core import predictions
    from core.evaluation import evaluate

    def probabilities() -> Any:
        return pq.read_table(predictions.path_for(run_copy, "test"))["prob_1"].to_numpy()

    on_cpu = probabilities()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    evaluate(run_copy, split="test")
    assert torch.cuda.max_memory_allocated() > before
    np.testing.assert_allclose(probabilities(), on_cpu, atol=1e-3)
