"""A picture of the real app: `python docs/screenshot.py RUNS OUT.svg [--screen S] [--size 120x30] [--lang ko] KEY…`.

Opens the app on RUNS without a terminal, presses the keys (`wait:2` waits two seconds) and writes an SVG; with
rsvg-convert installed and OUT ending in .png, a PNG. Fonts with Hangul have to be installed for that.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
from pathlib import Path


async def shoot(arguments: argparse.Namespace) -> str:
    """The screen after all keys, as SVG."""
    from core.runs import find_run
    from tui.app import NsmcTuiApp

    columns, lines = (int(part) for part in arguments.size.split("x"))
    run = find_run(arguments.runs, arguments.run) if arguments.screen not in ("", "new") else None
    app = NsmcTuiApp(arguments.runs, run=run, screen=arguments.screen)
    async with app.run_test(size=(columns, lines)) as pilot:
        await pilot.pause(arguments.wait)
        for key in arguments.keys:
            if key.startswith("wait:"):
                await pilot.pause(float(key.removeprefix("wait:")))
            else:
                await pilot.press(key)
            await pilot.pause(0.1)
        await pilot.pause(0.3)
        return app.export_screenshot()


def main() -> None:
    """Parse, shoot, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("keys", nargs="*")
    parser.add_argument("--run", default="latest")
    parser.add_argument("--screen", default="")
    parser.add_argument("--size", default="120x30")
    parser.add_argument("--lang", default="en")
    parser.add_argument("--wait", type=float, default=1.0)
    arguments = parser.parse_intermixed_args()
    os.environ.setdefault("COLORTERM", "truecolor")
    os.environ.pop("NO_COLOR", None)
    from core.i18n import set_language

    set_language(arguments.lang)
    svg = asyncio.run(shoot(arguments))
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S).replace("Fira Code", "Noto Sans Mono CJK KR")
    out: Path = arguments.out
    out.with_suffix(".svg").write_text(svg, encoding="utf-8")
    if out.suffix == ".png":
        width = int(arguments.size.split("x")[0]) * 9
        subprocess.run(["rsvg-convert", "-w", str(width), str(out.with_suffix(".svg")), "-o", str(out)], check=True)


if __name__ == "__main__":
    main()
