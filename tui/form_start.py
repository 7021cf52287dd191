"""Starting the run that a form describes, off the event loop; and the messages that say how it went."""

from __future__ import annotations

from pathlib import Path

from textual.message import Message

from core.config import RunConfig
from core.errors import NsmcTuiError
from core.i18n import gettext as _
from core.launch import launch
from tui.form_facts import Facts, gather
from tui.start_messages import NotStarted, Started


class FactsGathered(Message):
    """What the files and the machine say about a config."""

    def __init__(self, config: RunConfig, facts: Facts) -> None:
        super().__init__()
        self.config = config
        self.facts = facts


def try_launch(config: RunConfig, runs: Path) -> Message:
    """Start the run unless its data or model are plainly not there; says how it went. For a thread."""
    facts = gather(config)
    if facts.problems:
        key, error = next(iter(facts.problems.items()))
        return NotStarted(error, key)
    try:
        return Started(launch(config, runs))
    except NsmcTuiError as error:
        return NotStarted(error)
    except OSError as error:
        reason = _("cannot start the run: {reason}").format(reason=error.strerror or error)
        return NotStarted(NsmcTuiError(reason))
