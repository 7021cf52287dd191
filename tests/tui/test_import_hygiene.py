"""The import wall, looked at in clean processes: what a command or the app has loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tui.chart_runs import make_run, run_events, write_events

HEAVY = {"torch", "transformers", "datasets", "sklearn", "pandas", "accelerate", "scipy"}


def loaded(code: str) -> set[str]:
    """The top-level modules in `sys.modules` after `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.strip().splitlines()[-1]))


def test_all_of_tui_is_light() -> None:
    code = (
        "import pkgutil, importlib, tui\n"
        "for module in pkgutil.walk_packages(tui.__path__, 'tui.'):\n"
        "    if module.name != 'tui.__main__':\n"
        "        importlib.import_module(module.name)\n"
    )
    assert not loaded(code) & HEAVY


@pytest.mark.parametrize(
    "module",
    ["catalogue", "checkpoints", "config", "config_file", "config_rules", "control", "data", "device", "errors",
     "events", "forecast", "hf_args", "hf_limits", "launch", "metrics", "model_card", "models", "paths",
     "predictions", "rank_failures", "reporting", "resume", "run_actions", "run_index",
     "run_labels", "run_marks", "run_preview", "run_query", "run_values", "runs", "settings", "supervisor", "tail",
     "text", "foreign", "foreign.tensorboard", "foreign.trainer_state",
     "tokenization", "torchrun", "unknown_tokens", "attention", "worker", "evaluation", "inspector_client",
     "attribution", "attribution_methods", "attribution_ops", "flip", "head_stats", "inspector", "inspector_answers",
     "classifier_reads", "inspector_loading", "inspector_models", "inspector_ops", "inspector_questions",
     "inspector_shelf", "knock_out", "model_directory", "rank_agreement", "saved_tokenizer", "token_gaps",
     "word_edits"],
)  # fmt: skip
def test_light_modules_of_core_are_light(module: str) -> None:
    assert not loaded(f"import core.{module}") & (HEAVY | {"textual", "rich"})


def test_help_loads_neither_textual_nor_pydantic() -> None:
    code = (
        "import sys\nsys.argv = ['nsmc-tui', '--help']\n"
        "from tui.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
    )
    assert not loaded(code) & (HEAVY | {"textual", "rich", "pydantic", "numpy", "pyarrow"})


def test_first_screen_loads_neither_charts_nor_numpy() -> None:
    # Alerts are looked for after the first picture, however slow this machine is.
    code = (
        "import asyncio, tempfile\nfrom pathlib import Path\nfrom tui import app_alerts\n"
        "from tui.app import NsmcTuiApp\n"
        "app_alerts.FIRST = app_alerts.INTERVAL = 600.0\n"
        "async def main():\n"
        "    app = NsmcTuiApp(Path(tempfile.mkdtemp()))\n"
        "    async with app.run_test() as pilot:\n"
        "        await pilot.pause()\n"
        "asyncio.run(main())\n"
    )
    assert not loaded(code) & (HEAVY | {"plotext", "textual_plotext", "numpy", "pyarrow", "pydantic"})


def test_the_charts_of_a_run_come_before_all_that_they_do_not_need(tmp_path: Path) -> None:
    path = make_run(tmp_path / "runs", "watched", steps=200, metrics={"test_accuracy": 0.8912})
    write_events(path, run_events(200))
    # What looks at the machine and for alerts begins after the first picture, however slow this machine is.
    code = (
        "import asyncio, json, sys\nfrom pathlib import Path\nfrom tui import app, app_alerts\n"
        "app.MACHINE_FIRST = app.MACHINE_INTERVAL = app_alerts.FIRST = app_alerts.INTERVAL = 600.0\n"
        "async def main():\n"
        f"    path = Path({str(path)!r})\n"
        "    nsmc = app.NsmcTuiApp(path.parent, run=path)\n"
        "    async with nsmc.run_test(size=(120, 40)) as pilot:\n"
        "        def dots():\n"
        "            grids = nsmc.screen.query('#charts')\n"
        "            lines = [line.text for grid in grids for line in grid._strips]\n"
        "            return [sign for line in lines for sign in line if '\u2800' < sign <= '\u28ff']\n"
        "        while not dots():\n"
        "            await pilot.pause(0.01)\n"
        "        print(json.dumps(sorted(sys.modules)))\n"
        "        sys.stdout.flush()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stdout.splitlines()[0]))
    assert "numpy" in modules
    unneeded = HEAVY | {
        "click", "pydantic", "psutil", "pynvml", "tomlkit", "pyarrow", "statistics", "numpy.ma", "textual_plotext",
        "core.run_index", "core.alert_log", "core.notify", "tui.screens.runs", "tui.screens.new_run",
        "tui.screens.evaluation", "tui.screens.review", "tui.screens.help",
    }  # fmt: skip
    assert not modules & unneeded


def test_opening_the_app_imports_no_other_command() -> None:
    code = (
        "import sys\nsys.argv = ['nsmc-tui', 'open', '--help']\n"
        "from tui.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print()\nprint(' '.join(name for name in sys.modules if name.startswith('tui.cli.')))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    # What is said of wrong ones is no command.
    assert done.stdout.splitlines()[-1].split() == ["tui.cli.usage", "tui.cli.app_commands"]


def test_reading_predictions_loads_no_pandas(run_copy: Path) -> None:
    code = (
        "from pathlib import Path\nfrom core.predictions import Predictions\n"
        f"predictions = Predictions(Path({str(run_copy)!r}))\n"
        "predictions.select('fp', 'confidence'); predictions.row(0); predictions.confusion(); predictions.find_id(\n"
        "    predictions.row(3).id)\n"
    )
    assert not loaded(code) & HEAVY
