"""The model card of a run: `model/README.md` as the Hub reads it, with `model-index`, made of what was measured.

Light: huggingface_hub and pyarrow are imported inside.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import OWN_TRAIN, RunConfig, TrainConfig
from core.i18n import gettext as _
from core.i18n import ngettext
from core.models import LABELS
from core.paths import write_atomically

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

CARD_FILE = "README.md"
# Our name of a score → the Hub's metric type, its name, and arguments that tell two of one type apart.
METRICS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "accuracy": ("accuracy", "Accuracy", None),
    "f1": ("f1", "F1", None),
    "macro_f1": ("f1", "Macro F1", {"average": "macro"}),
    "precision": ("precision", "Precision", None),
    "recall": ("recall", "Recall", None),
    "loss": ("loss", "Loss", None),
}
# Our prefix in all_results.json → the split's name in a card.
SPLITS = {"test": "test", "eval": "validation"}
SHOWN_VERSIONS = ("nsmc-tui", "torch", "transformers", "datasets", "tokenizers", "accelerate")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+|[\w.-]+")


def write(run_dir: Path, config: RunConfig, results: dict[str, Any], environment: dict[str, Any]) -> Path:
    """Write `model/README.md` of a run whose `model/` is in place, and return its path.

    `results` is the content of all_results.json (`test_accuracy`, `eval_f1`, `train_runtime`, …), `environment` that
    of environment.json. Where `predictions-<split>.parquet` exists, what the model is bad at is measured from it. A
    card that is there is replaced. Raises OSError when it cannot be written.
    """
    from huggingface_hub import ModelCard

    data = card_data(run_dir, config, results)
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_body(run_dir, config, results, environment)}")
    path = run_dir / "model" / CARD_FILE
    write_atomically(path, str(card))
    return path


def note_resumed(run_dir: Path, step: int) -> None:
    """Say in the card of `model/` that its run went on from here. Saving a newer model takes card and note away.

    A run that is killed cannot say so afterwards. Raises OSError when it cannot be written.
    """
    path = run_dir / "model" / CARD_FILE
    note = _(
        "> This is the run's model as of step {step}. The run went on later and has not saved a newer one since."
    ).format(step=step)
    # A run that was killed while it scored has no card yet.
    card = path.read_text(encoding="utf-8") if path.is_file() else f"# {_cell(run_dir.name)}\n"
    if note in card:
        return
    head, title, rest = card.partition("\n# ") if not card.startswith("# ") else ("", "# ", card[2:])
    name, _newline, body = rest.partition("\n")
    write_atomically(path, f"{head}{title}{name}\n\n{note}\n{body}")


def card_data(run_dir: Path, config: RunConfig, results: dict[str, Any]) -> ModelCardData:
    """The card's metadata, `model-index` included where there are scores."""
    from huggingface_hub import ModelCardData

    dataset = dataset_on_hub(config)
    return ModelCardData(
        language="ko",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["sentiment-analysis", "korean", "nsmc-tui"],
        metrics=["accuracy", "f1", "precision", "recall"],
        base_model=base_model(config),
        datasets=[dataset] if dataset else None,
        model_name=config.launch.name or run_dir.name,
        eval_results=_eval_results(config, results) or None,
    )


def base_model(config: RunConfig) -> str | None:
    """The name on the Hub of the model that was fine-tuned; None for random weights and for local directories."""
    name = config.model.name
    if config.model.preset is not None or config.model.from_config or name is None:
        return None
    return name if _HUB_NAME.fullmatch(name) and not Path(name).expanduser().exists() else None


def dataset_on_hub(config: RunConfig) -> str | None:
    """The data's name on the Hub; None for local files and the sample."""
    from core.data_sources import DEFAULT_HUB_DATASET

    source = config.data.source
    if source == "hub":
        return DEFAULT_HUB_DATASET
    return source.removeprefix("hub:") if source.startswith("hub:") else None


def dataset_name(config: RunConfig) -> str:
    """What the data is called in the card: its name on the Hub, else its file's or directory's, never a path."""
    return dataset_on_hub(config) or Path(config.data.source).name or "data"


def _eval_results(config: RunConfig, results: dict[str, Any]) -> list[EvalResult]:
    """The scores on test, else on dev: a card should not show those that chose the model beside unbiased ones."""
    from huggingface_hub import EvalResult

    prefix = next((name for name in SPLITS if f"{name}_accuracy" in results), None)
    if prefix is None:
        return []
    name = dataset_name(config)
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Sentiment Analysis",
            dataset_type=name,
            dataset_name=name,
            dataset_split=SPLITS[prefix],
            metric_type=kind,
            metric_name=title,
            metric_value=results[f"{prefix}_{key}"],
            metric_args=arguments,
        )
        for key, (kind, title, arguments) in METRICS.items()
        if isinstance(results.get(f"{prefix}_{key}"), int | float)
    ]


