"""One review, or several, as a file of one kind: what has to be asked for it, and what is written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import export_attention, export_html, export_png, export_svg
from core import inspector_questions as questions
from core.attention import layer_number
from core.attribution_methods import METHODS
from core.errors import UsageError
from core.export_attention import ReviewExport, TokenWeights
from core.export_files import check_free, write
from core.export_svg import View
from core.i18n import gettext as _
from core.inspector_answers import Attribution
from core.inspector_protocol import Inspection, Question

KINDS = ("html", "svg", "png", "csv", "npz", "bertviz")
"""Kinds of files. `bertviz` is NPZ with the script that shows it beside it."""

SINGLE = ("svg", "png", "csv", "npz", "bertviz")
"""Kinds that hold one review."""

EXTRA = tuple(name for name, method in METHODS.items() if not method.matrix)
"""Methods beyond what can be told from the attention itself: each is asked for."""

ENDINGS = {"bertviz": "npz"}

Asking = Generator[Question[Any], Any, ReviewExport]


def methods_for(kinds: Sequence[str], method: str, reviews: int = 1) -> tuple[str, ...]:
    """The methods that have to be asked for: all where the reader of a file chooses, else the one in view.

    None of them for a page of several reviews, which would take minutes: attention and rollout are in the answer.
    """
    if reviews > 1:
        return ()
    if {"html", "npz", "bertviz"} & set(kinds):
        return EXTRA
    return (method,) if method in EXTRA else ()


def asking(
    model: Path,
    text: str,
    max_length: int | None,
    methods: Sequence[str],
    target: int | None = None,
    about: Mapping[str, Any] | None = None,
    masked: Iterable[int] = (),
) -> Asking:
    """Yields questions for the inspector, takes each answer by `send`, and returns the review.

    target: the class that weights are about; None: 긍정 of a model with two classes, so that blue speaks for it and
    orange against it, whatever the answer was; else the predicted one. about: further fields of `ReviewExport`. masked:
    indexes of words that are hidden.
    """
    inspection: Inspection = yield questions.inspect(model, text, max_length, masked=masked)
    if target is None and len(inspection.labels) == 2:
        target = 1
    found = []
    for method in methods:
        question = questions.explain(model, text, max_length, method=method, target=target, masked=masked)
        attribution: Attribution = yield question
        weights = token_weights(attribution)
        if weights is not None:
            found.append(weights)
    return ReviewExport(inspection, methods=tuple(found), **(about or {}))


def answered(steps: Asking, ask: Callable[[Question[Any]], Any]) -> ReviewExport:
    """The review of `steps`, each question answered by `ask`."""
    answer: Any = None
    while True:
        try:
            question = steps.send(answer)
        except StopIteration as end:
            review: ReviewExport = end.value
            return review
        answer = ask(question)


def token_weights(attribution: Attribution) -> TokenWeights | None:
    """An answer of the inspector as it is exported; None where the model cannot give it."""
    if attribution.tokens is None:
        return None
    names = (_("negative"), _("positive"))
    labels = names if len(attribution.inspection.labels) == 2 else attribution.inspection.labels
    short = [_("for {label}").format(label=labels[attribution.target])]
    if attribution.gap is not None:
        short.append(_("{n} steps, gap {gap}").format(n=attribution.steps, gap=f"{attribution.gap:+.4f}"))
    note = f"{', '.join(short)}. {_(METHODS[attribution.method].help)} {attribution.note}".strip()
    note = f"{note} ({METHODS[attribution.method].source})"
    return TokenWeights(
        attribution.method, attribution.tokens, attribution.signed, note[:1].upper() + note[1:], ", ".join(short)
    )


def render(kind: str, reviews: Sequence[ReviewExport], view: View, title: str = "") -> bytes:
    """`reviews` as one file of `kind`. Raises ExportError where there is nothing to write or no converter, UsageError
    for a layer or head that is not there, and for several reviews in a kind of file that holds one."""
    if kind in SINGLE and len(reviews) != 1:
        raise UsageError(
            _("{kind} holds one review, not {n}").format(kind=kind.upper(), n=len(reviews)),
            _("HTML holds several; `nsmc-tui export RUN --what attention` makes files of each."),
        )
    if kind == "html":
        return export_html.page(reviews, title).encode("utf-8", "replace")
    review = reviews[0]
    view = replace(view, layer=layer_number(view.layer, review.inspection.n_layers))
    if kind == "svg":
        return export_svg.svg(review, view).encode("utf-8", "replace")
    if kind == "png":
        return export_png.png(export_svg.svg(review, view).encode("utf-8", "replace").decode())
    if kind == "csv":
        return export_attention.weights_csv(review, view.method, view.layer, view.head).encode("utf-8", "replace")
    return export_attention.npz(review)


def save(
    kind: str, path: Path, reviews: Sequence[ReviewExport], view: View, *, force: bool = False, title: str = ""
) -> list[Path]:
    """Write `reviews` to `path` as `kind`; the files that were written. Raises as `render` and `export_files.write`."""
    script = path.with_name(f"{path.stem}-bertviz.py")
    check_free(path, force)
    if kind == "bertviz":
        check_free(script, force)
    written = [write(path, render(kind, reviews, view, title), force)]
    if kind == "bertviz":
        written.append(write(script, export_attention.bertviz_script(path.name), force))
    return written
