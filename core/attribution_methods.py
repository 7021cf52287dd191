"""The methods that give a text's tokens weights: what each is called, can and cannot tell, and comes from.

Light: for screens, help and the command line. The numbers are made in `core.attribution`.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import UsageError
from core.i18n import N_
from core.i18n import gettext as _


@dataclass(frozen=True)
class Method:
    """A way to give tokens weights.

    name: for arguments and files. title, help: English source texts for gettext, `help` one line of what it can and
    cannot tell. source: paper and arXiv id. signed: weights below 0 speak against the class. per_class: weights
    depend on the class asked about. attention: needs a model that gives its attention. gradients: needs a backward
    pass. matrix: there is a map (tokens × tokens) behind the weights.
    """

    name: str
    title: str
    help: str
    source: str
    signed: bool
    per_class: bool
    attention: bool
    gradients: bool
    matrix: bool = False


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "attention",
            N_("attention"),
            N_("Where a layer mixes information from; high attention need not matter for the answer."),
            "Jain & Wallace 2019, arXiv:1902.10186; Wiegreffe & Pinter 2019, arXiv:1908.04626",
            signed=False,
            per_class=False,
            attention=True,
            gradients=False,
            matrix=True,
        ),
        Method(
            "rollout",
            N_("rollout"),
            N_("Which input tokens can reach the answer through all layers; knows neither class nor sign."),
            "Abnar & Zuidema 2020, arXiv:2005.00928",
            signed=False,
            per_class=False,
            attention=True,
            gradients=False,
            matrix=True,
        ),
        Method(
            "gradient_x_input",
            N_("gradient × input"),
            N_("What a small change of each token would do to the class; misleads where the model is saturated."),
            "Shrikumar et al. 2016, arXiv:1605.01713",
            signed=True,
            per_class=True,
            attention=False,
            gradients=True,
        ),
        Method(
            "integrated_gradients",
            N_("integrated gradients"),
            N_("Shares the class's score among the tokens, up to the gap shown; depends on the baseline ([PAD])."),
            "Sundararajan et al. 2017, arXiv:1703.01365",
            signed=True,
            per_class=True,
            attention=False,
            gradients=True,
        ),
        Method(
            "relevance",
            N_("attention relevance"),
            N_("Attention that raises the class, carried through all layers; leaves out what speaks against it."),
            "Chefer et al. 2021, arXiv:2103.15679",
            signed=False,
            per_class=True,
            attention=True,
            gradients=True,
        ),
        Method(
            "occlusion",
            N_("occlusion"),
            N_("What really happens without each word; words that stand in for each other both look unimportant."),
            "Zeiler & Fergus 2014, arXiv:1311.2901; Li et al. 2016, arXiv:1612.08220",
            signed=True,
            per_class=True,
            attention=False,
            gradients=False,
        ),
    )
}
"""All methods by name, those that need least first."""


def method_of(name: str) -> Method:
    """The method called `name`. Raises UsageError for one that there is not."""
    method = METHODS.get(name)
    if method is None:
        raise UsageError(
            _("There is no method {method}.").format(method=name),
            _("One of: {methods}").format(methods=", ".join(METHODS)),
        )
    return method
