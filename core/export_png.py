"""SVG to PNG with whatever converter is installed; none comes with nsmc-tui."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from core.export_files import ExportError
from core.i18n import gettext as _

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
SCALE = 2
PATIENCE = 60


def converter() -> tuple[str, str] | None:
    """Kind and path of the converter that would be used: rsvg-convert, inkscape, or a Chromium."""
    for kind, names in (("rsvg", ("rsvg-convert",)), ("inkscape", ("inkscape",)), ("chromium", BROWSERS)):
        for name in names:
            found = shutil.which(name)
            if found:
                return kind, found
    return None


def png(svg: str) -> bytes:
    """`svg` as a PNG, twice its size in pixels. Raises ExportError when nothing can convert it, or it fails."""
    chosen = converter()
    if chosen is None:
        raise ExportError(
            _("no program that makes PNG is installed"),
            _("Install rsvg-convert (librsvg2-bin), Inkscape or Chromium; or export SVG or HTML."),
        )
    kind, program = chosen
    with tempfile.TemporaryDirectory(prefix="nsmc-tui-") as folder:
        source, target = Path(folder, "review.svg"), Path(folder, "review.png")
        source.write_text(svg, encoding="utf-8")
        command = {
            "rsvg": [program, "--zoom", str(SCALE), "--output", str(target), str(source)],
            "inkscape": [
                program,
                "--export-type=png",
                f"--export-dpi={96 * SCALE}",
                f"--export-filename={target}",
                str(source),
            ],
            "chromium": [
                program,
                *BROWSER_OPTIONS,
                f"--user-data-dir={folder}/profile",
                f"--force-device-scale-factor={SCALE}",
                f"--window-size={','.join(size_of(svg))}",
                f"--screenshot={target}",
                source.as_uri(),
            ],
        }[kind]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL
            )
            reason = (done.stderr.strip().splitlines() or [str(done.returncode)])[-1]
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        if not target.is_file():
            raise ExportError(
                _("{program} made no PNG: {reason}").format(program=Path(program).name, reason=reason),
                _("Export SVG or HTML instead."),
            )
        return target.read_bytes()


def size_of(svg: str) -> tuple[str, str]:
    """Width and height in pixels as the document says."""
    found = re.search(r'width="(\d+)" height="(\d+)"', svg)
    return (found[1], found[2]) if found else ("800", "600")
