"""The import wall, looked at in clean processes: what a command or the app has loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
     "inspector_models", "inspector_ops", "inspector_questions", "knock_out", "rank_agreement", "word_edits"],
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
    code = (
        "import asyncio, tempfile\nfrom pathlib import Path\nfrom tui.app import NsmcTuiApp\n"
        "async def main():\n"
        "    app = NsmcTuiApp(Path(tempfile.mkdtemp()))\n"
        "    async with app.run_test() as pilot:\n"
        "        await pilot.pause()\n"
        "asyncio.run(main())\n"
    )
    assert not loaded(code) & (HEAVY | {"plotext", "textual_plotext", "numpy", "pyarrow", "pydantic"})


def test_reading_predictions_loads_no_pandas(run_copy: Path) -> None:
    code = (
        "from pathlib import Path\nfrom core.predictions import Predictions\n"
        f"predictions = Predictions(Path({str(run_copy)!r}))\n"
        "predictions.select('fp', 'confidence'); predictions.row(0); predictions.confusion(); predictions.find_id(\n"
        "    predictions.row(3).id)\n"
    )
    assert not loaded(code) & HEAVY
