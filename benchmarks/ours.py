"""Our side of the throughput benchmarks: the worker's own preparation, Trainer and prediction, without its events.

Run by `common.run_part` in a process of its own.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from common import answer_part
from guide import train

from core.config import RunConfig


def run(request: dict[str, Any]) -> dict[str, Any]:
    """What `guide.run` does, with the product; also saves the trained model in `request["save"]` when given."""
    begun = time.perf_counter()
    # The guide imports it before its clock starts too; `scores` would on its first call.
    import sklearn.metrics  # noqa: F401

    from core.metrics import scores
    from core.preparation import Preparation
    from core.training import build_trainer, predict_logits

    config = RunConfig.model_validate(request["config"])
    with tempfile.TemporaryDirectory() as directory:
        prepared = Preparation(config, Path(directory)).run(("train", "test"))
        tokens = prepared.tokens
        trainer = build_trainer(
            config, prepared.arguments, prepared.model, prepared.tokenizer, tokens["train"], None, []
        )
        answer: dict[str, Any] = {"prepared": time.perf_counter() - begun}
        if "train" in request["work"]:
            answer |= train(trainer, prepared.arguments.train_batch_size)
        if "evaluate" in request["work"]:
            begun, worked = time.perf_counter(), time.process_time()
            logits, _metrics = predict_logits(trainer, tokens["test"], "test")
            labels = prepared.splits["test"].with_format("numpy")["label"][:]
            found = scores(labels, logits.argmax(-1))
            seconds = time.perf_counter() - begun
            answer |= {"evaluate_seconds": seconds, "evaluate_cpu": time.process_time() - worked}
            answer |= {"evaluate_rate": len(labels) / seconds, "accuracy": found["accuracy"]}
            answer["test_reviews"] = len(labels)
        if "save" in request:
            model: Any = prepared.model
            model.save_pretrained(request["save"])
            prepared.tokenizer.save_pretrained(request["save"])
    return answer


if __name__ == "__main__":
    answer_part(run)
