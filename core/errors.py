"""The one tree of errors: each carries what happened, and what the user can do about it."""

from __future__ import annotations


class NsmcTuiError(Exception):
    """Base of every error that nsmc-tui raises on purpose.

    `message` says what happened in one line, `hint` the way out. `code` names the kind of failure in events
    and for programs; `exit_code` is what the command line returns for it.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(NsmcTuiError):
    """Arguments that cannot be used: nothing was started."""

    code = "usage"
    exit_code = 2


class ConfigError(NsmcTuiError):
    """A config that cannot be used; `file` and `key` say where."""

    code = "config"
    exit_code = 2

    def __init__(self, message: str, hint: str = "", *, file: str = "", key: str = "") -> None:
        super().__init__(message, hint)
        self.file = file
        self.key = key


class DataError(NsmcTuiError):
    """Data that cannot be found or read; names the file and the lines."""

    code = "data"


class ModelError(NsmcTuiError):
    """A model or tokenizer that cannot be found, loaded or used."""

    code = "model"


class OfflineError(NsmcTuiError):
    """Something has to come from the Hub, and the Hub is out of reach."""

    code = "offline"


class RunError(NsmcTuiError):
    """A run directory that does not exist, is ambiguous, or cannot do what was asked."""

    code = "run"


class ControlError(NsmcTuiError):
    """An order that no worker has taken."""

    code = "control"


class TrainingError(NsmcTuiError):
    """Training that cannot go on."""

    code = "training"


class OutOfMemoryError(TrainingError):
    """The device's memory does not hold the model with this batch."""

    code = "out_of_memory"


class NanLossError(TrainingError):
    """The loss is no longer a number."""

    code = "nan_loss"


class DiskFullError(TrainingError):
    """There is no room left where the run is written."""

    code = "disk_full"


class ResumeError(RunError):
    """A run that cannot go on from where it was."""

    code = "resume"


class InspectorError(NsmcTuiError):
    """The inspector could not answer."""

    code = "inspector"
