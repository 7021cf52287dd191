"""The inspector's ops that explain an answer: weights, agreement, deletion check, heads, knock-outs, flips.

Requests are those of `core.inspector_questions`, answers those of `core.inspector_answers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from core.attribution import Explainer, Options, Weights, explainer, subject_answer
from core.attribution_methods import METHODS, method_of
from core.errors import UsageError
from core.i18n import gettext as _
from core.inspector_ops import Answer, Request, Task, masked_of, max_length_of, text_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_DRAWS, MOST_WORDS, MOST_EVALUATIONS = 200, 100, 20_000


def explain(task: Task, request: Request) -> Answer:
    """A weight for each token and word by one method."""
    names = ("of", "steps", "mode", "layer", "head")
    options = Options(**{name: request[name] for name in names if request.get(name) is not None})
    method = method_of(str(request.get("method")))
    maker, inspection = _explainer(task, request)
    weights = maker.explain(method.name, options)
    return Answer({"inspection": inspection, **weights.header()}, _arrays(weights))


def agreement(task: Task, request: Request) -> Answer:
    """How alike methods rank the words, with the weights of each."""
    import numpy as np

    from core.rank_agreement import agreement as agree

    maker, inspection = _explainer(task, request)
    explained = _explain_all(maker, request)
    given = [weights for weights in explained if weights.words is not None]
    read = list(maker.subject.read_words)
    rows = np.array([weights.words for weights in given], dtype=np.float64).reshape(len(given), -1)
    rho, tau, signed = agree(rows[:, read], [weights.signed for weights in given])
    arrays: dict[str, Any] = {"spearman": rho, "kendall": tau, "signed": signed.astype(np.uint8)}
    for number, weights in enumerate(explained):
        arrays |= {f"{name} {number}": array for name, array in _arrays(weights).items()}
    header = {
        "inspection": inspection,
        "target": maker.target,
        "attributions": [weights.header() for weights in explained],
        "methods": [weights.method for weights in given],
    }
    return Answer(header, arrays)


def deletion(task: Task, request: Request) -> Answer:
    """Curves of the probability without the words of highest weight."""
    from core.attribution_occlusion import mode_of
    from core.deletion import deletion as check

    most = _whole(request, "most", 1, MOST_WORDS)
    draws = _whole(request, "draws", 0, MOST_DRAWS)
    seed = _whole(request, "seed", 0, 2**63 - 1)
    maker, inspection = _explainer(task, request)
    mode = mode_of(maker.loaded, request.get("mode"))
    explained = _explain_all(maker, request)
    found = check(
        maker.loaded,
        maker.subject,
        maker.target,
        [weights.words for weights in explained],
        mode,
        task,
        most,
        draws,
        seed,
    )
    names = ("order", "curves", "random", "random_sd", "areas")
    header = {
        "inspection": inspection,
        "target": maker.target,
        "mode": mode,
        "draws": draws,
        "seed": seed,
        "methods": [weights.method for weights in explained],
        "notes": [weights.note for weights in explained],
        "probability": found["probability"],
        "random_area": found["random_area"],
    }
    return Answer(header, {name: found[name] for name in names})


def head_stats(task: Task, request: Request) -> Answer:
    """Numbers about every head."""
    from core.head_stats import head_stats as stats

    maker, inspection = _explainer(task, request)
    loaded, subject = maker.loaded, maker.subject
    note, arrays, gradient = "", {}, None
    try:
        gradient = maker.gradients("logit").gradient_x_input
    except NotImplementedError:
        note = _("Models of type {type} do not let gradients at their input be taken.").format(type=loaded.model_type)
    attention = maker.attention()
    if attention is None:
        note = loaded.no_attention()
    else:
        query = None if loaded.mean_pooled else loaded.cls(subject.encoded.inputs["input_ids"])
        arrays = stats(attention, subject.special, query, gradient)
    return Answer({"inspection": inspection, "target": maker.target, "note": note}, dict(arrays))


def knock_out(task: Task, request: Request) -> Answer:
    """Probabilities without each head and each layer's attention."""
    from core.knock_out import knock_out as sweep
    from core.knock_out import unavailable

    maker, inspection = _explainer(task, request)
    found = sweep(maker.loaded, maker.subject.encoded.inputs, task)
    header = {"inspection": inspection, "target": maker.target, "note": ""}
    if found is None:
        return Answer(header | {"note": unavailable(maker.loaded)})
    return Answer(header, {"heads": found[0], "layers": found[1]})


