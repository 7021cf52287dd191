"""Models and tokenizers of a run: pre-trained, from a checkpoint, or from nothing.

Heavy: torch and transformers are imported inside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from core.config import ModelConfig
from core.errors import ModelError, OfflineError
from core.i18n import gettext as _
from core.label_order import is_reversed
from core.model_directory import check_directory, loading_errors, needs_code, refused_pickle

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

LABELS = {0: "negative", 1: "positive"}
HUB_TIMEOUT = 5.0
# Models that number positions from their padding token on; RoBERTa's other descendants have its name in theirs.
SHIFTED_POSITIONS = (
    "camembert",
    "data2vec-text",
    "esm",
    "ibert",
    "lilt",
    "longformer",
    "luke",
    "markuplm",
    "mpnet",
    "roberta",
    "xmod",
)


@dataclass(frozen=True)
class Preset:
    """A BERT trained from nothing; sizes as `BertConfig` names them."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    intermediate_size: int


PRESETS = {"tiny": Preset(2, 128, 2, 512), "small": Preset(4, 256, 4, 1024)}


def preset_config(name: str, tokenizer: PreTrainedTokenizerBase, overrides: dict[str, Any]) -> PretrainedConfig:
    """The `BertConfig` of preset `name` for `tokenizer`. Raises ModelError for an override that BERT has not."""
    from transformers import AutoConfig

    preset = PRESETS[name]
    config = AutoConfig.for_model(
        "bert",
        vocab_size=len(tokenizer),
        num_hidden_layers=preset.num_hidden_layers,
        hidden_size=preset.hidden_size,
        num_attention_heads=preset.num_attention_heads,
        intermediate_size=preset.intermediate_size,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        **_labels(),
    )
    for key, value in overrides.items():
        if not hasattr(config, key):
            raise _unknown_override(key, "bert", config)
        setattr(config, key, value)
    return config


def _labels() -> dict[str, Any]:
    return {"id2label": dict(LABELS), "label2id": {name: number for number, name in LABELS.items()}}


def _unknown_override(key: str, model: str, config: PretrainedConfig) -> ModelError:
    import difflib

    near = difflib.get_close_matches(key, list(config.to_dict()), n=1, cutoff=0.5)
    return ModelError(
        _("model.config.{key}: {model} has no such setting").format(key=key, model=model),
        _("Did you mean {near}?").format(near=near[0]) if near else _("`nsmc-tui model show` prints them."),
    )


def _loading(name: str, what: str, load: Callable[[], Any]) -> Any:
    """Run `load`, turning what transformers and the Hub raise into errors with a way out."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    hint = _("Give a directory with config.json, tokenizer and weights, or a model's name on the Hub.")
    try:
        return load()
    except GatedRepoError as error:
        raise ModelError(
            _("{name} is gated on the Hub").format(name=name), _("Accept its terms there and run `hf auth login`.")
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(_("no model {name} on the Hub").format(name=name), hint) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, HfHubHTTPError, ConnectionError, TimeoutError) as error:
        raise _offline(name) from error
    except UnpicklingError as error:
        raise refused_pickle(name) from error
    except loading_errors() as error:
        text = str(error)
        if needs_code(text):
            raise ModelError(_("{name} comes with code of its own").format(name=name), needs_code(text)) from error
        if "couldn't connect" in text or "offline mode" in text.lower() or "huggingface.co" in text:
            if "not a local folder" in text and "valid model identifier" in text:
                raise ModelError(_("no model {name}").format(name=name), hint) from error
            raise _offline(name) from error
        raise ModelError(
            _("cannot load the {what} of {name}: {reason}").format(
                what=what, name=name, reason=text.strip().splitlines()[0] if text.strip() else type(error).__name__
            ),
            hint,
        ) from error


def _offline(name: str) -> OfflineError:
    return OfflineError(
        _("{name} is not on this machine and the Hub is out of reach").format(name=name),
        _(
            "On a machine with network run `hf download {name}` and copy the directory here, then give its path with "
            "--model; or train from nothing with --preset tiny."
        ).format(name=name),
    )


def load_tokenizer(model: ModelConfig) -> PreTrainedTokenizerBase:
    """The tokenizer of a named model. Raises ModelError or OfflineError."""
    from core import saved_tokenizer

    name = str(model.name)
    check_directory(name)
    tokenizer = _loading(
        name, _("tokenizer"), lambda: saved_tokenizer.load(name, revision=model.revision, **_local(name))
    )
    if tokenizer.pad_token_id is None:
        raise ModelError(
            _("the tokenizer of {name} has no padding token").format(name=name),
            _("Reviews of different lengths cannot be put into one batch; choose an encoder model."),
        )
    return tokenizer


def load_config(model: ModelConfig) -> PretrainedConfig:
    """The config of a named model with the run's overrides and two labels. Raises ModelError or OfflineError."""
    from transformers import AutoConfig

    name = str(model.name)
    check_directory(name)
    config, unused = _loading(
        name,
        _("config"),
        lambda: AutoConfig.from_pretrained(
            name,
            revision=model.revision,
            return_unused_kwargs=True,
            trust_remote_code=False,
            **_local(name),
            **_labels(),
            **model.config,
        ),
    )
    for key in model.config:
        if key in unused or not hasattr(config, key):
            raise _unknown_override(key, config.model_type, config)
    # A checkpoint saved with these would break prediction; they are asked for a call at a time.
    config.output_attentions = False
    config.output_hidden_states = False
    # Of a model that was trained for several labels at once or a number: `pipeline` would give no softmax.
    config.problem_type = None
    return config