# -- the text ---------------------------------------------------------------------------------------------------


def _body(run_dir: Path, config: RunConfig, results: dict[str, Any], environment: dict[str, Any]) -> str:
    sections = [
        f"# {_cell(config.launch.name or run_dir.name)}\n\n{_introduction(config)}",
        _section(_("Scores"), _scores(config, results)),
        _section(_("Limitations"), _limitations(run_dir)),
        _section(_("How to use"), _usage(run_dir)),
        _section(_("Training data"), _data(config, results, environment)),
        _section(_("Hyper-parameters"), _hyper_parameters(config, results)),
        _section(_("Software and machine"), _software(environment)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _cell(value: Any) -> str:
    """Foreign text inside Markdown: on one line, without what would end a table's cell or start a tag."""
    text = " ".join(str(value).split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    if not rows:
        return ""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(value) for value in row)} |" for row in rows)])


def _introduction(config: RunConfig) -> str:
    labels = ", ".join(f"`{name}` ({number})" for number, name in LABELS.items())
    base = base_model(config)
    if base is not None:
        origin = _("It was fine-tuned from `{name}`.").format(name=base)
    elif config.model.preset is not None:
        origin = _("It was trained from random weights (preset `{name}`).").format(name=config.model.preset)
    elif config.model.from_config:
        origin = _("It was trained from random weights with the architecture of `{name}`.").format(
            name=_cell(Path(str(config.model.name)).name)
        )
    else:
        origin = _("It was fine-tuned from a local model, `{name}`.").format(
            name=_cell(Path(str(config.model.name)).name)
        )
    what = _("A classifier of the sentiment of Korean reviews: {labels}.").format(labels=labels)
    return f"{what} {origin}"


def _scores(config: RunConfig, results: dict[str, Any]) -> str:
    splits = [prefix for prefix in SPLITS if f"{prefix}_accuracy" in results]
    names = {"test": _("test"), "eval": _("dev")}
    rows = [
        (title, *(_figure(results.get(f"{prefix}_{key}")) for prefix in splits))
        for key, (_kind, title, _arguments) in METRICS.items()
    ]
    if not splits:
        return ""
    note = _("Precision, recall and F1 are of the class `positive`.")
    if "eval" in splits and config.train.load_best_model_at_end:
        note += " " + _("The checkpoint was chosen on dev, so its dev scores flatter it.")
    return f"{_table((_('score'), *(names[prefix] for prefix in splits)), rows)}\n\n{note}"


def _figure(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"


def _limitations(run_dir: Path) -> str:
    """What the predictions show: errors by class and by length, and how far confidence can be trusted."""
    path = next(
        (p for p in (run_dir / f"predictions-{split}.parquet" for split in ("test", "dev")) if p.is_file()), None
    )
    if path is None:
        return ""
    found = measure(path)
    if not found["n"]:
        return ""
    lines = [
        ngettext(
            "Measured on {n} review of the split {split}:", "Measured on {n} reviews of the split {split}:", found["n"]
        ).format(n=f"{found['n']:,}", split=path.stem.removeprefix("predictions-")),
        "",
    ]
    for number, name in LABELS.items():
        wrong, total = found["wrong_by_label"][number]
        if total:
            lines.append(
                "- "
                + _("`{label}` reviews taken for the other class: {wrong} of {total} ({share:.1%})").format(
                    label=name, wrong=f"{wrong:,}", total=f"{total:,}", share=wrong / total
                )
            )
    lines += [
        "- "
        + ngettext(
            "accuracy on reviews of {low} to {high} tokens: {accuracy:.1%} ({n} review)",
            "accuracy on reviews of {low} to {high} tokens: {accuracy:.1%} ({n} reviews)",
            part["n"],
        ).format(low=part["low"], high=part["high"], accuracy=part["accuracy"], n=f"{part['n']:,}")
        for part in found["by_length"]
    ]
    lines.append(
        "- "
        + _("mean probability of the predicted class: {confidence:.1%}, accuracy: {accuracy:.1%}").format(
            confidence=found["confidence"], accuracy=found["accuracy"]
        )
    )
    return "\n".join(lines)


def measure(path: Path) -> dict[str, Any]:
    """Where a predictions file (`predictions-<split>.parquet`) is wrong.

    `n`, `accuracy`, `confidence` (mean probability of the predicted class), `wrong_by_label` {label: (wrong, all)},
    `by_length`: thirds of the reviews by their number of tokens, each `low`, `high`, `n`, `accuracy`.
    """
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["label", "pred", "prob_1", "n_tokens"])
    label, pred, prob, length = (table.column(name).to_numpy() for name in table.column_names)
    right = label == pred
    by_length = []
    thirds = np.quantile(length, [1 / 3, 2 / 3, 1], method="lower").tolist() if len(length) else []
    below = 0
    for high in sorted(set(thirds)):
        part = (length > below) & (length <= high)
        if part.any():
            by_length.append(
                {
                    "low": int(length[part].min()),
                    "high": int(high),
                    "n": int(part.sum()),
                    "accuracy": float(right[part].mean()),
                }
            )
        below = high
    return {
        "n": len(label),
        "accuracy": float(right.mean()) if len(label) else 0.0,
        "confidence": float(np.where(pred == 1, prob, 1 - prob).mean()) if len(label) else 0.0,
        "wrong_by_label": {
            number: (int((~right & (label == number)).sum()), int((label == number).sum())) for number in LABELS
        },
        "by_length": by_length,
    }


def _usage(run_dir: Path) -> str:
    place = f"{run_dir.name}/model"
    return (
        "```python\n"
        "from transformers import pipeline\n\n"
        f'classify = pipeline("text-classification", model="{place}")\n'
        'classify("배우들의 연기가 정말 좋았어요", truncation=True)\n'
        "```"
    )


def _data(config: RunConfig, results: dict[str, Any], environment: dict[str, Any]) -> str:
    data = environment.get("data") or {}
    rows: list[tuple[Any, ...]] = [(_("name"), dataset_name(config))]
    if data.get("fingerprint"):
        rows.append((_("fingerprint"), data["fingerprint"]))
    for split, report in (data.get("files") or {}).items():
        if isinstance(report.get("rows"), int):
            rows.append((_("reviews in the file of {split}").format(split=split), f"{report['rows']:,}"))
    for split, prefix in (("dev", "eval"), ("test", "test")):
        if isinstance(results.get(f"{prefix}_samples"), int):
            rows.append((_("reviews scored in {split}").format(split=split), f"{results[f'{prefix}_samples']:,}"))
    rows += [
        ("data.dev_size", config.data.dev_size),
        ("data.split_seed", config.data.split_seed),
        ("data.max_length", config.data.max_length),
    ]
    return _table((_("what"), _("value")), rows)


def _hyper_parameters(config: RunConfig, results: dict[str, Any]) -> str:
    train = config.train
    usual = TrainConfig()
    shown = (
        "num_train_epochs",
        "max_steps",
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "lr_scheduler_type",
        "warmup_steps",
        "weight_decay",
        "max_grad_norm",
        "label_smoothing_factor",
        "seed",
        "metric_for_best_model",
    )
    rows: list[tuple[Any, ...]] = [(name, getattr(train, name)) for name in shown]
    rows += [(name, getattr(train, name)) for name in OWN_TRAIN if getattr(train, name) != getattr(usual, name)]
    rows += sorted((name, value) for name, value in train.extra.items() if "token" not in name)
    if config.model.freeze != "none":
        rows.append(("model.freeze", config.model.freeze))
    rows += [(f"model.config.{name}", value) for name, value in config.model.config.items()]
    if isinstance(results.get("train_runtime"), int | float):
        rows.append((_("training time"), _("{n:.0f} s").format(n=results["train_runtime"])))
    return _table((_("setting"), _("value")), rows)


def _software(environment: dict[str, Any]) -> str:
    versions = environment.get("versions") or {}
    rows: list[tuple[Any, ...]] = [(name, versions[name]) for name in SHOWN_VERSIONS if name in versions]
    if environment.get("python"):
        rows.append(("Python", environment["python"]))
    training = environment.get("training") or {}
    for key, name in (("device", _("device")), ("precision", _("precision")), ("world_size", _("processes"))):
        if training.get(key) is not None:
            rows.append((name, training[key]))
    gpus = [str(gpu.get("name")) for gpu in environment.get("gpus") or []]
    if gpus and training.get("device") != "cpu":
        rows.append(("GPU", ", ".join(gpus)))
    return _table((_("what"), _("value")), rows)
