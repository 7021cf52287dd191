"""`config`, `data`: looking at settings and data before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from core.errors import ConfigError
from core.i18n import gettext as _
from core.i18n import ngettext

if TYPE_CHECKING:
    from tui.cli import Context


@click.group(help=_("Show, check and explain configs."))
def config() -> None:
    """Group of config commands."""


@config.command(name="show", help=_("Print the whole resolved config as TOML."))
@click.argument("file", required=False, metavar="[CONFIG.toml]")
@click.option("--json", "as_json", is_flag=True, help=_("As JSON."))
def show(file: str | None, as_json: bool) -> int:
    """Print a config with all defaults."""
    from core import config_file
    from tui.cli.printing import print_json

    loaded = config_file.load(file) if file else config_file.validate({})
    if as_json:
        print_json(loaded.model_dump(mode="json"))
    else:
        print(config_file.dumps(loaded), end="")
    return 0


@config.command(name="check", help=_("Check a config without starting anything."))
@click.argument("file", required=False, metavar="[CONFIG.toml]")
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
def check(file: str | None, as_json: bool) -> int:
    """Check a config; without one, what a run without any is started with."""
    from core import config_file
    from tui.cli.printing import print_json

    differences = config_file.changed(config_file.load(file) if file else config_file.validate({}))
    if as_json:
        print_json({"ok": True, "changed": {key: after for key, (_before, after) in differences.items()}})
        return 0
    text = ngettext(
        "{file} is fine; {n} setting differs from the guide's:",
        "{file} is fine; {n} settings differ from the guide's:",
        len(differences),
    )
    print(text.format(file=file or _("the default config"), n=len(differences)))
    for key, (before, after) in differences.items():
        print(f"  {key} = {after}  ({before})")
    return 0


def descriptions() -> list[dict[str, Any]]:
    """All keys: name, type, default, meaning; ours first, then transformers' further fields."""
    from core import config_file
    from core.config import RunConfig
    from core.hf_args import RESERVED, hf_fields

    defaults = RunConfig().model_dump(mode="json")
    found = [
        {
            "key": f"{section}.{name}",
            "type": config_file.kind(field.annotation),
            "default": defaults[section][name],
            "help": _(text) if (text := config_file.one_line(field.description)) else "",
        }
        for section, model in config_file.section_models().items()
        for name, field in model.model_fields.items()
    ]
    ours = set(config_file.train_fields())
    found += [
        {"key": f"train.{f.name}", "type": f.annotation, "default": f.default, "help": f.help}
        for f in hf_fields().values()
        if f.name not in ours and f.name not in RESERVED
    ]
    return found


@config.command(name="describe", help=_("Explain all keys, one, or those of a config with its values."))
@click.argument("key", required=False, metavar="[KEY|CONFIG.toml]")
@click.option("--json", "as_json", is_flag=True, help=_("One JSON list."))
def describe(key: str | None, as_json: bool) -> int:
    """Explain keys."""
    from pathlib import Path

    from core import config_file
    from tui.cli.printing import print_json

    found = descriptions()
    if key and (key.endswith(".toml") or Path(key).is_file()):
        found = _with_values(found, config_file.load(key).model_dump(mode="json"))
    elif key:
        chosen = [item for item in found if item["key"] == key or item["key"].split(".", 1)[1] == key]
        if not chosen:
            raise _unknown_key(key, [item["key"] for item in found])
        found = chosen
    if as_json:
        print_json(found)
        return 0
    for item in found:
        value, default = item.get("value", item["default"]), item["default"]
        print(f"{item['key']}  ({item['type']})  = {value}" + (f"  ({default})" if value != default else ""))
        print(f"    {item['help']}")
    return 0


def _with_values(found: list[dict[str, Any]], values: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The keys that a config has, with its values."""
    placed = [(item, item["key"].partition(".")) for item in found]
    return [
        {**item, "value": values[section][name]}
        for item, (section, _dot, name) in placed
        if name in values.get(section, {})
    ]


def _unknown_key(key: str, known: list[str]) -> ConfigError:
    import difflib

    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    hint = _("Did you mean {near}?").format(near=near[0]) if near else _("`nsmc-tui config describe` lists all keys.")
    return ConfigError(_("unknown key {key}").format(key=key), hint)


@click.group(help=_("Look at data."))
def data() -> None:
    """Group of data commands."""


@data.command(name="check", help=_("Report what is in the data: counts, traps, overlaps."))
@click.argument("source", metavar="D")
@click.option("--set", "sets", multiple=True, metavar="data.KEY=VALUE", help=_("Columns, labels, encoding, test file."))
@click.option("--json", "as_json", is_flag=True, help=_("One JSON document."))
@click.pass_obj
def data_check(context: Context, source: str, sets: tuple[str, ...], as_json: bool) -> int:
    """The data doctor, in a process that may import datasets."""
    from core import config_file
    from core.launch import absolute_source
    from tui.cli.heavy import call
    from tui.cli.printing import print_json

    values = {"data": {"source": absolute_source(source), **reading(sets)}}
    document = call("core.data_check", config_file.validate(values).data.model_dump(mode="json"))
    if as_json:
        print_json(document)
    else:
        _print_report(document)
    return 0


def reading(sets: Sequence[str]) -> dict[str, Any]:
    """The fields of `[data]` that `--set data.KEY=VALUE` gives. Raises ConfigError, UsageError for other sections."""
    from core import config_file
    from core.errors import UsageError

    values: dict[str, Any] = {"data": {}}
    for text in sets:
        path, value = config_file.parse_assignment(text)
        if path[0] != "data":
            raise UsageError(
                _("--set {text}: only data.… can be set here").format(text=text),
                _("For example --set data.document_column=review."),
            )
        config_file.assign(values, path, value)
    config_file.validate({"data": {"source": "sample", **values["data"]}})
    found: dict[str, Any] = values["data"]
    return found


def _print_report(document: dict[str, Any]) -> None:
    """What the doctor found, for people."""
    from core import formats
    from core.text import visible
    from tui.cli.printing import print_table

    columns = [_("split"), _("rows"), _("kept"), _("negative"), _("positive"), _("characters (mean, 95%, most)")]
    rows = []
    for split, report in document["files"].items():
        lengths, labels = report["lengths"], report["labels"]
        spread = f"{lengths['mean']:.1f}, {lengths['p95']:,}, {lengths['max']:,}" if lengths else "–"
        counts = (report["rows"], report["kept"], labels["0"], labels["1"])
        rows.append((split, *(formats.count(number) for number in counts), spread))
    print_table([(columns[0], "left"), *((title, "right") for title in columns[1:])], rows)
    for split, report in document["files"].items():
        print(f"{split}: {visible(report['path'])} ({report['kind']}, {visible(report['encoding'])})")
    if document["overlap"] is not None:
        overlap = document["overlap"]
        print(
            _("test reviews that stand in train too: {exact}, with white space folded {folded}").format(
                exact=formats.count(overlap["exact"]), folded=formats.count(overlap["folded"])
            )
        )
    for line in document["warnings"]:
        print(f"! {visible(line)}")
    for problem in document["problems"]:
        print(f"{_('error')}: {visible(problem['message'])}")
        print(f"{_('hint')}: {visible(problem['hint'])}")
    if document["ok"]:
        print(_("A run can start with this data."))
    elif not document["problems"]:
        print(_("A run needs a test file too: data.test_file names one."))


COMMANDS = (config, data)