def counts_positive_first(model: ModelConfig) -> bool:
    """Whether the classifier whose weights training starts from names positive as class 0 and negative as class 1."""
    from transformers import PretrainedConfig

    if model.preset is not None or model.from_config:
        return False
    name = str(model.name)
    # As it stands in the file: `load_config` gives every model the labels of a run.
    found, _rest = _loading(
        name, _("config"), lambda: PretrainedConfig.get_config_dict(name, revision=model.revision, **_local(name))
    )
    names = found.get("id2label")
    return isinstance(names, dict) and is_reversed(names)


@functools.cache
def _local(name: str) -> dict[str, Any]:
    """Whether only local files are to be asked for: a directory, or a Hub that does not answer.

    transformers asks the Hub again and again for half a minute before it takes the copy in the cache.
    """
    if Path(name).is_dir():
        return {"local_files_only": True}
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled

    try:
        HfApi().model_info(name, timeout=HUB_TIMEOUT)
    except (HfHubHTTPError, HFValidationError):
        # The Hub answered (not found, gated, …), or the name is none: loading will say what is wrong.
        return {}
    except (HTTPError, OfflineModeIsEnabled, OSError):
        return {"local_files_only": True}
    return {}


def build_model(model: ModelConfig, config: PretrainedConfig) -> tuple[torch.nn.Module, list[str]]:
    """The classifier: random weights for presets and `from_config`, else pre-trained ones in float32.

    Returns the model and the names of weights that were not in the checkpoint (a fresh head is expected).
    Raises ModelError or OfflineError.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    if model.preset is not None or model.from_config:
        built = _loading(
            model.preset or str(model.name),
            _("model"),
            lambda: AutoModelForSequenceClassification.from_config(
                config, dtype=torch.float32, trust_remote_code=False
            ),
        )
        return built, []
    name = str(model.name)
    built, info = _loading(
        name,
        _("model"),
        lambda: AutoModelForSequenceClassification.from_pretrained(
            name,
            config=config,
            revision=model.revision,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
            **_local(name),
        ),
    )
    # A mismatched one comes with both sizes.
    mismatched = [key if isinstance(key, str) else str(key[0]) for key in info.get("mismatched_keys", ())]
    missing = [*info.get("missing_keys", ()), *mismatched]
    if missing and len(made_up_encoder(built, missing)) == len(_encoder_weights(built)):
        raise ModelError(
            _("the weights of {name} are not those of a {kind} model: none of its encoder is there").format(
                name=name, kind=config.model_type
            ),
            _("Give a directory whose config.json and weights belong together, or set model.from_config = true."),
        )
    return built, missing


def _encoder_weights(model: Any) -> list[str]:
    """The names of a classifier's weights below its head. A pooler counts as head: many checkpoints have none."""
    prefix = f"{model.base_model_prefix}."
    return [name for name, _weight in model.named_parameters() if name.startswith(prefix) and "pooler" not in name]


def made_up_encoder(model: Any, fresh: list[str]) -> list[str]:
    """Those of the weights `fresh`, which were not in a checkpoint, that are the encoder's."""
    return sorted(set(_encoder_weights(model)) & set(fresh))


def settle_padding(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> str:
    """Have tokenizer and model pad so that what is said of a review does not depend on its batch.

    Returns the side on which the tokenizer padded before where that was the wrong one, else nothing. XLNet reads the
    last place, which has to be the review's own. All others read the first one or look for the last token, and those
    that count places from the left would give a review other ones in another batch.
    """
    if getattr(config, "pad_token_id", None) is None:
        # Models that classify by a review's last token look for it before the padding.
        config.pad_token_id = tokenizer.pad_token_id
    last = config.model_type == "xlnet" and getattr(config, "summary_type", "last") == "last"
    side, before = "left" if last else "right", str(tokenizer.padding_side)
    if side == before:
        return ""
    # Only what a tokenizer was made with is saved with it.
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = side
    return before


def window(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, max_length: int) -> int:
    """The longest input in tokens that tokenizer and model take, at most `max_length`.

    RoBERTa-like models number positions from `pad_token_id` + 1, which costs them as many position embeddings.
    """
    limit = min(max_length, int(tokenizer.model_max_length))
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        # MPNet's padding position is 1 whatever its padding token.
        padding = 1 if config.model_type == "mpnet" else getattr(config, "pad_token_id", None)
        shifted = any(mark in config.model_type for mark in SHIFTED_POSITIONS)
        limit = min(limit, positions - (1 if padding is None else padding) - 1 if shifted else positions)
    return limit
