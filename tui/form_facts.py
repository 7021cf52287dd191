"""What a run will be like, worked out without torch: sizes of the splits, steps, warm-up, where the model is.

Looking at files is for a thread (`gather`); the rest (`notices`) is arithmetic on what was gathered.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from core.config import DataConfig, RunConfig
from core.data_sources import DEFAULT_HUB_DATASET, Source, SourceFile, resolve_source
from core.device import Nvml, visible_gpus
from core.errors import DataError, ModelError, NsmcTuiError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.models import PRESETS
from core.sample import SIZES

# The figures of the data set's own page; nothing is fetched to count.
HUB_SIZES = {DEFAULT_HUB_DATASET: {"train": 150_000, "test": 50_000}}
CHUNK = 1 << 20
# Below this, random weights hardly move in an epoch of short reviews.
LOW_RATE_FROM_NOTHING = 2e-4

_counted: dict[tuple[str, int, int], int] = {}


@dataclass(frozen=True)
class Facts:
    """What files and the machine say about a config. `exact` is false where the reading itself may drop rows."""

    train_rows: int | None = None
    test_rows: int | None = None
    exact: bool = True
    gpus: int = 0
    data_error: NsmcTuiError | None = None
    model_error: NsmcTuiError | None = None
    model_place: str = ""
    model_doubt: bool = False

    @property
    def problems(self) -> dict[str, NsmcTuiError]:
        """What stands in the way of a start, by the setting that it concerns."""
        found = {"data.source": self.data_error, "model.name": self.model_error}
        return {key: error for key, error in found.items() if error is not None}


@dataclass(frozen=True)
class Notice:
    """One line about the run: a word what it is about, what there is to say, and whether it is a warning."""

    title: str
    text: str
    warning: bool = False
    key: str = ""


@dataclass(frozen=True)
class Plan:
    """The arithmetic of a run; None where it depends on something not known yet."""

    devices: int
    batch: int
    train: int | None
    dev: int | None
    test: int | None
    steps: int | None
    warmup: int | None


# -- looking (in a thread) ------------------------------------------------------------------------------------


def count_lines(path: Path) -> int:
    """The lines of a file, remembered as long as it keeps its size and time. Raises OSError."""
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns)
    if key not in _counted:
        lines, last = 0, b"\n"
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                lines += chunk.count(b"\n")
                last = chunk[-1:]
        _counted[key] = lines + (last != b"\n")
    return _counted[key]


def _rows(file: SourceFile | None) -> int | None:
    if file is None:
        return None
    if file.kind in ("tsv", "csv"):
        return max(0, count_lines(file.paths[0]) - 1)
    if file.kind == "jsonl":
        return count_lines(file.paths[0])
    if file.kind == "parquet":
        import pyarrow.lib
        import pyarrow.parquet

        try:
            return sum(int(pyarrow.parquet.read_metadata(path).num_rows) for path in file.paths)
        except pyarrow.lib.ArrowInvalid:
            return None
    return None


def gather(config: RunConfig) -> Facts:
    """Look at the files and the machine that `config` names. Never raises for what it does not find."""
    gpus = _gpus(config.launch.device)
    model_error, place, doubt = _model(config)
    try:
        source = resolve_source(config.data)
        train, test, exact = _sizes(source)
    except DataError as error:
        return Facts(gpus=gpus, data_error=error, model_error=model_error, model_place=place, model_doubt=doubt)
    except OSError as error:
        problem = DataError(
            _("{path} cannot be read: {reason}").format(path=config.data.source, reason=error.strerror or error),
            _("check the path and its permissions"),
        )
        return Facts(gpus=gpus, data_error=problem, model_error=model_error, model_place=place, model_doubt=doubt)
    return Facts(train, test, exact, gpus, None, model_error, place, doubt)


def _sizes(source: Source) -> tuple[int | None, int | None, bool]:
    if source.kind == "sample":
        return SIZES["train"], SIZES["test"], True
    if source.kind == "hub":
        sizes = HUB_SIZES.get(source.hub_name or "", {})
        return sizes.get("train"), sizes.get("test"), False
    return _rows(source.train), _rows(source.test), False


def _gpus(device: str | None) -> int:
    if device == "cpu":
        return 0
    nvml = Nvml()
    try:
        seen = len(visible_gpus(nvml.sample()))
    finally:
        nvml.close()
    if device and device.replace(",", "").isdigit():
        return len([part for part in device.split(",") if part])
    return seen


def _hub_cache() -> Path:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def _model(config: RunConfig) -> tuple[ModelError | None, str, bool]:
    model = config.model
    if model.preset is not None:
        sizes = PRESETS[model.preset]
        text = _("from nothing: BERT, {layers} layers × {width}, its own tokenizer")
        return None, text.format(layers=sizes.num_hidden_layers, width=sizes.hidden_size), False
    name = str(model.name)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            return (
                ModelError(
                    _("{path} has no config.json: it is not a model").format(path=name),
                    _("Give a directory with config.json, tokenizer and weights, or a model's name on the Hub."),
                ),
                "",
                False,
            )
        return None, _("a directory on this machine"), False
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        return (
            ModelError(
                _("no such directory: {path}").format(path=name),
                _("Give a directory with config.json, tokenizer and weights, or a model's name on the Hub."),
            ),
            "",
            False,
        )
    snapshots = _hub_cache() / f"models--{name.replace('/', '--')}" / "snapshots"
    if snapshots.is_dir():
        return None, _("from the Hub's local cache"), False
    if config.launch.offline:
        # Perhaps the cache lies where we do not look: a doubt, not an error.
        return None, _("not in the local cache, and launch.offline forbids to fetch it"), True
    return None, _("will be fetched from the Hub"), False


# -- arithmetic ------------------------------------------------------------------------------------------------


def _dev_rows(data: DataConfig, rows: int) -> int:
    return round(rows * data.dev_size) if data.dev_size < 1 else int(data.dev_size)


def plan(config: RunConfig, facts: Facts) -> Plan:
    """Sizes, steps and warm-up of a run, as `Trainer` will count them."""
    train, data = config.train, config.data
    devices = config.launch.processes * config.launch.nodes
    per_pass = train.per_device_train_batch_size * devices
    batch = per_pass * train.gradient_accumulation_steps
    dev = rows = None
    if facts.train_rows is not None:
        dev = min(_dev_rows(data, facts.train_rows), facts.train_rows)
        rows = facts.train_rows - dev
        if data.train_limit is not None:
            rows = min(rows, data.train_limit)
    test = facts.test_rows
    if test is not None and data.test_limit is not None:
        test = min(test, data.test_limit)
    steps: int | None = None
    if train.max_steps > 0:
        steps = train.max_steps
    elif rows and math.isfinite(train.num_train_epochs) and train.max_tokens is None:
        passes = rows // per_pass if train.extra.get("dataloader_drop_last") else math.ceil(rows / per_pass)
        a_pass = max(1, math.ceil(passes / train.gradient_accumulation_steps))
        steps = math.ceil(train.num_train_epochs * a_pass)
    warmup = int(train.warmup_steps) if train.warmup_steps >= 1 else None
    if train.warmup_steps < 1:
        warmup = None if steps is None else math.ceil(steps * train.warmup_steps)
    return Plan(devices, batch, rows, dev, test, steps, warmup)


def _about(value: int, exact: bool) -> str:
    return f"{value:,}" if exact else f"≈{value:,}"


def notices(config: RunConfig, facts: Facts) -> list[Notice]:
    """What is worth knowing before the start, the most important first; warnings among them."""
    made, train = plan(config, facts), config.train
    found = [_data_notice(made, facts), Notice(_("model"), facts.model_place, facts.model_doubt, "model.name")]
    factors = f"{train.per_device_train_batch_size} × {train.gradient_accumulation_steps}"
    if made.devices > 1:
        factors += " × " + ngettext("{n} process", "{n} processes", made.devices).format(n=made.devices)
    text = f"{factors} = " + ngettext("{n} review a step", "{n} reviews a step", made.batch).format(n=f"{made.batch:,}")
    if train.max_tokens is not None:
        text = _("up to {n} tokens on each device").format(n=f"{train.max_tokens:,}")
    found.append(Notice(_("batch"), text if facts.gpus else f"{text} · CPU"))
    if made.steps is not None:
        text = _about(made.steps, facts.exact or train.max_steps > 0)
        if train.max_steps > 0:
            text += " · train.max_steps"
            if made.train:
                text += " · " + _("epoch {n}").format(n=f"{made.steps * made.batch / made.train:.2f}")
        found.append(Notice(_("steps"), text))
    found += _warmup_notice(config, made)
    found += _warnings(config)
    return [notice for notice in found if notice.text]


def _data_notice(made: Plan, facts: Facts) -> Notice:
    if facts.data_error is not None or made.train is None or made.dev is None:
        return Notice(_("data"), "" if facts.data_error else _("size not known yet"), key="data.source")
    parts = [f"train {_about(made.train, facts.exact)}", f"dev {_about(made.dev, facts.exact)}"]
    if made.test is not None:
        parts.append(f"test {_about(made.test, facts.exact)}")
    if made.train <= 0:
        return Notice(_("data"), _("data.dev_size leaves nothing to train on"), True, "data.dev_size")
    return Notice(_("data"), " · ".join(parts), key="data.source")


def _warmup_notice(config: RunConfig, made: Plan) -> list[Notice]:
    if not made.warmup or config.train.lr_scheduler_type == "constant":
        return []
    if made.steps is None:
        return [Notice(_("warm-up"), ngettext("{n} step", "{n} steps", made.warmup).format(n=f"{made.warmup:,}"))]
    if made.warmup >= made.steps:
        text = ngettext(
            "warm-up {warmup} of {steps} step: the learning rate never reaches its highest",
            "warm-up {warmup} of {steps} steps: the learning rate never reaches its highest",
            made.steps,
        )
        return [
            Notice(
                _("warm-up"),
                text.format(warmup=f"{made.warmup:,}", steps=f"{made.steps:,}"),
                True,
                "train.warmup_steps",
            )
        ]
    text = ngettext("{warmup} of {steps} step ({share})", "{warmup} of {steps} steps ({share})", made.steps)
    share = f"{made.warmup / made.steps:.0%}"
    return [Notice(_("warm-up"), text.format(warmup=f"{made.warmup:,}", steps=f"{made.steps:,}", share=share))]


def _warnings(config: RunConfig) -> list[Notice]:
    train, model = config.train, config.model
    found = []
    if (model.preset is not None or model.from_config) and train.learning_rate < LOW_RATE_FROM_NOTHING:
        text = _("training from nothing usually takes a learning rate near 1e-3")
        found.append(Notice(_("rate"), text, True, "train.learning_rate"))
    if config.data.dev_size == 0:
        text = _("no dev split: the last checkpoint is taken, not the best")
        found.append(Notice("dev", text, True, "data.dev_size"))
    elif not train.load_best_model_at_end:
        text = _("the last checkpoint is taken, not the best on dev")
        found.append(Notice(_("best"), text, True, "train.load_best_model_at_end"))
    return found


def short(config: RunConfig, facts: Facts) -> str:
    """The run in one line: `batch 32 · 4,454 steps · warm-up 11% · dev 7,500 · test 50,000`."""
    made = plan(config, facts)
    parts = [_("batch {n}").format(n=f"{made.batch:,}")]
    if config.train.max_tokens is not None:
        parts = [_("{n} tokens a batch").format(n=f"{config.train.max_tokens:,}")]
    if made.steps is not None:
        steps = _about(made.steps, facts.exact or config.train.max_steps > 0)
        parts.append(ngettext("{n} step", "{n} steps", made.steps).format(n=steps))
        if made.warmup:
            share = f"{made.warmup / made.steps:.0%}" if made.warmup < made.steps else f"{made.warmup:,}"
            parts.append(_("warm-up {share}").format(share=share))
    if made.dev is not None:
        parts.append(f"dev {made.dev:,}")
    if made.test is not None:
        parts.append(f"test {made.test:,}")
    return " · ".join(parts)
