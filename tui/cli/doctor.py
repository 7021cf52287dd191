"""What `nsmc-tui doctor` looks at: packages, torch and GPUs, disk, terminal, network settings."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from core.i18n import gettext as _
from core.i18n import language

# Two syllables, an emoji with a joiner, an ambiguous-width line: what must line up for tables to be straight.
WIDTH_SAMPLE = "가나👍🏽─"


def examine(runs: Path) -> dict[str, Any]:
    """Everything as one document; sizes in bytes."""
    from core import environment, probe
    from core.paths import cache_dir, settings_file

    facts = environment.collect()
    return {
        "nsmc_tui": facts["versions"].pop("nsmc-tui"),
        "python": facts["python"],
        "platform": facts["platform"],
        "packages": facts["versions"],
        "torch": probe.ask(),
        "gpus": _gpus(),
        "driver": facts["driver"],
        "cpus": facts["cpus"],
        "memory_total": facts["memory_total"],
        "paths": {"runs": str(runs), "cache": str(cache_dir()), "settings": str(settings_file())},
        "disk": {"runs_free": _free(runs), "cache_free": _free(cache_dir())},
        "writable": {"runs": _writable(runs), "cache": _writable(cache_dir())},
        "terminal": _terminal(),
        "offline": {
            "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "yes", "on"),
            "HF_HOME": os.environ.get("HF_HOME"),
            "HF_ENDPOINT": os.environ.get("HF_ENDPOINT"),
        },
        "language": language(),
    }


def _gpus() -> list[dict[str, Any]]:
    from core.device import Nvml

    nvml = Nvml()
    samples = [sample.as_event() for sample in nvml.sample()]
    nvml.close()
    return samples


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _free(path: Path) -> int:
    return shutil.disk_usage(_existing(path)).free


def _writable(path: Path) -> bool:
    return os.access(_existing(path), os.W_OK)


def _terminal() -> dict[str, Any]:
    from rich.cells import cell_len
    from rich.console import Console

    size = shutil.get_terminal_size()
    console = Console()
    return {
        "is_terminal": sys.stdout.isatty(),
        "term": os.environ.get("TERM"),
        "colorterm": os.environ.get("COLORTERM"),
        "colors": console.color_system or "none",
        "columns": size.columns,
        "lines": size.lines,
        "encoding": sys.stdout.encoding,
        "tmux": "TMUX" in os.environ,
        "ssh": "SSH_CONNECTION" in os.environ,
        "width_sample": WIDTH_SAMPLE,
        "width_cells": cell_len(WIDTH_SAMPLE),
    }


def print_findings(findings: dict[str, Any]) -> None:
    """The document for people, problems marked with `!` and a way out."""
    from core import formats

    torch, terminal = findings["torch"], findings["terminal"]
    rows: list[tuple[str, str, str]] = [
        (_("nsmc-tui"), f"{findings['nsmc_tui']}  Python {findings['python']}", ""),
        (_("packages"), "  ".join(f"{k} {v}" for k, v in findings["packages"].items()), ""),
    ]
    if "error" in torch:
        rows.append(("torch", torch["error"], _("Install torch: pip install torch -c constraints.txt")))
    else:
        found = ", ".join(f"{d['name']} {formats.size(d['memory_total'])}" for d in torch["devices"])
        mismatch = bool(findings["gpus"]) and not torch["cuda"]
        cuda = torch["cuda_build"] or _("not in this build")
        rows.append(
            (
                "torch",
                f"{torch['torch']}  CUDA {cuda}  " + (found or _("no GPU: the CPU is used")),
                _("There is a GPU, but this torch cannot use it: install torch's CUDA build.") if mismatch else "",
            )
        )
    rows += [
        (
            f"gpu{gpu['index']}",
            f"{gpu['name']}  {formats.size(gpu['memory_used'])} / {formats.size(gpu['memory_total'])}  {gpu['util']}%  "
            + ", ".join(f"{p['user']}:{p['pid']}" for p in gpu["processes"]),
            "",
        )
        for gpu in findings["gpus"]
    ]
    rows.append((_("machine"), f"{findings['cpus']} CPU  {formats.size(findings['memory_total'])}", ""))
    for name in ("runs", "cache"):
        hint = "" if findings["writable"][name] else _("Not writable: choose another directory.")
        free = findings["disk"][f"{name}_free"]
        if free < 5 << 30 and not hint:
            hint = _("Little room: a checkpoint of XLM-R takes 3.3 GB.")
        rows.append((name, f"{findings['paths'][name]}  {formats.size(free)} " + _("free"), hint))
    narrow = terminal["is_terminal"] and (terminal["columns"] < 80 or terminal["lines"] < 24)
    hint = _("The app wants 80 × 24.") if narrow else ""
    if str(terminal["encoding"]).lower().replace("-", "") != "utf8":
        hint = _("Not UTF-8: set LANG=C.UTF-8 or PYTHONUTF8=1.")
    rows.append(
        (
            _("terminal"),
            f"{terminal['term']}  {terminal['columns']}×{terminal['lines']}  {terminal['colors']}  "
            + str(terminal["encoding"]),
            hint,
        )
    )
    if terminal["is_terminal"]:
        # The bar stands under the sample's end where the terminal counts cells as we do.
        rows.append((_("widths"), f"{terminal['width_sample']}|", ""))
        rows.append(("", " " * terminal["width_cells"] + "|", ""))
    offline = _("offline: nothing is asked of the Hub") if findings["offline"]["HF_HUB_OFFLINE"] else _("Hub allowed")
    rows.append(("Hub", offline, ""))
    from rich.cells import cell_len

    from core.text import visible

    width = max(cell_len(row[0]) for row in rows) + 2
    for name, value, hint in rows:
        print(("! " if hint else "  ") + name + " " * (width - cell_len(name)) + visible(value))
        if hint:
            print(" " * (width + 2) + hint)
