"""Which picture shows which state of which screen: all of them in both sizes and both languages.

The table below is complete when each class of `tui.screens` stands in it; a screen without a picture fails here. Its
names are those of the snapshots beside the tests: `MODULE test[name]`, each of which has to be there for `80x24` and
`160x48`, `en` and `ko`. Where a state is told apart by no picture, the reason stands in its place, beginning with `-`.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest
from textual.screen import Screen

import tui.screens
from tui.screens.base import BaseScreen, RunScreen

SNAPSHOTS = Path(__file__).parent / "__snapshots__"
STATES = ("usual", "empty", "loading", "failed", "very long")
SIZES = {"80x24": "size0", "160x48": "size1"}
AT_ONCE = "- what it shows is in memory"
NO_FILE = "- reads nothing that could fail"
ALWAYS = "- never without content"

STATE, OVER, FORM = "state_pictures test_", "dialog_pictures test_over_", "form_pictures test_how_the_form_looks"
EVAL, MONITOR = "evaluation_pictures test_how_evaluation_looks", "monitor_pictures test_monitor_looks_like_this"
REVIEW, BESIDE, OVER_REVIEW = (f"review_pictures test_{name}" for name in ("review", "beside_review", "over_review"))
PATTERNS = "review_pictures test_patterns"

# Each class with its pictures in the order of `STATES`; several, with ` + ` between them.
TABLE: dict[str, tuple[str, str, str, str, str]] = {
    "RunsScreen": (
        "runs test_the_list + runs test_compared_marked_filtered_and_sorted",
        "runs test_nothing_to_show[empty] + runs test_nothing_to_show[no match]",
        f"{STATE}runs[loading]",
        "runs test_nothing_to_show[unreadable]",
        f"runs test_very_long_names_and_notes + {STATE}runs[rename] + {STATE}runs[tags]",
    ),
    "MonitorScreen": (
        f"{MONITOR}[finished] + {STATE}monitor[enlarged] + {STATE}monitor[metric filter]",
        f"{MONITOR}[queued] + {STATE}monitor[metric filter empty]",
        f"{STATE}monitor[loading]",
        f"{MONITOR}[failed]",
        f"{MONITOR}[long] + {STATE}too_much_for_monitor[failed very long] + "
        f"{STATE}too_much_for_monitor[device very long]",
    ),
    "EvaluationScreen": (
        f"{EVAL}[usual] + {EVAL}[slices] + {EVAL}[probabilities]",
        f"{EVAL}[empty]",
        f"{EVAL}[loading]",
        f"{EVAL}[failed]",
        f"{EVAL}[very long]",
    ),
    "NewRunScreen": (
        f"{FORM}[usual]",
        f"{FORM}[empty]",
        f"{STATE}alerts_and_form[form loading]",
        f"{FORM}[failed]",
        f"{FORM}[very long]",
    ),
    "ForecastScreen": (
        "forecast_screen test_pictures[usual]",
        ALWAYS,
        "forecast_screen test_pictures[loading]",
        "forecast_screen test_pictures[failed]",
        "forecast_screen test_pictures[very long]",
    ),
    "LogScreen": (
        "controls test_log_pane",
        f"{STATE}monitor[log empty]",
        "- read at once: the end of a file, whatever its length",
        "- a file that cannot be read is told as one that is not there",
        f"{STATE}monitor[log very long]",
    ),
    "AlertsScreen": (
        "alerts_screen test_the_list_of_alerts",
        f"{OVER}the_list_of_runs[no alerts]",
        f"{STATE}alerts_and_form[alerts loading]",
        "- trouble with alerts is a toast",
        f"{STATE}alerts_and_form[alerts very long]",
    ),
    "GpuPicker": (
        f"{OVER}monitor_and_review[gpus]",
        f"{OVER}monitor_and_review[no gpu]",
        f"{STATE}dialogs[gpus loading]",
        "- a driver that fails sees no GPU",
        f"{STATE}dialogs[gpus very long]",
    ),
    "ResumeScreen": (
        "dialog_pictures test_the_way_a_run_goes_on[usual]",
        "dialog_pictures test_the_way_a_run_goes_on[empty]",
        f"{STATE}dialogs[resume loading]",
        "- closes with a toast",
        f"{STATE}dialogs[resume very long]",
    ),
    "StopAtScreen": (
        "controls test_stop_at_prompt",
        ALWAYS,
        AT_ONCE,
        f"{STATE}too_much_for_monitor[stop at wrong]",
        f"{STATE}too_much_for_monitor[stop at wrong]",
    ),
    "ConfirmScreen": (
        f"{OVER}the_list_of_runs[question] + {OVER}monitor_and_review[question] + {STATE}too_much_for_monitor[stop] + "
        f"{STATE}runs[delete one]",
        ALWAYS,
        AT_ONCE,
        NO_FILE,
        f"{STATE}runs[delete very many]",
    ),
    "PickScreen": (
        f"{OVER}the_list_of_runs[columns] + {OVER}the_list_of_runs[order]",
        f"{STATE}runs[columns empty]",
        AT_ONCE,
        NO_FILE,
        "- a list that scrolls, of names that are cut",
    ),
    "HelpScreen": (
        f"{OVER}the_list_of_runs[help] + {OVER}monitor_and_review[help of monitor] + {FORM}[help] + "
        f"{STATE}monitor[help of log] + {STATE}monitor[help of evaluation]",
        ALWAYS,
        AT_ONCE,
        NO_FILE,
        f"{OVER}monitor_and_review[help of review]",
    ),
    "ReviewScreen": (
        f"{REVIEW}[usual]",
        "review_verdicts test_pictures[empty]",
        f"{REVIEW}[loading] + {REVIEW}[loading the model]",
        f"{REVIEW}[failed] + {REVIEW}[model failed]",
        "review_verdicts test_pictures[long text]",
    ),
    "ReviewAt": (f"{REVIEW}[usual]", *4 * ("- is Review, begun elsewhere in the queue",)),
    "PatternsScreen": (
        "patterns_screen test_pictures[words]",
        f"{PATTERNS}[empty]",
        f"{PATTERNS}[loading] + {PATTERNS}[counting]",
        f"{PATTERNS}[failed]",
        f"{PATTERNS}[very long] + {PATTERNS}[very long, slices]",
    ),
    "HeadGridScreen": (f"{BESIDE}[heads] + {BESIDE}[heads as numbers]", *4 * ("- Review's, which waits for it",)),
    "MethodsScreen": (
        f"{BESIDE}[methods]",
        ALWAYS,
        f"{BESIDE}[methods waiting]",
        *2 * ("- Review's, which waits for it",),
    ),
    "TokenLinksScreen": (f"{BESIDE}[token to token]", *4 * ("- Review's, which waits for it",)),
    "TwoModelsScreen": (f"{BESIDE}[two models]", *4 * ("- Review's, which waits for it",)),
    "WhatIfScreen": (f"{BESIDE}[what if] + {BESIDE}[typing]", *4 * ("- Review's, which waits for it",)),
    "ModelPicker": (f"{BESIDE}[which model]", *4 * ("- its tests read its text",)),
    "ApplyDialog": (f"{OVER_REVIEW}[apply]", ALWAYS, AT_ONCE, NO_FILE, "- counts, which are short"),
    "FilterDialog": (f"{OVER_REVIEW}[filter]", ALWAYS, AT_ONCE, *2 * ("- its tests read its text",)),
    "ExportDialog": (
        f"{OVER_REVIEW}[export] + {OVER_REVIEW}[export of a page]",
        ALWAYS,
        *3 * ("- its tests read its text",),
    ),
}


def screens() -> dict[str, type[Screen[object]]]:
    """The screens that can be shown: those that no other one is made of, or that are shown themselves."""
    found: dict[str, type[Screen[object]]] = {}
    for info in pkgutil.iter_modules(tui.screens.__path__, tui.screens.__name__ + "."):
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, type) and issubclass(value, Screen) and value.__module__ == info.name:
                found[value.__name__] = value
    bases = {base for one in found.values() for base in one.__mro__[1:]}
    # A base of others is shown itself when the app opens it by its name.
    shown = {name for name, one in found.items() if one not in bases or getattr(one, "CSS_PATH", None)}
    return {name: found[name] for name in shown if found[name] not in (BaseScreen, RunScreen)}


def files(picture: str, size: str, language: str) -> list[Path]:
    """The snapshots of one picture in one size and language; names of tests and parameters stand in any order."""
    module, _space, name = picture.partition(" ")
    test, _bracket, state = name.partition("[")
    state = state.removesuffix("]")
    found = []
    for path in (SNAPSHOTS / f"test_{module}").glob("*.txt"):
        begun, _bracket, rest = path.stem.partition("[")
        groups = [group.removesuffix(f" {size}") for group in rest.removesuffix("]").split("][")]
        parameters = {part for group in groups for part in (group, *group.split("-"))}
        sized = size in path.stem or SIZES[size] in parameters
        if begun == test and sized and language in parameters and (not state or state in parameters):
            found.append(path)
    return found


def test_every_screen_stands_in_the_table() -> None:
    assert sorted(screens()) == sorted(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_there_is_a_picture_in_both_sizes_and_languages(name: str) -> None:
    cells = dict(zip(STATES, TABLE[name], strict=True))
    assert not cells["usual"].startswith("-")
    pictures = [picture for cell in cells.values() if not cell.startswith("-") for picture in cell.split(" + ")]
    missing = [
        (picture, size, language)
        for picture in pictures
        for size in SIZES
        for language in ("en", "ko")
        if not files(picture, size, language)
    ]
    assert not missing
