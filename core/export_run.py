"""A run for others: its model, tables, errors, verdicts, variants and files for labelling tools, in one directory.

The directory is whole or not there; nothing that an export did not make is ever replaced.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import __version__, export_cleanlab, export_labels, export_rows, formats, metrics, variants
from core.errors import NsmcTuiError, UsageError
from core.export_files import ExportError, safe_name
from core.export_folder import MANIFEST, cannot_write, check_target, digest, into_place, link_or_copy, umask
from core.export_tables import review_rows, review_schema, variant_schema, verdict_rows, verdict_schema
from core.i18n import gettext as _
from core.predictions import THRESHOLD, Prediction, Predictions
from core.runs import CONFIG_FILE, load_run

if TYPE_CHECKING:
    import numpy as np

    from core.export_attention import ReviewExport

PARTS = ("model", "tables", "errors", "verdicts", "variants", "labelstudio", "argilla", "cleanlab", "attention")
"""What can be asked for, in the order it is made."""

USUAL = ("model", "tables", "errors", "verdicts", "variants", "labelstudio", "argilla", "cleanlab")
"""What is made when nothing is asked for: all that does not take a process with the model."""


Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Request:
    """What to export of a run.

    parts: of PARTS. split: None for test, else what there is. rows: row numbers of the split to export, in order; None
    for all errors, highest loss first. chosen: how they were chosen, in words, for the README. excel: CSV for looking
    at in Excel. formats: of the tables of reviews, those of `export_rows.FORMATS`. threshold: p(positive) from which a
    review is predicted positive, in scores and tables. force: an export that is there is replaced. attention: asks the
    model about a review; needed for that part, which is made of the first `attention_limit` reviews.
    """

    parts: tuple[str, ...] = USUAL
    split: str | None = None
    rows: np.ndarray | None = None
    chosen: str = ""
    excel: bool = False
    force: bool = False
    attention: Callable[[Prediction], ReviewExport] | None = None
    attention_limit: int = 10
    formats: tuple[str, ...] = export_rows.FORMATS
    threshold: float = THRESHOLD


def parts_of(names: Sequence[str]) -> tuple[str, ...]:
    """The parts that `names` (each perhaps several, with commas) ask for. Raises UsageError for one there is not."""
    wanted = [part.strip() for name in names for part in name.split(",") if part.strip()]
    unknown = [name for name in wanted if name not in (*PARTS, "all")]
    if unknown:
        raise UsageError(
            _("there is no {name} to export").format(name=unknown[0]),
            _("One of: {names}").format(names=", ".join((*PARTS, "all"))),
        )
    if "all" in wanted:
        return PARTS
    return tuple(part for part in PARTS if part in wanted) if wanted else USUAL


def export_run(run_dir: Path, target: Path, request: Request, progress: Progress | None = None) -> dict[str, Any]:
    """Write the export to the directory `target` and return its manifest.

    Parts that the run has not got are left out and named in `missing`, as long as something is left. Raises
    ExportError when `target` is there and may not be replaced, cannot be written, or there is nothing to export.
    """
    target = target.absolute()
    check_target(target, request.force)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        made = _Export(run_dir, temporary, request, progress or (lambda _name, _done, _total: None))
        manifest = made.run()
        os.chmod(temporary, 0o777 & ~umask())
        into_place(temporary, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return manifest


class _Export:
    """One export on its way: files are written to `folder`, and what each holds is remembered for the README."""

    def __init__(self, run_dir: Path, folder: Path, request: Request, progress: Progress) -> None:
        self.run_dir, self.folder, self.request, self.progress = run_dir, folder, request, progress
        self.about: dict[str, str] = {}
        self.made: list[str] = []
        self.missing: dict[str, str] = {}
        self.predictions: Predictions | None = None
        self.reviews: list[Prediction] = []
        self.verdicts: dict[str, dict[str, Any]] = {}
        self.summary: dict[str, Any] | None = None

    def run(self) -> dict[str, Any]:
        makers: dict[str, Callable[[], None]] = {
            "model": self._model,
            "tables": self._tables,
            "errors": self._errors,
            "verdicts": self._verdicts,
            "variants": self._variants,
            "cleanlab": self._cleanlab,
            "labelstudio": self._label_studio,
            "argilla": self._argilla,
            "attention": self._attention,
        }
        parts = [part for part in self.request.parts if part in makers]
        if set(parts) - {"model"}:
            self._read(parts)
        for number, part in enumerate(parts):
            self.progress(part, number, len(parts))
            if part != "model" and self.predictions is None and part != "tables":
                continue
            try:
                makers[part]()
                self.made.append(part)
            except NsmcTuiError as error:
                self.missing[part] = error.message
        if not self.about:
            reasons = "; ".join(dict.fromkeys(self.missing.values())) or _("nothing was asked for")
            raise ExportError(_("there is nothing to export: {reason}").format(reason=reasons))
        manifest = self._manifest()
        self.write("README.md", self._readme().encode(), "")
        manifest["files"] = self._files()
        (self.folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        self.progress("done", len(parts), len(parts))
        return manifest

    def write(self, name: str, data: bytes, about: str) -> None:
        """A file of the export and what it holds, in a few words."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if about:
            self.about[name] = about

    def _read(self, parts: Sequence[str]) -> None:
        try:
            predictions = Predictions(self.run_dir, self.request.split)
        except NsmcTuiError as error:
            for part in parts:
                if part != "model":
                    self.missing[part] = error.message
            return
        at, rows = self.request.threshold, self.request.rows
        if rows is None:
            rows = predictions.select("all", "loss", threshold=at)
        self.predictions = predictions
        self.verdicts = verdict_rows(self.run_dir, predictions.split)
        self.reviews = [predictions.row(int(row)).at(at) for row in rows]

    # -- parts -------------------------------------------------------------------------------------------------

    def _model(self) -> None:
        from core.evaluation import model_dir

        source = model_dir(self.run_dir)
        (self.folder / "model").mkdir()
        for path in sorted(source.rglob("*")):
            target = self.folder / "model" / path.relative_to(source)
            if path.is_dir():
                target.mkdir(exist_ok=True)
            elif path.is_file():
                link_or_copy(path, target)
        self.about["model/"] = _("the classifier and its tokenizer, as transformers loads them")

    def _tables(self) -> None:
        config = self.run_dir / CONFIG_FILE
        if config.is_file():
            self.write("config.toml", config.read_bytes(), _("the settings; `nsmc-tui train` on it repeats the run"))
        if self.predictions is None:
            return
        loss = float(self.predictions.column("loss").mean()) if len(self.predictions) else float("nan")
        matrix = self.predictions.confusion(self.request.threshold)
        self.summary = {
            "n": len(self.predictions),
            "metrics": {**metrics.from_confusion(matrix), "loss": loss},
            "intervals": metrics.intervals(matrix),
            "confusion": matrix,
        }
        rows = []
        for name, value in self.summary["metrics"].items():
            low, high = self.summary["intervals"].get(name) or (None, None)
            rows.append({"metric": name, "value": value, "low": low, "high": high})
        split = self.predictions.split
        columns = ("metric", "value", "low", "high")
        self.write(
            f"tables/scores-{split}.csv",
            export_rows.to_csv(columns, rows, self.request.excel),
            _("scores with 95% intervals"),
        )
        self.write(f"tables/scores-{split}.md", self._scores_markdown(split).encode(), _("the same as Markdown"))
        (tn, fp), (fn, tp) = self.summary["confusion"]
        confusion = [{"true": 0, "pred_0": tn, "pred_1": fp}, {"true": 1, "pred_0": fn, "pred_1": tp}]
        self.write(
            f"tables/confusion-{split}.csv",
            export_rows.to_csv(("true", "pred_0", "pred_1"), confusion),
            _("confusion matrix: rows true, columns predicted"),
        )

    def _scores_markdown(self, split: str) -> str:
        assert self.summary is not None
        lines = [f"| {split} (n = {self.summary['n']:,}) | | 95% |", "|---|---:|---|"]
        for name, value in self.summary["metrics"].items():
            span = self.summary["intervals"].get(name)
            interval = f"[{span[0]:.4f}, {span[1]:.4f}]" if span else ""
            lines.append(f"| {name} | {value:.4f} | {interval} |")
        (tn, fp), (fn, tp) = self.summary["confusion"]
        corner = _("true \\ predicted")
        lines += [
            "",
            f"| {corner} | {_('negative')} | {_('positive')} |",
            "|---|---:|---:|",
            f"| {_('negative')} | {tn:,} | {fp:,} |",
            f"| {_('positive')} | {fn:,} | {tp:,} |",
        ]
        return "\n".join(lines) + "\n"

    def _errors(self) -> None:
        assert self.predictions is not None
        rows = review_rows(self.reviews, self.verdicts)
        about = _("the reviews, their labels and predictions")
        self._all_formats("errors", rows, review_schema(self.predictions), about)

    def _verdicts(self) -> None:
        """Every review of the split that somebody holds something of, whatever else was chosen."""
        assert self.predictions is not None
        if not self.verdicts:
            raise ExportError(_("nobody has judged a review of {split}").format(split=self.predictions.split))
        documents = self._documents()
        rows = [{**row, "document": documents.get(row["id"], "")} for row in self.verdicts.values()]
        self._all_formats("verdicts", rows, verdict_schema(), _("verdicts"))

    def _variants(self) -> None:
        """Every variant of a review of the split, whatever else was chosen."""
        assert self.predictions is not None
        documents, split = self._documents(), self.predictions.split
        rows = [
            {**row, "document": documents.get(row["id"], "")}
            for row in variants.rows(self.run_dir, threshold=self.request.threshold)
            if row["split"] == split
        ]
        if not rows:
            raise ExportError(_("nobody has kept a variant of a review of {split}").format(split=split))
        about = _("changed reviews and what the model said to them")
        self._all_formats("variants", rows, variant_schema(), about)

    def _documents(self) -> dict[str, str]:
        """The reviews of the split by their ids."""
        assert self.predictions is not None
        ids, documents = (self.predictions.table.column(name).to_pylist() for name in ("id", "document"))
        return dict(zip(ids, documents, strict=True))

    def _all_formats(self, name: str, rows: list[dict[str, Any]], schema: Any, about: str) -> None:
        """The same rows as a file of each of the formats."""
        for number, format_ in enumerate(self.request.formats):
            data = export_rows.encode(format_, schema.names, rows, excel=self.request.excel, schema=schema)
            self.write(f"{name}.{format_}", data, _("the same rows") if number else about)

    def _cleanlab(self) -> None:
        """All reviews of the split: cleanlab's thresholds are means over all of them."""
        import numpy as np

        assert self.predictions is not None
        predictions = self.predictions
        probabilities = np.stack([predictions.column("prob_0"), predictions.column("prob_1")], axis=1)
        ids = predictions.table.column("id").to_pylist()
        rows = export_cleanlab.rows(ids, predictions.column("label"), probabilities)
        about = _("cleanlab's columns for all reviews of the split")
        self.write("cleanlab/issues.csv", export_rows.to_csv(export_cleanlab.COLUMNS, rows), about)
        buffer = io.BytesIO()
        np.save(buffer, probabilities)
        self.write("cleanlab/pred_probs.npy", buffer.getvalue(), _("the probabilities, in the same order"))

    def _label_studio(self) -> None:
        data = export_labels.label_studio(self.reviews, self.run_dir.name, self.verdicts)
        self.write("label-studio/tasks.json", data, _("tasks for Label Studio, predictions included"))
        self.write(
            "label-studio/labeling-config.xml",
            export_labels.LABEL_STUDIO_CONFIG.encode(),
            _("the labelling interface that the tasks belong to"),
        )

    def _argilla(self) -> None:
        data = export_labels.argilla(self.reviews, self.run_dir.name, self.verdicts)
        self.write("argilla/argilla.json", data, _("records for Argilla 2, predictions as suggestions"))
        self.write("argilla/argilla_import.py", export_labels.ARGILLA_SCRIPT.encode(), _("loads them into a server"))

    def _attention(self) -> None:
        from core import export_attention, export_html, export_svg

        if self.request.attention is None:
            raise UsageError(_("attention needs a model to ask"), _("Export it with the command line or from Review."))
        chosen = self.reviews[: self.request.attention_limit]
        for number, review in enumerate(chosen):
            self.progress("attention", number, len(chosen))
            found = self.request.attention(review)
            name = safe_name(review.id)
            self.write(f"attention/{name}.html", export_html.page([found]).encode("utf-8", "replace"), "")
            if found.inspection.attention is None:
                continue
            self.write(f"attention/{name}.svg", export_svg.svg(found).encode("utf-8", "replace"), "")
            self.write(f"attention/{name}.npz", export_attention.npz(found), "")
            self.write(f"attention/{name}-bertviz.py", export_attention.bertviz_script(f"{name}.npz").encode(), "")
        self.about["attention/*.html"] = _("single reviews with all layers and heads; opens in a browser")
        self.about["attention/*.svg"] = _("the same as pictures, mean over layers and heads")
        self.about["attention/*.npz"] = _("all weights, for numpy and bertviz")
        self.about["attention/*-bertviz.py"] = _("shows the weights in bertviz")

    # -- about it ----------------------------------------------------------------------------------------------

    def _manifest(self) -> dict[str, Any]:
        return {
            "v": 1,
            "nsmc_tui": __version__,
            "run_id": self.run_dir.name,
            "made": round(time.time(), 3),
            "split": self.predictions.split if self.predictions is not None else None,
            "reviews": len(self.reviews),
            "chosen": self.request.chosen or _("all errors"),
            "threshold": self.request.threshold,
            "parts": self.made,
            "missing": self.missing,
        }

    def _files(self) -> list[dict[str, Any]]:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [
            {
                "path": path.relative_to(self.folder).as_posix(),
                "bytes": path.stat().st_size,
                "sha256": digest(path),
            }
            for path in files
        ]

    def _readme(self) -> str:
        run = load_run(self.run_dir)
        out = io.StringIO()
        out.write(f"# {_line(run.name)}\n\n")
        model = _("a model trained by nsmc-tui {version}").format(version=__version__)
        out.write(f"`{_line(self.run_dir.name)}`: {model}.\n\n")
        if self.predictions is not None:
            out.write(
                _("Reviews of {split}: {n} ({chosen}). 0 is 부정 (negative), 1 is 긍정 (positive).").format(
                    split=_line(self.predictions.split),
                    n=formats.count(len(self.reviews)),
                    chosen=_line(self.request.chosen or _("all errors")),
                )
                + "\n\n"
            )
            if self.request.threshold != THRESHOLD:
                said = _("A review is predicted 긍정 from p(긍정) = {threshold} on; the model's own is 0.5.")
                out.write(said.format(threshold=f"{self.request.threshold:g}") + "\n\n")
        out.write(f"| {_('file')} | {_('what')} |\n|---|---|\n")
        for name, about in self.about.items():
            out.write(f"| `{_line(name)}` | {about} |\n")
        if self.missing:
            out.write(f"\n{_('Left out:')}\n\n")
            for part, reason in self.missing.items():
                out.write(f"- {part}: {_line(reason)}\n")
        out.write(
            "\n"
            + _("`manifest.json` has the size and SHA-256 of every file.")
            + " "
            + _("CSV is exact; a spreadsheet may take text that begins with `=` for a formula: import it as text.")
            + "\n"
        )
        return out.getvalue()


def _line(text: str) -> str:
    """Foreign text inside Markdown, on one line."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
