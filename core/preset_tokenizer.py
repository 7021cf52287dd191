"""The tokenizer of the presets: WordPiece, trained on the run's own reviews, cached by their content.

Heavy: tokenizers and transformers are imported inside.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
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
    return _wrapped(train_backend(texts, vocab_size))


def train_backend(texts: Iterable[str], vocab_size: int = VOCAB_SIZE) -> Tokenizer:
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
    tokenizer = train_backend(train["document"])
    _keep(tokenizer.to_str(), path)
    return _wrapped(tokenizer)


class Ahead:
    """`preset_tokenizer`'s work done ahead of time, in a process of its own that can be ended at any moment.

    It costs the imports of torch and transformers little, and writes nothing itself: a tokenizer that was not
    finished leaves nothing behind. When it fails, `preset_tokenizer` trains it itself.
    """

    def __init__(self, texts: Iterable[str], path: Path) -> None:
        # -P: a directory named `core` where the user happens to stand is not ours.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "core.tokenizer_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._thread = threading.Thread(target=self._exchange, args=(texts, path), name="tokenizer")
        self._thread.start()

    def _exchange(self, texts: Iterable[str], path: Path) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # It may be ended while it is still being told the texts, one a line.
        with suppress(BrokenPipeError), self._process.stdin as told:
            for text in texts:
                told.write(json.dumps(text).encode() + b"\n")
        made = self._process.stdout.read()
        if self._process.wait() == 0:
            _keep(made, path)

    def wait(self, meanwhile: Callable[[], None]) -> None:
        """Until it is trained; `meanwhile`, called now and then, may raise to leave."""
        while True:
            self._thread.join(WAITING)
            meanwhile()
            if not self._thread.is_alive():
                return

    def end(self) -> None:
        """End it, trained or not."""
        self._process.kill()
        self._thread.join()


def begin(train: Dataset, fingerprint: str) -> Ahead | None:
    """Begin to train what `preset_tokenizer` will be asked for; None where it is in the cache already.

    Whoever begins it ends it, however he goes on.
    """
    path = _cached(fingerprint)
    return None if path.is_file() else Ahead(train["document"], path)


def _cached(fingerprint: str) -> Path:
    key = f"{fingerprint}:{VOCAB_SIZE}:{MAX_ALPHABET}:{TOKENIZER_VERSION}:{version('tokenizers')}"
    return cache_dir() / "tokenizers" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def _keep(tokenizer: str | bytes, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, tokenizer)
    except OSError as error:
        print(f"{path}: {error}", file=sys.stderr)
