"""From a config to all that training takes: reviews, tokens, model, arguments. For worker, forecast and benchmarks.

Heavy: torch, transformers and datasets are imported inside.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import preset_tokenizer
from core.config import RunConfig
from core.errors import DataError, ModelError
from core.i18n import gettext as _
from core.ranks import SOLO, Ranks

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PretrainedConfig, PreTrainedTokenizerBase, TrainingArguments

    from core.data import Splits

SPLITS = ("train", "dev", "test")
# Fewer tokens are no review: such a window is a mistake in the model's files.
SHORTEST = 6


def _silent(*args: Any, **fields: Any) -> None:
    """Tell nobody."""


@dataclass
class Prepared:
    """A run before its Trainer exists.

    `tokens` are in their split's own order, `fresh` names weights that were made anew, `unknown` is the share of
    unknown tokens in train.
    """

    config: RunConfig
    arguments: TrainingArguments
    splits: Splits
    tokenizer: PreTrainedTokenizerBase
    architecture: PretrainedConfig
    max_length: int
    tokens: dict[str, Dataset]
    model: torch.nn.Module
    fresh: list[str]
    unknown: float


class Preparation:
    """Makes a `Prepared`, telling `progress(phase, done, total)` and `alert(level, code, message, hint)` on the way.

    Either may raise to end it; so may `meet`, which waits for all ranks and is called once on each. Raises DataError,
    ModelError, ConfigError or OfflineError for what cannot be used.
    """

    def __init__(
        self,
        config: RunConfig,
        run_dir: Path,
        progress: Callable[[str, int, int], None] = _silent,
        alert: Callable[..., None] = _silent,
        ranks: Ranks = SOLO,
        meet: Callable[[], None] | None = None,
    ) -> None:
        self.config = config
        self.run_dir = run_dir
        self.progress = progress
        self.alert = alert
        self.meet = meet or ranks.wait
        self._ahead: preset_tokenizer.Ahead | None = None

    def run(self, splits_wanted: tuple[str, ...] = SPLITS) -> Prepared:
        """Everything but the Trainer; only `splits_wanted` are tokenised."""
        try:
            return self._run(splits_wanted)
        finally:
            if self._ahead is not None:
                self._ahead.end()

    def _run(self, splits_wanted: tuple[str, ...]) -> Prepared:
        self.progress("loading", 0, 0)
        # One process of each machine fills its caches, the others find them filled.
        first = int(os.environ.get("LOCAL_RANK", "0")) == 0
        splits: Splits | None = None
        gc.disable()
        try:
            if first and self.config.model.preset is not None:
                # Beside the imports, which keep one core busy.
                splits = self._load()
                self._ahead = preset_tokenizer.begin(splits.train, splits.fingerprint)
            import transformers

            from core.training import build_arguments
        finally:
            # Modules stay until the end: no collection has to look through their objects, now or later.
            gc.freeze()
            gc.enable()
        transformers.utils.logging.disable_progress_bar()
        # Nobody should wait for the long work to learn of a wrong argument.
        arguments = build_arguments(self.config, self.run_dir)
        if not first:
            self.meet()
        prepared = self._make(arguments, splits or self._load(), splits_wanted)
        if first:
            self.meet()
        gc.collect()
        return prepared

    def _load(self) -> Splits:
        from core import data

        return data.load_splits(self.config.data, lambda name, done, total: self.progress("loading", done, total))

    def _make(self, arguments: TrainingArguments, splits: Splits, wanted: tuple[str, ...]) -> Prepared:
        from core import models
        from core.training_data import tokenize
        from core.unknown_tokens import check_unknown, unknown_share

        config = self.config
        self._tell_of_data(splits)
        if len(splits.dev) == 0 and "dev" in wanted and config.train.eval_strategy != "no":
            raise DataError(
                _("of {count} train reviews none is left for the dev split").format(count=len(splits.train)),
                _("Raise data.dev_size, or set it to 0: then nothing is scored while training."),
            )
        if config.model.preset is not None:
            self.progress("tokenizing", 0, 0)
            if self._ahead is not None:
                # A stop is taken while the tokenizer is trained.
                self._ahead.wait(lambda: self.progress("tokenizing", 0, 0))
            tokenizer = preset_tokenizer.preset_tokenizer(splits.train, splits.fingerprint)
            architecture = models.preset_config(config.model.preset, tokenizer, config.model.config)
        else:
            self.progress("loading", 0, 0)
            architecture = models.load_config(config.model)
            tokenizer = models.load_tokenizer(config.model)
            side = models.settle_padding(tokenizer, architecture)
            if side:
                self.alert("info", "padding", *self._other_side(side))
        max_length = models.window(tokenizer, architecture, config.data.max_length)
        if max_length < config.data.max_length:
            self.alert(
                "warning",
                "window",
                _("reviews are cut at {length} tokens, the model's window").format(length=max_length),
            )
        own = models.window(tokenizer, architecture, SHORTEST)
        if own < SHORTEST:
            raise ModelError(
                _("{name} takes only {length} tokens").format(name=self._name(), length=own),
                _("Look at max_position_embeddings in its config.json and model_max_length in tokenizer_config.json."),
            )
        tokens = {
            name: tokenize(
                splits[name],
                tokenizer,
                max_length,
                f"{splits.fingerprint}:{name}",
                lambda done, total: self.progress("tokenizing", done, total),
            )
            for name in wanted
        }
        self._check_ids(tokens, architecture)
        unknown = 0.0
        if "train" in tokens:
            unknown = unknown_share(tokens["train"], tokenizer)
            sample = splits.train["document"][:500]
            check_unknown(unknown, config.model.max_unknown, self._name(), tokenizer, sample)
        model, fresh = self._build(architecture)
        return Prepared(config, arguments, splits, tokenizer, architecture, max_length, tokens, model, fresh, unknown)

    def _other_side(self, before: str) -> tuple[str, str]:
        names = {"left": _("on the left"), "right": _("on the right")}
        other = names["left" if before == "right" else "right"]
        return (
            _("the tokenizer of {name} pads {before}; reviews are padded {other}, and so will the run's model").format(
                name=self._name(), before=names[before], other=other
            ),
            _("Otherwise the prediction of a review would depend on how long the others in its batch are."),
        )

    def _name(self) -> str:
        return str(self.config.model.preset or self.config.model.name)

    def _tell_of_data(self, splits: Splits) -> None:
        for report in splits.report.files.values():
            left_out = report.describe_bad()
            for line in report.warnings():
                self.alert("warning" if line in left_out else "info", "data", line)

    def _check_ids(self, tokens: dict[str, Dataset], architecture: PretrainedConfig) -> None:
        """Refuse tokens without an embedding: on a GPU they end the process with an error that names no cause."""
        from core.training_data import largest_id

        size = getattr(architecture, "vocab_size", None)
        largest = max((largest_id(split) for split in tokens.values()), default=-1)
        if isinstance(size, int) and largest >= size:
            raise ModelError(
                _("the tokenizer gives token {number}, but {name} has only {size} embeddings").format(
                    number=largest, name=self.config.model.name, size=size
                ),
                _("Tokenizer and model do not belong together: take both from the same model."),
            )

    def _build(self, architecture: PretrainedConfig) -> tuple[torch.nn.Module, list[str]]:
        import transformers

        from core import models

        self.progress("building", 0, 0)
        # Whatever ran before, the weights depend on the seed alone.
        transformers.set_seed(self.config.train.seed)
        model, fresh = models.build_model(self.config.model, architecture)
        made_up = models.made_up_encoder(model, fresh)
        if made_up:
            self.alert(
                "warning",
                "weights",
                _("{name} lacks {count} weights of the encoder, which start from random numbers: {names}").format(
                    name=self.config.model.name, count=len(made_up), names=", ".join(made_up[:3])
                ),
                _("Training has to learn them from nothing: expect less of the model than its name promises."),
            )
        self._order_classes(model, fresh)
        return model, fresh

    def _order_classes(self, model: torch.nn.Module, fresh: list[str]) -> None:
        """Have a base that counts positive as class 0 start as it was trained, not upside down, and say so."""
        from core import label_order, models

        head = label_order.head_of(model)
        made_anew = bool(head) and f"{head}.weight" in fresh
        if made_anew or not models.counts_positive_first(self.config.model):
            return
        message = _("{name} counts positive as class 0 and negative as class 1, the other way round than here").format(
            name=self._name()
        )
        if head:
            label_order.turn_head(model, head)
            hint = _(
                "Its head was turned round: training goes on from what it knows, and the run's model has 0 negative."
            )
        else:
            hint = _("Its head could not be turned round: training starts with its answers upside down.")
        self.alert("warning", "labels", message, hint)
