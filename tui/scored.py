"""A split's scores at a threshold, as Evaluation shows them, without widgets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import formats
from core.i18n import N_, ngettext
from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.decision import Cuts, Decision
    from core.predictions import Predictions

SCORES = (
    ("accuracy", N_("accuracy")),
    ("f1", "F1"),
    ("precision", N_("precision")),
    ("recall", N_("recall")),
    ("macro_f1", N_("macro F1")),
    ("loss", N_("log loss")),
)


@dataclass(frozen=True, eq=False)
class Scored:
    """The scores of `n` reviews of a split at `decision`'s threshold.

    usual: the metrics at the model's own 0.5. review: what reviewers found (`core.review_scores.after_review`) at
    that threshold, None where nobody has judged anything, or for another threshold than was read.
    """

    split: str
    n: int
    cuts: Cuts
    decision: Decision
    metrics: dict[str, float]
    usual: dict[str, float]
    intervals: dict[str, list[float]]
    confusion: list[list[int]]
    review: dict[str, Any] | None = None

    def at(self, decision: Decision) -> Scored:
        """The same reviews at another threshold, in about a millisecond; without `review`."""
        from core import metrics

        matrix = self.cuts.confusion(decision.threshold)
        found = {**metrics.from_confusion(matrix), "loss": self.metrics["loss"]}
        return replace(
            self,
            decision=decision,
            metrics=found,
            intervals=metrics.intervals(matrix),
            confusion=matrix,
            review=None,
        )


def score(run_dir: Path, split: str | None, decision: Decision) -> tuple[list[str], Scored | None, Predictions | None]:
    """Read a split's predictions and score them; None while there are none. Raises RunError for a broken file."""
    from core import metrics
    from core.decision import Cuts
    from core.predictions import THRESHOLD, Predictions, splits
    from core.review_scores import review_summary

    available = splits(run_dir)
    if not available:
        return [], None, None
    chosen = split if split in available else available[0]
    predictions = Predictions(run_dir, chosen)
    cuts = Cuts(predictions)
    usual = {
        **metrics.from_confusion(cuts.confusion(THRESHOLD)),
        "loss": float(predictions.column("loss").mean()),
    }
    scored = Scored(chosen, len(predictions), cuts, decision, usual, usual, {}, []).at(decision)
    return available, replace(scored, review=review_summary(run_dir, chosen, decision.threshold)), predictions


def about_split(split: str) -> str:
    """How far the scores of a split can be trusted; empty where nothing is known."""
    if split == "test":
        return _("scored by the model that dev selected")
    if split == "dev":
        return _("the model was selected on these reviews: flattering, see test")
    return ""


def about_model(earlier: int | None) -> str:
    """Whose scores these are where they are not the run's as it is now: `earlier` is `core.runs.Run.earlier_model`."""
    if earlier is None:
        return ""
    return _("of the model of step {step}, before the run went on").format(step=formats.count(earlier))


def about_decision(decision: Decision, split: str) -> str:
    """The threshold and where it was chosen, for the scores of `split`; empty for the model's own."""
    if decision.usual:
        return ""
    threshold = _("threshold {value}").format(value=formats.threshold(decision.threshold))
    if decision.split == split:
        if decision.best:
            said = _("the highest F1 on these reviews: flattering here")
        else:
            said = _("set by hand on these reviews: flattering here")
    elif decision.best:
        said = _("the highest F1 on {chosen}; {split} had no say").format(chosen=decision.split, split=split)
    else:
        said = _("set by hand on {chosen}; {split} had no say").format(chosen=decision.split, split=split)
    return f"{threshold} · {said}"


def after_review(found: dict[str, Any] | None) -> str:
    """What the verdicts say of the accuracy, as lines under the matrix; empty where there are none."""
    if found is None or not found["judged"]:
        return ""
    lines = [
        ngettext(
            "after review: {n} judged, {disputed} label wrong",
            "after review: {n} judged, {disputed} labels wrong",
            found["disputed"],
        ).format(n=formats.count(found["judged"]), disputed=formats.count(found["disputed"]))
    ]
    titles = {"without_disputed": _("accuracy without them"), "corrected": _("accuracy, labels corrected")}
    if found["disputed"]:
        for name, title in titles.items():
            score = found["accuracy"][name]
            low, high = score["interval"]
            lines.append(f"{title} {formats.number(score['accuracy'])} [{low:.4f}, {high:.4f}]")
        if not found["judged_correct"]:
            lines.append(_("only errors were judged: both can only be too high"))
    return "\n".join(lines)


def markdown(scored: Scored) -> str:
    """The scores as a Markdown table."""
    rows = [f"| {scored.split} (n = {scored.n:,}) | | 95% |", "|---|---:|---|"]
    if not scored.decision.usual:
        rows.append(f"| threshold | {formats.threshold(scored.decision.threshold)} | |")
    for name, _title in SCORES:
        span = scored.intervals.get(name)
        shown = f"[{span[0]:.4f}, {span[1]:.4f}]" if span else ""
        rows.append(f"| {name} | {scored.metrics[name]:.4f} | {shown} |")
    return "\n".join(rows)
