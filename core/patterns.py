"""What many errors have in common: words under heat in FP against FN, heads that differ between right and wrong.

Reviews are sampled, the inspector is asked about each (`asking`), and the answers are counted. Words are compared by
the log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008, "Fightin' Words", eq. 15 to
22), which keeps rare words from looking decisive. Heads are compared by Cohen's d. Light: numpy only.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import foreign_json
from core import inspector_questions as questions
from core.inspector_answers import Attribution, HeadStats
from core.inspector_protocol import Question, fingerprint
from core.paths import cache_dir, write_atomically
from core.predictions import THRESHOLD

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.predictions import Predictions
    from core.review_log import ReviewLog

VERSION = 1
HOT = 3
"""The words of a review that count as under heat: so many of highest weight."""

PRIOR = 100.0
"""Words that the prior is worth."""

SHOWN_WORDS, SHOWN_HEADS = 20, 20
KINDS = ("fp", "fn", "correct")

_EDGES = re.compile(r"^[^\w]+|[^\w]+$")


@dataclass(frozen=True)
class WordPattern:
    """A word: reviews of each kind that have it (`in_`), that have it under heat (`hot_`), and how decided it is.

    log_odds: of being hot in FP against FN, z: the same in standard errors; positive means FP.
    """

    word: str
    hot_fp: int
    hot_fn: int
    in_fp: int
    in_fn: int
    log_odds: float
    z: float


@dataclass(frozen=True)
class HeadPattern:
    """A number about a head: its means where the model is wrong and right, and Cohen's d between them with its 95%
    interval (Hedges and Olkin 1985)."""

    layer: int
    head: int
    stat: str
    wrong: float
    right: float
    d: float
    low: float
    high: float


@dataclass(frozen=True)
class Patterns:
    """What was found. n: reviews asked about of each kind; method: whose weights are the heat; threshold: p(positive)
    from which a review is positive, which tells FP, FN and correct apart."""

    n: dict[str, int]
    method: str
    split: str
    seed: int
    words: tuple[WordPattern, ...]
    tokens: tuple[WordPattern, ...]
    heads: tuple[HeadPattern, ...]
    compared: int = 0
    note: str = ""
    threshold: float = THRESHOLD

    def as_dict(self) -> dict[str, Any]:
        """For `--json` and the cache."""
        return asdict(self)


def from_dict(found: dict[str, Any]) -> Patterns:
    """What `as_dict` made. Raises KeyError or TypeError for anything else."""
    return Patterns(
        **{
            **found,
            "words": tuple(WordPattern(**word) for word in found["words"]),
            "tokens": tuple(WordPattern(**word) for word in found["tokens"]),
            "heads": tuple(HeadPattern(**head) for head in found["heads"]),
        }
    )


def sample(
    predictions: Predictions, each: int, seed: int = 0, threshold: float = THRESHOLD
) -> dict[str, NDArray[np.int64]]:
    """Rows of at most `each` FP, FN and correct reviews at a threshold, by chance: the same for the same seed."""
    import numpy as np

    dice = np.random.default_rng(seed)
    found = {}
    for kind in KINDS:
        rows = np.sort(predictions.select(kind, "id", threshold=threshold))
        found[kind] = rows if len(rows) <= each else np.sort(dice.choice(rows, each, replace=False))
    return found


@dataclass
class Counting:
    """Counts while the answers come in."""

    hot: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    seen: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    hot_tokens: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    seen_tokens: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    stats: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"right": [], "wrong": []})
    n: Counter[str] = field(default_factory=Counter)
    note: str = ""

    def add(self, kind: str, attribution: Attribution | None, stats: HeadStats | None) -> None:
        """One review's answers."""
        self.n[kind] += 1
        if stats is not None and stats.values:
            self.stats["right" if kind == "correct" else "wrong"].append(stats.values)
        elif stats is not None:
            self.note = stats.note
        if attribution is None or attribution.words is None or attribution.tokens is None:
            self.note = attribution.note if attribution is not None else self.note
            return
        inspection = attribution.inspection
        words = [normal(word.text) for word in inspection.words]
        self.seen[kind].update({word for word in words if word})
        self.hot[kind].update(hottest(words, attribution.words))
        tokens = ["" if token.special else normal(token.text) for token in inspection.tokens]
        self.seen_tokens[kind].update({token for token in tokens if token})
        self.hot_tokens[kind].update(hottest(tokens, attribution.tokens))

    def result(self, method: str, split: str, seed: int, threshold: float = THRESHOLD) -> Patterns:
        """What was found so far."""
        words = compare_words(self.hot["fp"], self.hot["fn"], self.seen)
        tokens = compare_words(self.hot_tokens["fp"], self.hot_tokens["fn"], self.seen_tokens)
        heads = compare_heads(self.stats["wrong"], self.stats["right"])
        n = {kind: self.n[kind] for kind in KINDS}
        shown = _ends(words), _ends(tokens), tuple(heads[:SHOWN_HEADS])
        return Patterns(n, method, split, seed, *shown, len(heads), self.note, threshold)


