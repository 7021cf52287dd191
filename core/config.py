"""What a run is made of: data, model, training, evaluation, launch. The models, without files.

Hyper-parameters carry the names that `transformers.TrainingArguments` gives them; any further field of it is
accepted under `[train]` (see `core.hf_args`). Reading and writing TOML is in `core.config_file`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.i18n import N_

PRESETS = ("tiny", "small")
GUIDE_MODEL = "xlm-roberta-base"


class Section(BaseModel):
    """Base of the sections: unknown keys are errors, assignments are checked."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)


class DataConfig(Section):
    """Which reviews to learn from, and how to read them."""

    source: str = "hub"
    """`sample`, `hub` or `hub:owner/name`, a directory with `ratings_train.txt` and `ratings_test.txt`, or a
    train file (TSV, CSV, JSONL, parquet) with `test_file` beside it."""
    test_file: str | None = None
    """The test file when `source` is a file. Without it, a file of the same kind named like the train file
    with `test` for `train` is looked for."""
    id_column: str = "id"
    """The column with the review's id; rows are numbered where the file has no such column."""
    document_column: str = "document"
    """The column with the review's text."""
    label_column: str = "label"
    """The column with the label."""
    negative_label: str = "0"
    """The value that means 부정 (label 0)."""
    positive_label: str = "1"
    """The value that means 긍정 (label 1)."""
    encoding: str = "utf-8"
    """The files' encoding; `cp949` for files of older Korean tools."""
    hub_revision: str = "refs/convert/parquet"
    """The revision to load from the Hub; the parquet conversion serves data sets that are still scripts. Empty for
    the main branch."""
    dev_size: float = Field(0.05, ge=0, lt=1_000_000)
    """Part of train set aside to select models on: a share below 1, else a number of reviews. Stratified by
    label; repeated texts stay on one side."""
    split_seed: int = Field(42, ge=0)
    """Seed of the train/dev split, apart from the training seed so that seeds can be compared on one split."""
    max_length: int = Field(128, ge=4)
    """Longest review in tokens, special tokens included; the rest is cut. NSMC's reviews have at most 140
    characters: 128 cuts almost none."""
    train_limit: int | None = Field(None, ge=1)
    """Use only the first N train reviews (after the split), for a trial run."""
    test_limit: int | None = Field(None, ge=1)
    """Use only the first N test reviews, for a trial run."""


class ModelConfig(Section):
    """Which encoder to train."""

    name: str | None = GUIDE_MODEL
    """A model on the Hub or in the local cache, a directory, or a checkpoint directory."""
    preset: Literal["tiny", "small"] | None = None
    """Train from nothing instead, with a tokenizer trained on the train split: `tiny` (BERT, 2 layers × 128) or
    `small` (4 × 256)."""
    from_config: bool = False
    """Take only the architecture of `name` and start from random weights (`AutoModel.from_config`)."""
    revision: str | None = None
    """The model's revision on the Hub."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Overrides of the model's config, such as `hidden_dropout_prob = 0.2`."""
    freeze: str = Field("none", pattern=r"^(none|embeddings|encoder|\d+)$")
    """What training leaves as it is: `none`, `embeddings`, a number N (embeddings and the first N layers), or
    `encoder` (everything below the classification head)."""
    max_unknown: float = Field(0.2, ge=0, le=1)
    """Refuse a tokenizer that turns more than this share of the train tokens into the unknown token; 1 takes any."""


