"""Models and tokenizers of a run: pre-trained, from a checkpoint, or from nothing.

Heavy: torch and transformers are imported inside.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import ModelConfig
from core.errors import ModelError, OfflineError
from core.i18n import gettext as _
from core.paths import cache_dir, write_atomically

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

LABELS = {0: "negative", 1: "positive"}
VOCAB_SIZE = 8000
# Raised when `train_tokenizer` would make another tokenizer of the same texts.
TOKENIZER_VERSION = 1
HUB_TIMEOUT = 5.0
# The task is ours: two classes with these names.
OWN_SETTINGS = ("num_labels", "id2label", "label2id", "problem_type", "output_attentions", "output_hidden_states")
# Characters of their own in the vocabulary; NSMC's 1,500 most frequent ones are 99.9% of its text.
MAX_ALPHABET = 1500
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


# BERT's pre-tokenizer cuts at white space and makes each punctuation mark a word; ASCII symbols count as such.
_WORDS = r"[^\s\p{P}$+<=>^`|~]+|[\p{P}$+<=>^`|~]"


@dataclass(frozen=True)
class Preset:
    """A BERT trained from nothing; sizes as `BertConfig` names them."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    intermediate_size: int


PRESETS = {"tiny": Preset(2, 128, 2, 512), "small": Preset(4, 256, 4, 1024)}


def count_characters(texts: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """How often each character begins a word of BERT's pre-tokenizer, and how often it continues one."""
    import regex

    pieces = regex.compile(_WORDS)
    words: Counter[str] = Counter()
    for text in texts:
        words.update(pieces.findall(unicodedata.normalize("NFC", text)))
    first: Counter[str] = Counter()
    later: Counter[str] = Counter()
    unseen = regex.compile(r"[\p{Cc}\p{Cf}\p{Co}\p{Cs}]")
    for word, count in words.items():
        characters = unseen.sub("", word)
        first.update(dict.fromkeys(characters[:1], count))
        for character in characters[1:]:
            later[character] += count
    return first, later


def train_tokenizer(texts: Iterable[str], vocab_size: int = VOCAB_SIZE) -> PreTrainedTokenizerBase:
    """A WordPiece tokenizer of `vocab_size` pieces trained on `texts`, ready to be saved beside a model.

    The same texts give the same tokenizer: the trainer of `tokenizers` numbers continuing characters in the
    order of a hash table and breaks ties by these numbers, so they are numbered here, before it starts.
    NFC and no lower-casing: BERT's accent stripping would take Hangul syllables apart (google-research/bert#228).
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    texts = list(texts)
    first, later = count_characters(texts)
    both = first + later
    alphabet = sorted(both, key=lambda character: (-both[character], character))[:MAX_ALPHABET]
    continuing = sorted(f"##{character}" for character in alphabet if later[character])

    def blank(vocabulary: dict[str, int]) -> Tokenizer:
        made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=200))
        made.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.BertNormalizer(lowercase=False, strip_accents=False)]
        )
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
        return made

    learner = blank({})
    learner.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            special_tokens=[*SPECIAL_TOKENS, *continuing],
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        ),
    )
    # The continuing characters were special for the learner only.
    tokenizer = blank(learner.get_vocab(with_added_tokens=False))
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return _preset_tokenizer(tokenizer)


def _preset_tokenizer(tokenizer: Any) -> PreTrainedTokenizerBase:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=512,
    )


def preset_tokenizer(train: Dataset, fingerprint: str) -> PreTrainedTokenizerBase:
    """The presets' tokenizer for the reviews of `train`, from the cache where it was trained before.

    `fingerprint` names the split's content. A cache that cannot be written costs the training again.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    key = f"{fingerprint}:{VOCAB_SIZE}:{MAX_ALPHABET}:{TOKENIZER_VERSION}:{version('tokenizers')}"
    path = cache_dir() / "tokenizers" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    if path.is_file():
        try:
            return _preset_tokenizer(Tokenizer.from_file(str(path)))
        except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception for a damaged file
            print(f"{path}: {error}", file=sys.stderr)
    tokenizer = train_tokenizer(train["document"])
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, tokenizer.backend_tokenizer.to_str())
    except OSError as error:
        print(f"{path}: {error}", file=sys.stderr)
    return tokenizer


def preset_config(name: str, tokenizer: PreTrainedTokenizerBase, overrides: dict[str, Any]) -> PretrainedConfig:
    """The `BertConfig` of preset `name` for `tokenizer`. Raises ModelError for an override that BERT has not."""
    from transformers import AutoConfig

    _refuse_own(overrides)
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


def _refuse_own(overrides: dict[str, Any]) -> None:
    for key in overrides:
        if key in OWN_SETTINGS:
            raise ModelError(
                _("model.config.{key} cannot be set").format(key=key),
                _("The classes are negative and positive; data.negative_label and data.positive_label map yours."),
            )


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
    from safetensors import SafetensorError

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
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        text = str(error)
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
    from transformers import AutoTokenizer

    name = str(model.name)
    _check_directory(name)
    tokenizer = _loading(
        name, _("tokenizer"), lambda: AutoTokenizer.from_pretrained(name, revision=model.revision, **_local(name))
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
    _refuse_own(model.config)
    _check_directory(name)
    config, unused = _loading(
        name,
        _("config"),
        lambda: AutoConfig.from_pretrained(
            name,
            revision=model.revision,
            return_unused_kwargs=True,
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
    return config


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


def _check_directory(name: str) -> None:
    path = Path(name).expanduser()
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_path and not path.is_dir():
        raise ModelError(
            _("no such directory: {path}").format(path=name),
            _("Give a directory with config.json, tokenizer and weights, or a model's name on the Hub."),
        )
    if path.is_dir() and not (path / "config.json").is_file():
        inner = sorted(path.glob("*/config.json"))
        near = _("Perhaps {path}?").format(path=inner[-1].parent) if inner else ""
        raise ModelError(_("{path} has no config.json: it is not a model").format(path=name), near)


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
            lambda: AutoModelForSequenceClassification.from_config(config, dtype=torch.float32),
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
            **_local(name),
        ),
    )
    # A mismatched one comes with both sizes.
    mismatched = [key if isinstance(key, str) else str(key[0]) for key in info.get("mismatched_keys", ())]
    missing = [*info.get("missing_keys", ()), *mismatched]
    return built, missing


def window(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, max_length: int) -> int:
    """The longest input in tokens that tokenizer and model take, at most `max_length`.

    RoBERTa-like models number positions from `pad_token_id` + 1, which costs two of their position embeddings.
    """
    limit = min(max_length, int(tokenizer.model_max_length))
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        shifted = any(mark in config.model_type for mark in ("roberta", "camembert", "longformer", "xlm-r"))
        limit = min(limit, positions - 2 if shifted else positions)
    return limit