def normal(word: str) -> str:
    """A word as it is counted: NFC, without case, without signs around it."""
    return _EDGES.sub("", unicodedata.normalize("NFC", word).casefold())


def hottest(words: Sequence[str], weights: Any) -> set[str]:
    """The HOT different words of the highest weight above 0, signs and special tokens (empty) left out."""
    found: list[str] = []
    for place in sorted(range(len(words)), key=lambda place: -abs(float(weights[place]))):
        if len(found) == HOT or abs(float(weights[place])) == 0:
            break
        if words[place] and words[place] not in found:
            found.append(words[place])
    return set(found)


def compare_words(fp: Counter[str], fn: Counter[str], seen: dict[str, Counter[str]]) -> list[WordPattern]:
    """All words that were ever hot, by z: the most FP first. The prior is how often each word occurs at all."""
    background: Counter[str] = Counter()
    for counts in seen.values():
        background.update(counts)
    total = max(1, sum(background.values()))
    n_fp, n_fn = sum(fp.values()), sum(fn.values())
    found = []
    for word in sorted(set(fp) | set(fn)):
        prior = PRIOR * max(1, background[word]) / total
        rest = PRIOR - prior
        a, b = fp[word] + prior, fn[word] + prior
        log_odds = math.log(a / (n_fp - fp[word] + rest)) - math.log(b / (n_fn - fn[word] + rest))
        z = log_odds / math.sqrt(1 / a + 1 / b)
        found.append(WordPattern(word, fp[word], fn[word], seen["fp"][word], seen["fn"][word], log_odds, z))
    return sorted(found, key=lambda pattern: -pattern.z)


def _ends(words: list[WordPattern]) -> tuple[WordPattern, ...]:
    """The words that are most FP and those that are most FN, each at most SHOWN_WORDS."""
    fp = [word for word in words if word.z > 0][:SHOWN_WORDS]
    fn = [word for word in reversed(words) if word.z < 0][:SHOWN_WORDS]
    return (*fp, *fn)


def compare_heads(wrong: list[dict[str, Any]], right: list[dict[str, Any]]) -> list[HeadPattern]:
    """Every number about every head, the largest |d| first; none with fewer than two reviews on a side."""
    import numpy as np

    found: list[HeadPattern] = []
    names = [name for name in (wrong[0] if wrong else {}) if right and name in right[0]]
    for name in names:
        sides = [np.stack([values[name] for values in side]) for side in (wrong, right)]
        counts = [(~np.isnan(side)).sum(0) for side in sides]
        n_wrong, n_right = counts
        usable = (n_wrong > 1) & (n_right > 1)
        for layer, head in zip(*np.nonzero(usable), strict=True):
            one, other = (side[:, layer, head] for side in sides)
            one, other = one[~np.isnan(one)], other[~np.isnan(other)]
            spread = math.sqrt(
                ((len(one) - 1) * one.var(ddof=1) + (len(other) - 1) * other.var(ddof=1)) / (len(one) + len(other) - 2)
            )
            d = float((one.mean() - other.mean()) / spread) if spread > 0 else 0.0
            error = math.sqrt((len(one) + len(other)) / (len(one) * len(other)) + d * d / (2 * (len(one) + len(other))))
            place = (int(layer), int(head), name, float(one.mean()), float(other.mean()))
            found.append(HeadPattern(*place, d, d - 1.96 * error, d + 1.96 * error))
    return sorted(found, key=lambda pattern: -abs(pattern.d))