class TrainConfig(BaseModel):
    """Hyper-parameters, named as in `transformers.TrainingArguments`; its other fields are accepted too."""

    model_config = ConfigDict(extra="allow", validate_assignment=True, use_attribute_docstrings=True)

    num_train_epochs: float = Field(1.0, gt=0)
    """Passes over the train split."""
    max_steps: int = Field(-1, ge=-1)
    """Stop after this many steps whatever the epochs; -1 means by epochs."""
    per_device_train_batch_size: int = Field(32, ge=1)
    """Reviews a step on one device."""
    per_device_eval_batch_size: int = Field(64, ge=1)
    """Reviews a batch when evaluating."""
    gradient_accumulation_steps: int = Field(1, ge=1)
    """Batches added up before one optimizer step."""
    learning_rate: float = Field(5e-5, gt=0, lt=1)
    """The step size at its highest. Pre-trained encoders usually take 1e-5 to 5e-5, training from nothing 1e-3."""
    lr_scheduler_type: str = "linear"
    """How the learning rate falls after the warm-up."""
    warmup_steps: float = Field(500, ge=0)
    """Steps until the learning rate is at its highest; below 1, the share of all steps."""
    weight_decay: float = Field(0.01, ge=0, lt=1)
    """Decay of the weights at each step (AdamW), biases and LayerNorm left out."""
    max_grad_norm: float = Field(1.0, ge=0)
    """The gradient is scaled down to this norm; 0 turns it off."""
    label_smoothing_factor: float = Field(0.0, ge=0, lt=1)
    """Share of the label given to the other class."""
    seed: int = Field(42, ge=0)
    """Seed of weights, dropout and order."""
    eval_strategy: Literal["no", "steps", "epoch"] = "epoch"
    """When to score the dev split while training."""
    save_strategy: Literal["no", "steps", "epoch", "best"] = "epoch"
    """When to save a checkpoint."""
    save_total_limit: int = Field(2, ge=0)
    """Checkpoints kept, 0 for all; the best one stays whatever its age."""
    load_best_model_at_end: bool = True
    """The run stands for the checkpoint that did best on dev, not for the last one."""
    metric_for_best_model: Literal["accuracy", "precision", "recall", "f1", "macro_f1", "loss"] = "accuracy"
    """The dev metric that selects the best checkpoint."""
    train_sampling_strategy: Literal["random", "sequential", "group_by_length", "batch_rebalance"] = "group_by_length"
    """Order of the train reviews; by length, hardly anything is padded."""

    max_tokens: int | None = Field(None, ge=16)
    """Tokens a batch on one device, padding included, instead of `per_device_train_batch_size`: many short
    reviews, few long ones."""
    class_weights: str = Field("none", pattern=r"^(none|balanced|\d+(\.\d+)?\s*,\s*\d+(\.\d+)?)$")
    """Weights of the classes in the loss: `none`, `balanced` (by their counts in train), or two numbers, negative
    and positive, such as `1, 2.5`."""
    layer_lr_decay: float = Field(1.0, gt=0, le=1)
    """Each layer below the head learns at this share of the rate of the one above it; 1 means all alike."""
    early_stopping_patience: int = Field(0, ge=0)
    """End training after this many evaluations in a row without a better `metric_for_best_model`; 0 never does."""
    early_stopping_threshold: float = Field(0.0, ge=0)
    """An evaluation counts as better only by more than this."""

    @property
    def extra(self) -> dict[str, Any]:
        """The further `TrainingArguments` fields that the user set."""
        return dict(self.__pydantic_extra__ or {})


# Fields of [train] that are nsmc-tui's own; all others go to `TrainingArguments`.
OWN_TRAIN = ("max_tokens", "class_weights", "layer_lr_decay", "early_stopping_patience", "early_stopping_threshold")


class EvaluateConfig(Section):
    """What is scored when training is over."""

    splits: list[Literal["dev", "test"]] = Field(default=["dev", "test"])
    """Splits to predict and score at the end; the test split is scored once, by the model that dev selected."""
    bootstrap: int = Field(2000, ge=100, le=100_000)
    """Resamples behind the intervals of F1."""
    history: bool = True
    """Keep what the model thought of each dev review at each evaluation, two bytes a review: the history that Review
    shows."""


class LaunchConfig(Section):
    """How the worker is run."""

    name: str | None = None
    """The run's name; part of its directory's name."""
    device: str | None = Field(None, pattern=r"^(cpu|cuda|\d+(,\d+)*)$")
    """`cpu`, `cuda`, or GPU numbers as in `CUDA_VISIBLE_DEVICES` (`0`, `0,1`); left out, whatever torch finds."""
    events_per_second: float = Field(5.0, gt=0, le=5)
    """Most `step` events a second, however fast the steps."""
    device_interval: float = Field(2.0, ge=0.5)
    """Seconds between two samples of the device."""
    stop_on_nan: bool = True
    """End the run as failed when the loss is no longer a number."""
    stop_at_step: int | None = Field(None, ge=1)
    """Stop as by the order `stop` after this step; the learning rate's schedule stays that of the whole run."""
    stop_at_epoch: float | None = Field(None, gt=0)
    """The same at the end of this many epochs."""
    on_out_of_memory: Literal["halve", "fail"] = "halve"
    """When a batch does not fit into the GPU's memory: take it in halves from then on, or end the run."""
    processes: int = Field(1, ge=1)
    """Processes on each machine, one a GPU, started by `torch.distributed.run`."""
    nodes: int = Field(1, ge=1)
    """Machines that train together; the run is started on one, the others run `nsmc-tui join RUN`."""
    rdzv_endpoint: str | None = Field(None, pattern=r"^[^\s:]+:\d+$")
    """`host:port` at which several machines meet; the host is one of them."""
    offline: bool = False
    """Never ask the Hub (as `HF_HUB_OFFLINE=1`)."""


class RunConfig(Section):
    """A whole run. `RunConfig()` is the guide's XLM-R fine-tuning."""

    data: DataConfig = Field(default_factory=DataConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = Field(default_factory=EvaluateConfig)
    launch: LaunchConfig = Field(default_factory=LaunchConfig)


SECTIONS = ("data", "model", "train", "evaluate", "launch")

# What the settings take that are checked by a pattern: nobody should have to read one.
ALLOWED = {
    "model.freeze": N_('must be "none", "embeddings", "encoder", or a number of layers such as "4"'),
    "train.class_weights": N_('must be "none", "balanced", or two numbers such as "1, 2.5"'),
    "launch.device": N_('must be "cpu", "cuda", or numbers of GPUs such as "0" or "0,1"'),
    "launch.rdzv_endpoint": N_('must be a host and a port such as "gpu1:29500"'),
}
