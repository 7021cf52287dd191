"""The device pane as text: what the run's GPUs, its host and its worker are doing. No widget: pure drawing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from core import formats
from core.i18n import gettext as _
from core.i18n import ngettext
from core.text import visible
from tui.machine_history import GpuHistory, MachineHistory, number, share
from tui.sparkline import sparkline
from tui.widgets.top_bar import fit

# Cells of a caption at the left, and of the history at the right of a line.
CAPTION = 10
MOST_HISTORY = 40
MOST_PROCESSES = 4

Style = Callable[[str], str]


def device_lines(
    machine: MachineHistory,
    step: Mapping[str, Any],
    width: int,
    height: int,
    style: Style,
    *,
    ascii_only: bool = False,
    trains: bool = True,
    empty: str = "",
) -> list[Text]:
    """The pane in `width` × `height` cells; `step` is the run's newest `step` event, `style` gives a theme's colours.
    With `ascii_only` nothing is drawn in block characters. `trains` says that the figures are of a run's machine, for
    the sentence about a machine without a GPU; `empty` is what stands there without any sample.

    With many GPUs those of the pane's end are left out, and counted.
    """
    lines: list[Text] = []
    host = _host_lines(machine, step, width, style, ascii_only)
    room = max(2, height - len(host))
    gpus = sorted(machine.gpus.items())
    for place, (index, gpu) in enumerate(gpus):
        block = _gpu_lines(index, gpu, width, style, ascii_only)
        left = len(gpus) - place
        if len(lines) + len(block) + (left > 1) > room and lines:
            lines.append(_line("", [(ngettext("{n} more GPU", "{n} more GPUs", left).format(n=left), "dim")]))
            break
        lines += block
    if not gpus and machine.host:
        words = _("it trains on the CPU") if trains else _("the driver knows of none here: these are the CPU's figures")
        lines.append(_line(_("no GPU"), [(words, "")]))
    if not gpus and not machine.host:
        lines.append(Text(empty, style="dim"))
    return [fitted(line, width) for line in (lines + host)[:height]]


def fitted(line: Text, width: int) -> Text:
    """`line` cut to `width` cells."""
    line.no_wrap = True
    if line.cell_len > width:
        line.truncate(width, overflow="ellipsis")
    return line


def _line(caption: str, parts: list[tuple[str, str]]) -> Text:
    """A caption in a column of its own, then figures (bright) and words (dim)."""
    text = Text()
    if caption:
        text.append(fit(caption, CAPTION), style="dim")
    text.append(" " * max(1, CAPTION + 1 - text.cell_len))
    for part, style in parts:
        text.append(part, style=style)
    return text


def _with_history(line: Text, values: Any, width: int, style: Style, ascii_only: bool) -> Text:
    """The history at the right end of `line`, as far as there is room."""
    room = min(MOST_HISTORY, width - line.cell_len - 2)
    if room < 8:
        return line
    line.append(" " * (width - line.cell_len - room))
    line.append(sparkline(values, room, ascii_only=ascii_only), style=style("accent"))
    return line


def _gpu_lines(index: int, gpu: GpuHistory, width: int, style: Style, ascii_only: bool) -> list[Text]:
    event = gpu.last
    util, power, limit = (number(event.get(name)) for name in ("util", "power", "power_limit"))
    degrees = number(event.get("temperature"))
    head = [(f"{util:3.0f}%" if util is not None else "  –", "bold")]
    if power is not None:
        head += [(f"   {power:.0f}", "bold"), (f"/{limit:.0f} W" if limit else " W", "dim")]
    if degrees is not None:
        head += [(f"   {degrees:.0f}", "bold"), (" °C", "dim")]
    head.append(("   " + visible(str(event.get("name") or "")), "dim"))
    first = _with_history(_line(f"gpu{index}", head), gpu.util, width, style, ascii_only)
    second = _with_history(_line(_("memory"), _memory_parts(event, style)), gpu.memory, width, style, ascii_only)
    return [first, second, *_process_lines(event, style, ascii_only)]


def _memory_parts(event: Mapping[str, Any], style: Style) -> list[tuple[str, str]]:
    used, total = number(event.get("memory_used")) or 0.0, number(event.get("memory_total")) or 0.0
    told = _processes(event)
    ours = sum(number(one.get("memory")) or 0 for one in told if one.get("ours"))
    known = [one for one in told if number(one.get("memory")) is not None]
    parts: list[tuple[str, str]] = []
    if any(one.get("ours") for one in known):
        others = max(0.0, used - ours)
        parts += [(_("ours") + " ", "dim"), (formats.size(ours), style("accent")), ("   " + _("others") + " ", "dim")]
        parts += [(formats.size(others), "bold")]
    else:
        parts += [(_("in use") + " ", "dim"), (formats.size(used), "bold")]
    parts += [("   " + _("free") + " ", "dim"), (formats.size(max(0.0, total - used)), "bold")]
    parts.append((" " + _("of {size}").format(size=formats.size(total)), "dim"))
    return parts


def _process_lines(event: Mapping[str, Any], style: Style, ascii_only: bool) -> list[Text]:
    told = sorted(_processes(event), key=lambda one: (not one.get("ours"), -(number(one.get("memory")) or 0)))
    if not told:
        words = _("the driver does not tell which processes") if event.get("hidden") else ""
        return [_line(_("processes"), [(words, "dim")])] if words else []
    parts: list[tuple[str, str]] = []
    for place, one in enumerate(told[:MOST_PROCESSES]):
        parts.append(("   " if place else "", ""))
        user = visible(str(one.get("user") or "?"))
        memory = number(one.get("memory"))
        amount = "" if memory is None else " " + formats.size(memory)
        if one.get("ours"):
            mark = "> " if ascii_only else "▸ "
            parts += [(mark + _("this run"), style("accent")), (f" {one.get('pid')}{amount}", "")]
        else:
            parts += [(user, style("warning")), (f" {one.get('pid')}{amount}", "")]
    if len(told) > MOST_PROCESSES:
        parts.append((f"   +{len(told) - MOST_PROCESSES}", "dim"))
    return [_line(_("processes"), parts)]


def _processes(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    told = event.get("processes")
    return [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []


def _host_lines(
    machine: MachineHistory, step: Mapping[str, Any], width: int, style: Style, ascii_only: bool
) -> list[Text]:
    lines = []
    allocated, reserved, peak = (number(step.get(name)) for name in ("gpu_allocated", "gpu_reserved", "gpu_peak"))
    if allocated is not None:
        parts: list[tuple[str, str]] = []
        for words, figure in ((_("allocated"), allocated), (_("reserved"), reserved), (_("peak"), peak)):
            parts += [(("   " if parts else "") + words + " ", "dim"), (formats.size(figure), "bold")]
        lines.append(_line("torch", parts))
    host = machine.host
    if host:
        here = _line(_("host"), _machine_parts(host, width))
        if any(host.get(name) is not None for name in ("worker_cpu", "worker_rss")):
            line = _line(_("worker"), _worker_parts(host))
            lines += [_with_history(line, machine.cpu, width, style, ascii_only), here]
        else:
            lines.append(_with_history(here, machine.cpu, width, style, ascii_only))
    feed = _feed_parts(step)
    if feed:
        lines.append(_line(_("batches"), feed))
    return lines


def _worker_parts(host: Mapping[str, Any]) -> list[tuple[str, str]]:
    cpu, rss, count = (number(host.get(name)) for name in ("worker_cpu", "worker_rss", "worker_processes"))
    parts = [("CPU ", "dim"), ("–" if cpu is None else f"{cpu:.0f}%", "bold")]
    parts += [("   " + _("memory") + " ", "dim"), (formats.size(rss), "bold")]
    if count is not None and count > 1:
        parts.append(("   " + ngettext("{n} process", "{n} processes", count).format(n=f"{count:.0f}"), "dim"))
    return parts


def _machine_parts(host: Mapping[str, Any], width: int) -> list[tuple[str, str]]:
    cpu, cpus = number(host.get("cpu")), number(host.get("cpus"))
    used, total, free = (number(host.get(name)) for name in ("memory_used", "memory_total", "disk_free"))
    parts = [("CPU ", "dim"), ("–" if cpu is None else f"{cpu:.0f}%", "bold")]
    if cpus is not None and (width >= 100 or host.get("cpu_limited") is True):
        parts.append((" " + ngettext("of {n} core", "of {n} cores", cpus).format(n=f"{cpus:g}"), "dim"))
    parts += [("   " + _("memory") + " ", "dim"), (formats.size(used), "bold")]
    parts.append((" " + _("of {size}").format(size=formats.size(total)), "dim"))
    if host.get("memory_limited") is True:
        # The container's, the job's or the service's, whatever the machine has beside.
        parts.append((" " + _("(limit)"), "dim"))
    if free is not None:
        parts += [("   " + _("disk free") + " ", "dim"), (formats.size(free), "bold")]
    return parts


def _feed_parts(step: Mapping[str, Any]) -> list[tuple[str, str]]:
    tokens = number(step.get("tokens_per_second"))
    padding, stall = share(step.get("padding"), 1), share(step.get("loader_stall"), 1)
    parts: list[tuple[str, str]] = []
    if tokens is not None:
        parts += [(formats.count(tokens), "bold"), (" " + _("tokens/s"), "dim")]
    if padding == padding:
        parts += [("   " + _("padding") + " ", "dim"), (f"{padding:.1%}", "bold")]
    if stall == stall:
        parts += [("   " + _("waiting for batches") + " ", "dim"), (f"{stall:.1%}", "bold")]
    return parts
