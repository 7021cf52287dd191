"""`--threshold`: from which p(positive) a review is positive, as a number or as the best one on dev."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.i18n import gettext as _

if TYPE_CHECKING:
    from core.decision import Decision

DEV = "dev"
USUAL = "0.5"


class Threshold(click.ParamType):
    """A number above 0 and below 1, or `dev`."""

    name = "threshold"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | float:
        """The number, or `dev` as it is."""
        from core.decision import threshold_of

        if value == DEV or isinstance(value, float):
            return value
        found = threshold_of(str(value))
        if found is None:
            self.fail(_("{value} is neither a number above 0 and below 1 nor dev.").format(value=value), param, ctx)
        return found


threshold_option = click.option(
    "--threshold",
    type=Threshold(),
    metavar="X|dev",
    default=USUAL,
    show_default=True,
    help=_("p(positive) from which a review is taken as positive; dev: that with the highest F1 on dev."),
)


def decision_of(run_dir: Path, threshold: str | float) -> Decision:
    """What `--threshold` asks for. Raises RunError for `dev` where dev has no predictions."""
    from core.decision import Decision, best_on

    return best_on(run_dir, DEV) if isinstance(threshold, str) else Decision(threshold)


def decision_json(decision: Decision) -> dict[str, Any]:
    """How documents tell it: `threshold`, and `threshold_from`, the split that it was chosen on or null."""
    return {"threshold": decision.threshold, "threshold_from": decision.split or None}
