"""The guide's own pipeline, the peer of the throughput and memory benchmarks: its Dataset class, plain `Trainer`.

After "HuggingFace 정복하기", the guide the project grew out of (transformers 4.4, 2021). As there: the whole split is
tokenised at once with `padding=True`, so that every review is as long as the longest of the split, the tensors of
the split are held in memory, and `Trainer` has its own collator, sampler and logging. What differs, and why:

- `logging_dir` is gone from transformers 5, and with it the TensorBoard log that the guide wrote by default;
- columns of `datasets` 5 are no lists any more, hence `[:]`;
- nothing is saved, on either side: disks are not what is compared;
- learning rate, precision and seed are the other side's;
- reviews come from a directory, not from the Hub, whose script `nsmc` no longer loads.

Run by `common.run_part` in a process of its own.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

from common import answer_part

from core.config import RunConfig


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Train and evaluate as the guide does; `request`: `config`, `work` (a list of `train` and `evaluate`), `slice`.

    With `slice` the whole split is tokenised and padded, and the first reviews of it, as many as the config limits
    it to, are worked on.

    Returns seconds of each part, samples a second, the accuracy on test, the padded lengths, and the most that torch
    had allocated on a GPU in bytes.
    """
    begun = time.perf_counter()
    import torch
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support
    from transformers import (
        AutoConfig,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainingArguments,
    )

    from core.data import load_splits

    settings = RunConfig.model_validate(request["config"])
    if settings.launch.device == "cuda" and not torch.cuda.is_available():
        # Its Trainer would take the CPU, and hours.
        raise SystemExit("torch finds no GPU for --device cuda")
    config = AutoConfig.from_pretrained(settings.model.name, num_labels=2)
    model = AutoModelForSequenceClassification.from_pretrained(settings.model.name)
    tokenizer = AutoTokenizer.from_pretrained(settings.model.name, config=config)
    limits = {"train": settings.data.train_limit, "test": settings.data.test_limit}
    if request.get("slice"):
        settings.data.train_limit = settings.data.test_limit = None
    dataset = load_splits(settings.data)

    class NsmcData(torch.utils.data.Dataset):
        def __init__(self, dataset: Any, tokenizer: Any) -> None:
            super().__init__()
            self.label = torch.tensor(dataset["label"][:]).long()
            features = tokenizer([str(x) for x in dataset["document"]], padding=True, truncation=True)
            self.input = torch.tensor(features["input_ids"])
            self.mask = torch.tensor(features["attention_mask"])

        def __len__(self) -> int:
            return len(self.input)

        def __getitem__(self, index: int) -> dict[str, Any]:
            return {
                "input_ids": self.input[index],
                "attention_mask": self.mask[index],
                "label": self.label[index],
            }

    def compute_metrics(pred: Any) -> dict[str, float]:
        labels = pred.label_ids
        preds = pred.predictions.argmax(-1)
        precision, recall, f1, _ = precision_recall_fscore_support(labels, preds, average="binary")
        return {"accuracy": accuracy_score(labels, preds), "f1": f1, "precision": precision, "recall": recall}

    train_data = NsmcData(dataset["train"], tokenizer) if "train" in request["work"] else None
    test_data = NsmcData(dataset["test"], tokenizer)
    longest = (train_data if train_data is not None else test_data).input.shape[1]
    if train_data is not None:
        train_data = first(train_data, limits["train"])
    test_data = first(test_data, limits["test"])
    with tempfile.TemporaryDirectory() as directory:
        arguments = TrainingArguments(
            output_dir=directory,
            num_train_epochs=settings.train.num_train_epochs,
            max_steps=settings.train.max_steps,
            per_device_train_batch_size=settings.train.per_device_train_batch_size,
            per_device_eval_batch_size=settings.train.per_device_eval_batch_size,
            warmup_steps=settings.train.warmup_steps,
            weight_decay=settings.train.weight_decay,
            learning_rate=settings.train.learning_rate,
            save_strategy="no",
            bf16=settings.train.extra.get("bf16", False),
            seed=settings.train.seed,
            use_cpu=settings.launch.device == "cpu",
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            compute_metrics=compute_metrics,
            train_dataset=train_data,
            eval_dataset=test_data,
        )
        answer: dict[str, Any] = {"prepared": time.perf_counter() - begun, "longest": longest}
        if train_data is not None:
            answer |= train(trainer, arguments.train_batch_size)
        if "evaluate" in request["work"]:
            begun, worked = time.perf_counter(), time.process_time()
            metrics = trainer.evaluate()
            seconds = time.perf_counter() - begun
            answer |= {"evaluate_seconds": seconds, "evaluate_cpu": time.process_time() - worked}
            answer |= {"evaluate_rate": len(test_data) / seconds, "accuracy": metrics["eval_accuracy"]}
            answer["test_reviews"] = len(test_data)
    if torch.cuda.is_available():
        answer["gpu"] = torch.cuda.max_memory_allocated()
    return answer


def first(dataset: Any, limit: int | None) -> Any:
    """The first `limit` reviews of `dataset`, whose tensors stay as they are."""
    from torch.utils.data import Subset

    return dataset if limit is None or limit >= len(dataset) else Subset(dataset, range(limit))


def train(trainer: Any, batch: int) -> dict[str, float]:
    """Train; returns steps, wall-clock and CPU seconds of `train()`, and reviews a second."""
    begun, worked = time.perf_counter(), time.process_time()
    steps = trainer.train().global_step
    seconds = time.perf_counter() - begun
    answer = {"steps": steps, "train_seconds": seconds, "train_cpu": time.process_time() - worked}
    there = len(trainer.train_dataset)
    reviews = min(steps * batch, there * trainer.args.num_train_epochs)
    return {**answer, "train_reviews": there, "train_rate": reviews / seconds}


if __name__ == "__main__":
    answer_part(run)