def verdicts_by_slice(predictions: Predictions, log: ReviewLog) -> dict[str, dict[str, int]]:
    """For each slice that holds a review with a verdict, a tag or a note: how many (`judged`), and counts of each
    verdict and `#tag`."""
    from core.slices import slices_of

    documents = dict(
        zip(predictions.table.column("id").to_pylist(), predictions.table.column("document").to_pylist(), strict=True)
    )
    found: dict[str, Counter[str]] = {}
    for review, opinion in log.held().items():
        names = [opinion.verdict] if opinion.verdict else []
        names += [f"#{tag}" for tag in opinion.tags]
        for part in slices_of(documents.get(review, "")):
            counts = found.setdefault(part.name, Counter())
            counts["judged"] += 1
            counts.update(names)
    return {name: dict(counts) for name, counts in sorted(found.items(), key=lambda item: -item[1]["judged"])}


Step = tuple[int, int, Question[Any]]


def asking(
    model: Path,
    predictions: Predictions,
    max_length: int | None,
    each: int,
    method: str = "attention",
    seed: int = 0,
    threshold: float = THRESHOLD,
) -> Generator[Step, Any, Patterns]:
    """Yields (done, total, question), takes each answer by `send`, returns the patterns.

    `method` is one of `core.attribution_methods.METHODS`; of signed ones the magnitude is the heat. Weights are for
    the class that is predicted at `threshold`.
    """
    rows = sample(predictions, each, seed, threshold)
    total = sum(len(chosen) for chosen in rows.values())
    counting, done = Counting(), 0
    for kind in KINDS:
        for row in rows[kind].tolist():
            review = predictions.row(row)
            text, pred = review.document, review.at(threshold).pred
            # Left to the model where it is its own answer, which is told apart by more than the file's digits.
            target = None if pred == review.pred else pred
            attribution = None
            if kind != "correct":
                question = questions.explain(model, text, max_length, method=method, target=target)
                attribution = yield done, total, bulk(question)
            stats = yield done, total, bulk(questions.head_stats(model, text, max_length, target=target))
            counting.add(kind, attribution[0] if attribution else None, stats[0])
            done += 1
    return counting.result(method, predictions.split, seed, threshold)


def bulk(question: Question[Any]) -> Question[tuple[Any]]:
    """`question` with its answer in a tuple, which no client keeps: hundreds would push out what is looked at."""
    return Question({**question.request, "bulk": True}, lambda header, payload: (question.read(header, payload),))


def advance(steps: Generator[Step, Any, Patterns], answer: Any) -> Step | Patterns:
    """Hand `answer` (None at first) to `steps`: the next step, or the patterns when there is none. For a thread, which
    cannot pass on the StopIteration."""
    try:
        return steps.send(answer)
    except StopIteration as end:
        found: Patterns = end.value
        return found


def answered(steps: Generator[Step, Any, Patterns], ask: Callable[[Step], Any]) -> Patterns:
    """The patterns of `steps`, each answered by `ask`."""
    answer: Any = None
    while not isinstance(step := advance(steps, answer), Patterns):
        answer = ask(step)
    return step


def cache_file(
    model: Path,
    predictions: Predictions,
    max_length: int | None,
    each: int,
    method: str,
    seed: int,
    threshold: float = THRESHOLD,
) -> Path:
    """Where the patterns of this model on these predictions are kept."""
    stat = predictions.path.stat()
    parts = [VERSION, fingerprint(model), str(predictions.path), stat.st_mtime_ns, max_length, each, method, seed]
    parts += [] if threshold == THRESHOLD else [threshold]
    return cache_dir() / "patterns" / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]}.json"


def kept(path: Path) -> Patterns | None:
    """The patterns in a file of the cache; None where there are none that can be read."""
    try:
        return from_dict(foreign_json.parse(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(path: Path, found: Patterns) -> None:
    """Put patterns into the cache. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(found.as_dict(), ensure_ascii=False))
