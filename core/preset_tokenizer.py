"""The tokenizer of the presets: WordPiece, trained on the run's own reviews, cached by their content.

Heavy: tokenizers and transformers are imported inside.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.paths import cache_dir, write_atomically

if TYPE_CHECKING:
    from datasets import Dataset
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

VOCAB_SIZE = 8000
# Seconds until whoever waits for the tokenizer looks around.
WAITING = 0.5
# Raised when `train_tokenizer` would make another tokenizer of the same texts.
TOKENIZER_VERSION = 1
# Characters of their own in the vocabulary; NSMC's 1,500 most frequent ones are 99.9% of its text.
MAX_ALPHABET = 1500
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# BERT's pre-tokenizer cuts at white space and makes each punctuation mark a word; ASCII symbols count as such.
_WORDS = r"[^\s\p{P}$+<=>^`|~]+|[\p{P}$+<=>^`|~]"


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
    """A WordPiece tokenizer of `vocab_size` pieces trained on `texts`, ready to be saved beside a model."""
    return _wrapped(_train(texts, vocab_size))


def _train(texts: Iterable[str], vocab_size: int = VOCAB_SIZE) -> Tokenizer:
    """The tokenizer itself, which needs no transformers.

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
    return tokenizer


def _wrapped(tokenizer: Any) -> PreTrainedTokenizerBase:
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

    path = _cached(fingerprint)
    if path.is_file():
        try:
            return _wrapped(Tokenizer.from_file(str(path)))
        except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception for a damaged file
            print(f"{path}: {error}", file=sys.stderr)
    tokenizer = _train(train["document"])
    _keep(tokenizer, path)
    return _wrapped(tokenizer)


def begin(train: Dataset, fingerprint: str) -> Callable[[Callable[[], None]], None]:
    """Begin to train in a thread what `preset_tokenizer` will be asked for, unless it is in the cache already.

    Returns what to call before asking for it, with what to do now and then while waiting, which may raise. Most of
    the training lets other threads run, so that it costs little beside the imports of torch and transformers. When
    it fails, or the cache cannot be written, `preset_tokenizer` trains it itself.
    """
    # Imported here, so that two threads do not import the same at a time.
    import regex  # noqa: F401
    import tokenizers  # noqa: F401

    path = _cached(fingerprint)
    if path.is_file():
        return lambda meanwhile: None
    texts = train["document"]
    # No daemon: at the end of the process such a thread is torn down in the middle of foreign code.
    thread = threading.Thread(target=lambda: _keep(_train(texts), path), name="tokenizer")
    thread.start()

    def wait(meanwhile: Callable[[], None]) -> None:
        while True:
            thread.join(WAITING)
            meanwhile()
            if not thread.is_alive():
                return

    return wait


def _cached(fingerprint: str) -> Path:
    key = f"{fingerprint}:{VOCAB_SIZE}:{MAX_ALPHABET}:{TOKENIZER_VERSION}:{version('tokenizers')}"
    return cache_dir() / "tokenizers" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def _keep(tokenizer: Tokenizer, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, tokenizer.to_str())
    except OSError as error:
        print(f"{path}: {error}", file=sys.stderr)
