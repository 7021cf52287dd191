"""The variants of a review that were kept: the list of them, and how one more comes to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from rich.text import Text
from textual import on, work
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.inspector_protocol import Inspection
from core.text import visible
from core.variants import Variant, Variants
from tui.attention_subject import Subject
from tui.heat_scale import colour
from tui.what_if_state import Draft
from tui.widgets.spread_line import SpreadLine


class VariantPane(Vertical):
    """The variants of `subject`, read when mounted. Posts `Chosen` for the one to be shown."""

    class Chosen(Message):
        """The user wants `variant` in view."""

        def __init__(self, variant: Variant) -> None:
            super().__init__()
            self.variant = variant

    class Failed(Message):
        """A variant could not be kept: why, and the way out."""

        def __init__(self, error: NsmcTuiError) -> None:
            super().__init__()
            self.error = error

    class Listed(Message):
        """The variants that were kept before have been read."""

        def __init__(self, variants: Variants) -> None:
            super().__init__()
            self.variants = variants

    class Kept(Message):
        """`variant` is on disk."""

        def __init__(self, variant: Variant) -> None:
            super().__init__()
            self.variant = variant

    def __init__(self, subject: Subject, id: str | None = None) -> None:
        super().__init__(id=id)
        self.subject = subject
        self.variants: Variants | None = None
        self.parent_variant: Variant | None = None
        """The variant that the draft in view was made from, None for the review itself."""

    def compose(self) -> Iterable[Widget]:
        """How many there are, and they."""
        yield SpreadLine(id="variants-title")
        yield OptionList(id="variants", markup=False, compact=True)

    def on_mount(self) -> None:
        """Read what there is."""
        self._show()
        self._read()

    @work(exclusive=True, group="list")
    async def _read(self) -> None:
        self.post_message(self.Listed(await asyncio.to_thread(Variants, self.subject.run_dir)))

    @on(Listed)
    def _take_list(self, message: Listed) -> None:
        message.stop()
        self.variants = message.variants
        self._show()

    @property
    def kept(self) -> list[Variant]:
        """The variants of this review, the oldest first."""
        return [] if self.variants is None else self.variants.of(self.subject.id, self.subject.split)

    def _show(self) -> None:
        kept, options = self.kept, self.query_one(OptionList)
        quiet, target = colour(self.app, "secondary"), self.subject.pred
        title = Text(_("variants kept: {n}").format(n=len(kept)), quiet)
        self.query_one("#variants-title", SpreadLine).show(title, "" if kept else _("ctrl+s keeps the text in view"))
        options.clear_options()
        for variant in kept:
            change = variant.change if target else -variant.change
            probability = variant.prob_1 if target else variant.prob_0
            line = Text(no_wrap=True, overflow="ellipsis")
            line.append(f"{probability:.3f} ", "bold" if variant.flips(self.subject.threshold) else "")
            line.append(f"{change:+.3f} ".replace("-", "−"), quiet)
            line.append(visible(_with_masks(variant)))
            options.add_option(Option(line, id=variant.variant))
        options.display = bool(kept)

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        variant = next(variant for variant in self.kept if variant.variant == event.option.id)
        self.parent_variant = variant
        self.post_message(self.Chosen(variant))

    def keep(self, draft: Draft, inspection: Inspection) -> None:
        """Keep `draft`, to which the model said `inspection` (of two classes), with the review."""
        assert self.variants is not None
        self._keep(self.variants, draft, inspection, self.parent_variant)

    @work(group="keep")
    async def _keep(self, variants: Variants, draft: Draft, inspection: Inspection, parent: Variant | None) -> None:
        now, before = inspection.probabilities, self.subject.inspection.probabilities
        try:
            variant = await asyncio.to_thread(
                variants.add,
                self.subject.id,
                self.subject.split,
                draft.text,
                (now[0], now[1]),
                (before[0], before[1]),
                masked=draft.masked,
                parent=parent,
                note=draft.note,
            )
        except NsmcTuiError as error:
            self.post_message(self.Failed(error))
        else:
            self.post_message(self.Kept(variant))

    @on(Kept)
    def _take_kept(self, message: Kept) -> None:
        message.stop()
        self.parent_variant = message.variant
        self._show()


def _with_masks(variant: Variant) -> str:
    """The variant's words, `_` for a masked one."""
    draft = Draft(variant.text, frozenset(variant.masked))
    return " ".join("_" if n in draft.masked else word.text for n, word in enumerate(draft.words))