def flip(task: Task, request: Request) -> Answer:
    """The fewest words without which the answer is another one."""
    from core.attribution_occlusion import mode_of, predict_without
    from core.flip import Words, search
    from core.inspector_batches import probabilities
    from core.predictions import THRESHOLD, class_at
    from core.word_edits import delete_words, moved_up

    most = _whole(request, "max_evaluations", 1, MOST_EVALUATIONS)
    threshold = request.get("threshold")
    loaded = task.model(request)
    subject = loaded.subject(text_of(request), max_length_of(request), masked_of(request))
    inspection = subject_answer(loaded, subject)
    mode = mode_of(loaded, request.get("mode"))
    before = inspection["probabilities"]
    if threshold is not None and not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1 and len(before) == 2):
        raise UsageError(_("A threshold is a number from 0 to 1, for a model of two classes."))
    if threshold == THRESHOLD:
        threshold = None
    answer = loaded.class_of(before, None)
    if threshold is not None:
        answer = class_at(answer, before[1], threshold)
    evaluated = 0

    def judge(sets: Sequence[Words]) -> list[float]:
        nonlocal evaluated
        values = probabilities(loaded, predict_without(loaded, subject, sets, mode, task, done=evaluated, total=most))
        evaluated += len(sets)
        return _firmness(values, answer, threshold).tolist()

    # To mask what is masked changes nothing; to take it out does.
    candidates = [word for word in subject.read_words if mode == "delete" or word not in subject.masked]
    found = search(candidates, judge, most)
    after, text, masked = before, subject.text, subject.masked
    if found.words is not None:
        logits = predict_without(loaded, subject, [found.words], mode, task)
        after = probabilities(loaded, logits)[0].tolist()
        text, masked = delete_words(subject.text, found.words), moved_up(subject.masked, found.words)
    header = {
        "inspection": inspection,
        "found": found.words is not None,
        "words": list(found.words or ()),
        "mode": mode,
        "text": text,
        "masked": sorted(masked),
        "probabilities": after,
        "minimal": found.minimal,
        "tried_size": found.tried_size,
        "evaluations": found.evaluations,
        "exhausted": found.exhausted,
    }
    return Answer(header)


def _firmness(values: NDArray[np.float64], answer: int, threshold: float | None) -> NDArray[np.float64]:
    """How far each of `values` (sets × classes) is from another answer than `answer`; below 0 it is another one."""
    import numpy as np

    if threshold is not None:
        # At the threshold the answer is 1.
        if answer == 1:
            return values[:, 1] - threshold
        return np.nextafter(threshold, -1) - values[:, 1]
    if values.shape[1] == 1:
        return np.full(len(values), 1.0)
    others = np.delete(values, answer, axis=1).max(axis=1)
    return np.asarray(values[:, answer] - others, dtype=np.float64)


def _explainer(task: Task, request: Request) -> tuple[Explainer, dict[str, Any]]:
    loaded = task.model(request)
    target = request.get("target")
    if target is not None and not isinstance(target, int):
        raise UsageError(_("There is no class {number}.").format(number=target))
    subject = loaded.subject(text_of(request), max_length_of(request), masked_of(request))
    return explainer(loaded, subject, target, task)


def _explain_all(maker: Explainer, request: Request) -> list[Weights]:
    """The weights by each of the request's methods, all of them where it names none."""
    names = request.get("methods")
    # Before any is computed: a name that is wrong must not cost a minute first.
    methods = [method_of(str(name)) for name in (METHODS if names is None else names)]
    # The pass that gives attention its gradient also gives attention and gradient × input.
    if any(method.attention and method.gradients for method in methods):
        # A model that it cannot be had of says so for each method.
        with suppress(NotImplementedError):
            maker.gradients("logit")
    options = Options(steps=request.get("steps") or Options.steps, layer=request.get("layer"), mode=request.get("mode"))
    return [
        maker.explain(
            method.name,
            options if method.name == "attention" else Options(steps=options.steps, mode=options.mode),
        )
        for method in methods
    ]


def _arrays(weights: Weights) -> dict[str, Any]:
    pairs = {"tokens": weights.tokens, "words": weights.words}
    return {name: array for name, array in pairs.items() if array is not None}


def _whole(request: Request, name: str, least: int, most: int) -> int:
    value = request.get(name)
    if not isinstance(value, int) or not least <= value <= most:
        raise UsageError(
            _("{name} cannot be {value}.").format(name=name, value=value),
            _("From {first} to {last}.").format(first=least, last=most),
        )
    return value
