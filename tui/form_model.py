"""The state of the form for a new run, without widgets: values, edits, undo, validation, differences, search."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core import config_file
from core.config import RunConfig
from core.errors import ConfigError, NsmcTuiError
from core.i18n import gettext as _
from core.launch import default_name
from core.paths import runs_dir
from core.runs import CONFIG_FILE
from tui.form_fields import ESSENTIALS, GROUPS, Setting, all_settings, assignment_value, format_value, parse_text

Edits = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A line of the list: a group's title, a setting, or the title that opens the further settings.

    `full`: of a setting, its name with the section; of the title, that it is open.
    """

    kind: Literal["group", "setting", "more", "gap"]
    text: str = ""
    key: str = ""
    full: bool = False


class FormModel:
    """What the user has set. Only what differs from the guide's settings is kept, so that a default can follow.

    A value that cannot be used is kept all the same, with its error in `errors`: nothing typed is lost.
    `origin` says where the settings came from; empty for the guide's.
    """

    def __init__(self, origin: str = "") -> None:
        self.settings = all_settings()
        self.origin = origin
        self.file: Path | None = None
        self.edits: Edits = {}
        self.errors: dict[str, ConfigError] = {}
        # What files and the machine say against a setting; found elsewhere, shown like an error.
        self.outside: dict[str, NsmcTuiError] = {}
        self._kept: Edits = {}
        self._past: list[tuple[Edits, str]] = []
        self._future: list[tuple[Edits, str]] = []
        self._resolved: dict[str, Any] = {}
        self._config: RunConfig | None = None
        self._validate()

    # -- values ------------------------------------------------------------------------------------------------

    def value(self, key: str) -> Any:
        """The value in force: the one set, else the one that follows from others, else the default."""
        if key in self.edits:
            return self.edits[key]
        if key == "model.name" and self.edits.get("model.preset") is not None:
            return None
        return self._resolved.get(key, self.settings[key].default)

    def text(self, key: str) -> str:
        """The value as text, for showing and typing."""
        return format_value(self.value(key))

    def default_text(self, key: str) -> str:
        """The default as text."""
        return format_value(self.settings[key].default)

    def is_changed(self, key: str) -> bool:
        """Whether the value in force differs from the guide's."""
        return key in self.edits or self.value(key) != self.settings[key].default

    def follows(self, key: str) -> bool:
        """Whether the value differs from the default only because another setting asks for it."""
        return key not in self.edits and self.value(key) != self.settings[key].default

    def changed_keys(self) -> list[str]:
        """The settings that differ from the guide's, in the order of the form."""
        return [key for key in self.settings if self.is_changed(key)]

    @property
    def dirty(self) -> bool:
        """Whether there is something that was neither saved nor loaded."""
        return self.edits != self._kept

    def problem(self, key: str) -> NsmcTuiError | None:
        """What is wrong with a setting; None for nothing."""
        return self.errors.get(key) or self.outside.get(key)

    @property
    def problems(self) -> int:
        """How many settings have something wrong with them."""
        return len({*self.errors, *self.outside})

    # -- edits -------------------------------------------------------------------------------------------------

    def set_value(self, key: str, value: Any) -> bool:
        """Set `key`; None or the default takes it out. True when anything changed."""
        edits = dict(self.edits)
        setting = self.settings[key]
        if value is None or (value == setting.default and type(value) is not bool) or value is setting.default:
            edits.pop(key, None)
        else:
            edits[key] = value
        # A name and a preset exclude each other: the one set last holds.
        if key == "model.preset" and value is not None:
            edits.pop("model.name", None)
        if key == "model.name":
            edits.pop("model.preset", None)
        return self._become(edits)

    def set_text(self, key: str, text: str) -> bool:
        """Set `key` from what was typed. True when anything changed."""
        return self.set_value(key, parse_text(self.settings[key], text))

    def turn(self, key: str, step: int = 1) -> bool:
        """Go to the next (or previous) choice of a setting that has few; true and false for a switch."""
        options = self.options(key)
        if not options:
            return False
        here = self.text(key) or "none"
        index = options.index(here) if here in options else -step
        return self.set_text(key, options[(index + step) % len(options)])

    def options(self, key: str) -> list[str]:
        """The texts to choose from; empty for a setting that is typed."""
        setting = self.settings[key]
        if setting.kind == "bool" and not setting.choices:
            return ["true", "false"] + ([""] if setting.optional else [])
        return list(setting.choices)

    def reset(self, keys: Iterable[str]) -> bool:
        """Back to the guide's values. True when anything changed."""
        gone = set(keys)
        if "model.name" in gone:
            gone.add("model.preset")
        return self._become({key: value for key, value in self.edits.items() if key not in gone})

    def undo(self) -> bool:
        """Take the last change back. True when there was one."""
        if not self._past:
            return False
        self._future.append((self.edits, self.origin))
        self.edits, self.origin = self._past.pop()
        self._validate()
        return True

    def redo(self) -> bool:
        """Make the change again that was taken back last. True when there was one."""
        if not self._future:
            return False
        self._past.append((self.edits, self.origin))
        self.edits, self.origin = self._future.pop()
        self._validate()
        return True

    def _become(self, edits: Edits) -> bool:
        if edits == self.edits and [*edits] == [*self.edits]:
            return False
        self._past.append((self.edits, self.origin))
        self._future.clear()
        self.edits = edits
        self._validate()
        return True

    # -- validation --------------------------------------------------------------------------------------------

    def check(self, key: str, text: str) -> ConfigError | None:
        """What is wrong with `text` as the value of `key`, looked at alone; None when it can be used."""
        value = parse_text(self.settings[key], text)
        if key == "model.name" and value is None:
            return ConfigError(
                _("a run needs a model"), _("Type a name or a directory, or esc and choose a preset."), key=key
            )
        error = None if value is None else self._alone(key, value)
        if error is not None:
            # While typing, letters are text: the way out is esc.
            now = self.text(key) or _("not set")
            error.hint = f"{self._wanted(key)} " + _("esc leaves it as it was: {value}.").format(value=now)
        return error

    def _wanted(self, key: str) -> str:
        return _("Give: {wanted}.").format(wanted=self.settings[key].wanted)

    def _alone(self, key: str, value: Any) -> ConfigError | None:
        setting = self.settings[key]
        wrong = None
        if setting.choices and setting.kind == "str" and value not in setting.choices:
            choices = ", ".join(choice for choice in setting.choices if choice != "none")
            reason = _("must be one of {choices}").format(choices=choices)
            wrong = _("{key} = {value!r} {reason}").format(key=key, value=value, reason=reason)
        else:
            try:
                config_file.validate({setting.section: {setting.name: value}})
            except ConfigError as error:
                if error.key == key or error.key.startswith(key + "."):
                    wrong = error.message
        if wrong is None:
            return None
        hint = self._wanted(key)
        if self.default_text(key):
            hint += " " + _("r puts back {value}.").format(value=self.default_text(key))
        return ConfigError(wrong, hint, key=key)

    def _values(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        values: dict[str, dict[str, Any]] = {}
        for key in keys:
            section, name = key.split(".", 1)
            values.setdefault(section, {})[name] = self.edits[key]
        return values

    def _validate(self) -> None:
        self.errors, self._resolved, self._config = {}, {}, None
        for key, value in self.edits.items():
            error = self._alone(key, value)
            if error is not None:
                self.errors[key] = error
        try:
            config = config_file.validate(self._values(key for key in self.edits if key not in self.errors))
        except ConfigError as error:
            self.errors[error.key if error.key in self.settings else "model.name"] = error
            return
        dumped = config.model_dump(mode="json")
        self._resolved = {
            f"{section}.{name}": value for section, content in dumped.items() for name, value in content.items()
        }
        if not self.errors:
            self._config = config

    def config(self) -> RunConfig:
        """The run that is set up. Raises the first ConfigError, whose `key` is the setting to look at."""
        if self._config is None:
            raise next(iter(self.errors.values()))
        return self._config.model_copy(deep=True)

    # -- files -------------------------------------------------------------------------------------------------

    def load(self, config: RunConfig, origin: str) -> None:
        """Take over the settings of `config`; undo brings back what was there."""
        edits: Edits = {}
        for key, (_before, after) in config_file.changed(config).items():
            section, name = key.split(".", 1)
            # What `resolve` settled by itself is no wish of the user's, and is settled again here.
            if after is not None and name in getattr(config, section).model_fields_set:
                edits[key] = after
        self._become(edits)
        self.origin = origin
        self._kept = dict(self.edits)

    def load_file(self, path: Path) -> None:
        """Take over a TOML file. Raises ConfigError and changes nothing when it cannot be used."""
        self.load(config_file.load(path), path.name)
        self.file = path

    def load_run(self, run_dir: Path) -> None:
        """Take over the settings of a run; a name that nsmc-tui made up is made anew. Raises ConfigError."""
        config = config_file.load(run_dir / CONFIG_FILE)
        if config.launch.name == default_name(config):
            config.launch.name = None
        self.load(config, run_dir.name)
        self._past.clear()

    def save(self, path: Path) -> bool:
        """Write the config to `path`, keeping a file's comments; True when there was a file. Raises ConfigError."""
        config = self.config()
        existed = path.is_file()
        if existed:
            for section in config_file.section_models():
                if not isinstance(config_file.read_values(path).get(section, {}), dict):
                    raise ConfigError(
                        _("{key} must be a section").format(key=section),
                        _("Choose another file, or write it as [{key}] with keys below it.").format(key=section),
                        file=str(path),
                        key=section,
                    )
        config_file.save(config, path)
        self.file = path
        self.keep()
        return existed

    def keep(self) -> None:
        """Count what is set now as kept: saved, or started."""
        self._kept = dict(self.edits)

    # -- what the list shows -----------------------------------------------------------------------------------

    def rows(self, query: str = "", differences: bool = False, more: bool = False, gaps: bool = False) -> list[Row]:
        """The lines of the list: all by groups, or flat what a search or the differences leave."""
        words = query.lower().split()
        if words or differences:
            keys = [
                key
                for key, setting in self.settings.items()
                if (not words or setting.matches(words)) and (not differences or self.is_changed(key))
            ]
            # By name before by description; else in the form's order.
            keys.sort(key=lambda key: -min(2, self.settings[key].matches(words)) if words else 0)
            return [Row("setting", key=key, full=True) for key in keys]
        rows = [Row("group", _(GROUPS["essentials"])), *(Row("setting", key=key, full=True) for key in ESSENTIALS)]
        for group, title in GROUPS.items():
            members = [k for k, s in self.settings.items() if s.group == group and k not in ESSENTIALS]
            if not members:
                continue
            if gaps:
                rows.append(Row("gap"))
            if group == "more":
                rows.append(Row("more", f"{_(title)} ({len(members)})", full=more))
                # What is set shows even while the rest is folded away.
                members = [key for key in members if more or self.is_changed(key)]
            else:
                rows.append(Row("group", _(title)))
            rows += [Row("setting", key=key) for key in members]
        return rows

    def best_match(self, query: str) -> str:
        """The setting that a search most likely means; empty for none."""
        words = query.lower().split()
        ranked = sorted(self.settings.values(), key=lambda setting: -setting.matches(words))
        return ranked[0].key if words and ranked and ranked[0].matches(words) else ""

    def setting(self, key: str) -> Setting:
        """The setting of that key."""
        return self.settings[key]

    def command(self, runs: Path | None = None) -> str:
        """The command line that starts the same run. Raises ConfigError when something cannot be used."""
        self.config()
        parts = ["nsmc-tui"]
        if runs is not None and runs != runs_dir():
            parts += ["--runs", str(runs)]
        parts.append("train")
        options = {
            "data.source": "--data",
            "model.name": "--model",
            "model.preset": "--preset",
            "launch.name": "--name",
        }
        rest = [key for key in self.settings if key in self.edits and key not in options]
        for key, option in options.items():
            # Options read their value as text: one that would be taken for an option is set by name.
            if key in self.edits and not str(self.edits[key]).startswith("-"):
                parts += [option, str(self.edits[key])]
            elif key in self.edits:
                rest.append(key)
        for key in rest:
            parts += ["--set", f"{key}={assignment_value(self.edits[key])}"]
        return shlex.join(parts)
