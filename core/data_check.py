"""The data doctor: what is in a data set before anything is trained on it.

`python -m core.data_check REQUEST` answers for the command line: REQUEST is a JSON object of `DataConfig` fields.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from core.answering import answer
from core.config import DataConfig
from core.data import columns_for, labels_of, source_files, text_groups
from core.data_cache import load_file
from core.data_report import DataReport
from core.data_sources import resolve_source

if TYPE_CHECKING:
    import datasets


def check(data: DataConfig) -> dict[str, Any]:
    """Examine the files that `data` names; the answer can be written as JSON.

    Keys: `source`, `kind`, `ok` (whether a run could start with it), `problems` (`message` and `hint` of each
    reason why not), `warnings` (lines for people), `files` (by split: the file's report with `lengths` in
    characters, `labels` counts and `repeats`), and `overlap` between train and test, None without test. A file with
    too many bad rows is a problem in the answer; a file that has not even the right shape raises DataError.
    """
    source = source_files(resolve_source(data, need_test=False), data)
    settings = columns_for(source, data)
    report = DataReport(kind=source.kind, source=source.spec)
    loaded: dict[str, datasets.Dataset] = {}
    for split, file in (("train", source.train), ("test", source.test)):
        if file is not None:
            loaded[split], report.files[split], _key = load_file(file, settings)
    problems = [found for entry in report.files.values() if (found := entry.problem()) is not None]
    document = report.to_dict()
    for split, dataset in loaded.items():
        document["files"][split].update(_describe(dataset))
    document["ok"] = not problems and "test" in loaded
    document["problems"] = [{"message": problem.message, "hint": problem.hint} for problem in problems]
    document["overlap"] = _overlap(loaded["train"], loaded["test"]) if "test" in loaded else None
    return document


def _describe(dataset: datasets.Dataset) -> dict[str, Any]:
    import numpy as np
    import pyarrow.compute as pc

    if len(dataset) == 0:
        return {"lengths": None, "labels": {"0": 0, "1": 0}, "repeats": {"texts": 0, "rows": 0, "most": 0}}
    characters = pc.utf8_length(dataset.data.column("document")).to_numpy()
    labels = np.bincount(labels_of(dataset), minlength=2)
    sizes = np.bincount(text_groups(dataset))
    repeated = sizes[sizes > 1]
    return {
        "lengths": {
            "mean": round(float(characters.mean()), 2),
            "p50": int(np.percentile(characters, 50)),
            "p95": int(np.percentile(characters, 95)),
            "max": int(characters.max()),
        },
        "labels": {"0": int(labels[0]), "1": int(labels[1])},
        "repeats": {
            "texts": len(repeated),
            "rows": int(repeated.sum()),
            "most": int(repeated.max()) if len(repeated) else 1,
        },
    }


def _overlap(train: datasets.Dataset, test: datasets.Dataset) -> dict[str, int]:
    """Test rows whose text stands in train: to the letter, and with runs of white space folded. Blank texts aside."""
    exact = set(train.data.column("document").to_pylist())
    folded = {" ".join(text.split()) for text in exact}
    counts = {"exact": 0, "folded": 0}
    for text in test.data.column("document").to_pylist():
        plain = " ".join(text.split())
        if plain:
            counts["exact"] += text in exact
            counts["folded"] += plain in folded
    return counts


if __name__ == "__main__":
    sys.exit(answer(lambda request: check(DataConfig.model_validate(request))))
