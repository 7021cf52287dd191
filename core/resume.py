"""Going on with a run that stopped, crashed or failed, or with a finished one for longer. Light."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from core import checkpoints, config_file, formats
from core.config import RunConfig
from core.errors import ConfigError, ResumeError
from core.i18n import gettext as _
from core.i18n import ngettext
from core.launch import start_worker
from core.paths import write_atomically
from core.runs import CONFIG_FILE, Run, load_run, read_status, write_status

# What may change in the middle of a run: how long it goes on, what is written and scored, and how it is run.
# Everything else decides what the next step learns, and belongs to a run of its own.
CHANGEABLE = {
    # Files may have been moved; the worker sees whether the train reviews are the same.
    "data": ("source", "test_file"),
    "train": (
        "num_train_epochs",
        "max_steps",
        "per_device_eval_batch_size",
        "eval_strategy",
        "eval_steps",
        "eval_delay",
        "save_strategy",
        "save_steps",
        "save_total_limit",
        "save_only_model",
        "logging_strategy",
        "logging_steps",
        "early_stopping_patience",
        "early_stopping_threshold",
        "load_best_model_at_end",
        "report_to",
        "run_name",
        "project",
        "trackio_space_id",
        "trackio_bucket_id",
        "trackio_static_space_id",
        "hub_private_repo",
        "log_level",
        "log_level_replica",
        "log_on_each_node",
        "dataloader_num_workers",
        "dataloader_pin_memory",
        "dataloader_prefetch_factor",
        "dataloader_persistent_workers",
        "dataloader_multiprocessing_context",
        "ddp_backend",
        "ddp_timeout",
        "ddp_bucket_cap_mb",
        "ddp_find_unused_parameters",
        "ddp_static_graph",
        "torch_empty_cache_steps",
    ),
    "evaluate": ("splits", "bootstrap", "history"),
    "launch": (
        "device",
        "events_per_second",
        "device_interval",
        "stop_on_nan",
        "offline",
        "stop_at_step",
        "stop_at_epoch",
        "on_out_of_memory",
        "rdzv_endpoint",
        "name",
    ),
}
# These may change together, as long as a step learns from as many reviews as before.
BATCH = (
    ("train", "per_device_train_batch_size"),
    ("train", "gradient_accumulation_steps"),
    ("launch", "processes"),
    ("launch", "nodes"),
)


def effective_batch(config: RunConfig) -> int:
    """Reviews an optimizer step: per device × accumulation × processes × nodes."""
    train, launch = config.train, config.launch
    return train.per_device_train_batch_size * train.gradient_accumulation_steps * launch.processes * launch.nodes


def deciding(config: RunConfig) -> dict[str, Any]:
    """What decides the next step, by key: checkpoints keep it, so that a changed `config.toml` is noticed."""
    found = {
        f"{section}.{name}": value
        for section, content in config.model_dump(mode="json").items()
        for name, value in content.items()
        if name not in CHANGEABLE.get(section, ()) and (section, name) not in BATCH
    }
    return {**found, "effective_batch": effective_batch(config)}


def _check_unchanged(config: RunConfig, chosen: checkpoints.Checkpoint, file: Path) -> None:
    """Raise ResumeError where `config` would go on from `chosen` with other settings than those that made it."""
    stored = checkpoints.kept(checkpoints.state_of(chosen.path))
    before = stored.get("settings")
    if not isinstance(before, dict):
        return
    train, launch = config.train, config.launch
    for name, key, value in (
        ("world", "launch.processes", launch.processes * launch.nodes),
        ("accumulation", "train.gradient_accumulation_steps", train.gradient_accumulation_steps),
    ):
        if (cause := _shared_out(config)) and stored.get(name, value) != value:
            raise _other_batches(key, cause, stored[name])
    now, usual = deciding(config), deciding(RunConfig())
    for key in sorted({*before, *now}):
        # A setting that only one of the two knows came or went with a release: it counts where it was set.
        was, is_now = before.get(key, usual.get(key)), now.get(key, usual.get(key))
        if was != is_now:
            raise ResumeError(
                _("{file} has been changed since {checkpoint}: {key} was {was!r} and is {now!r}").format(
                    file=file.name, checkpoint=chosen.path.name, key=key, was=was, now=is_now
                ),
                _("Put it back, or start a run of its own: `nsmc-tui train {file}`.").format(file=file),
            )


def _shared_out(config: RunConfig) -> str:
    """The setting for which ranks and accumulation decide which reviews a step has; empty where they do not.

    A budget of tokens cuts an epoch into batches, which they share out; what is dropped at an epoch's end is what does
    not fill a batch on each rank, so that another batch makes more or fewer steps of an epoch.
    """
    if config.train.max_tokens is not None:
        return "train.max_tokens"
    return "train.dataloader_drop_last" if config.train.extra.get("dataloader_drop_last") else ""


def _other_batches(key: str, cause: str, before: int | None = None) -> ConfigError:
    """`key` may not change because of the setting `cause`; `before` is its value where that is known."""
    hint = _("Go on with as many processes, nodes and accumulation steps as before.")
    return ConfigError(
        _("{key} cannot change in the middle of a run with {cause}: steps would have other reviews").format(
            key=key, cause=cause
        ),
        hint if before is None else f"{hint} " + _("It was {before}.").format(before=before),
        key=key,
    )


def changed_config(before: RunConfig, sets: list[tuple[list[str], Any]]) -> RunConfig:
    """`before` with the assignments `sets`. Raises ConfigError for one that would make the run another one."""
    values = config_file.plain(before)
    for path, value in sets:
        config_file.assign(values, path, value)
    after = config_file.validate(values)
    for key in config_file.changed(after, before):
        section, name = key.split(".", 1)
        if (cause := _shared_out(after)) and (section, name) in BATCH[1:]:
            raise _other_batches(key, cause)
        if name in CHANGEABLE.get(section, ()) or (section, name) in BATCH:
            continue
        raise ConfigError(
            _("{key} cannot change in the middle of a run").format(key=key),
            _("Start a new run with it: `nsmc-tui train RUN/config.toml --set {key}=…`.").format(key=key),
            key=key,
        )
    if effective_batch(after) != effective_batch(before):
        raise ConfigError(
            ngettext(
                "a step would learn from {new} review instead of {old}",
                "a step would learn from {new} reviews instead of {old}",
                effective_batch(after),
            ).format(new=effective_batch(after), old=effective_batch(before)),
            _("Keep batch × accumulation × processes × nodes as it was, so that steps mean the same."),
            key="train.per_device_train_batch_size",
        )
    return after


def _at_end(config: RunConfig, step: int, max_steps: int, before: RunConfig) -> bool:
    longer = config.train.max_steps > step or (
        config.train.max_steps < 0 and config.train.num_train_epochs > before.train.num_train_epochs
    )
    return max_steps > 0 and step >= max_steps and not longer


def _check_over(run: Run, lost: bool) -> None:
    """Raise ResumeError for a run that is alive; `lost`: wait whether one of another machine is, and take it as gone.

    From here nobody can look for a process there: that nothing was written for a while is all that can be seen.
    """
    alive = run
    while lost and alive.live and not alive.silent and alive.host != socket.gethostname():
        time.sleep(1)
        alive = load_run(run.path)
        if alive.updated != run.updated:
            break
    if not alive.live or (lost and alive.silent):
        return
    hint = _("`nsmc-tui watch {run}` follows it; `nsmc-tui control {run} continue` ends a pause.").format(run=run.id)
    if alive.silent:
        hint = _(
            "It ran on {host} and has written nothing for a while. Once that machine or its job is gone: "
            "`nsmc-tui resume {run} --lost`."
        ).format(host=run.host, run=run.id)
    raise ResumeError(
        _("{run} is {state}: it cannot be resumed").format(run=run.id, state=formats.state(run.state)), hint
    )


def prepare(run_dir: Path, sets: list[tuple[list[str], Any]], step: int | None = None, *, lost: bool = False) -> int:
    """Check a run, its checkpoint and the changes, and write its config; the step it goes on from.

    `lost` takes a run as over whose machine is gone; it waits up to a minute to see that nothing is written there.
    Raises ResumeError when the run is alive, has reached its end, or lacks state to go on from; ConfigError for
    changes that cannot be made.
    """
    run = load_run(run_dir)
    _check_over(run, lost)
    before = config_file.load(run_dir / CONFIG_FILE)
    after = changed_config(before, sets)
    chosen = checkpoints.choose(run_dir, step)
    if chosen is not None:
        _check_unchanged(after, chosen, run_dir / CONFIG_FILE)
    start = chosen.step if chosen is not None else 0
    if run.state == "finished" and chosen is None:
        raise ResumeError(
            _("{run} has finished and keeps no checkpoint").format(run=run.id),
            _("Start a new run from its model: `nsmc-tui train --model {path}`.").format(path=run_dir / "model"),
        )
    if run.state == "finished" and _at_end(after, start, run.max_steps, before):
        raise ResumeError(
            _("{run} has finished: there is nothing left to train").format(run=run.id),
            _("Train longer: `nsmc-tui resume {run} --set train.num_train_epochs={epochs:g}`.").format(
                run=run.id, epochs=before.train.num_train_epochs + 1
            ),
        )
    if after != before:
        existing = (run_dir / CONFIG_FILE).read_text(encoding="utf-8")
        write_atomically(run_dir / CONFIG_FILE, config_file.dumps(after, existing))
    return start


def resume(run_dir: Path, sets: list[tuple[list[str], Any]], step: int | None = None, *, lost: bool = False) -> int:
    """Start a worker that goes on with the run; the step it goes on from. Raises as `prepare` does, or RunError."""
    start = prepare(run_dir, sets, step, lost=lost)
    status = read_status(run_dir)
    status.update(
        state="queued", pid=None, pid_start=None, phase="", eta=None, error="", hint="", step=start, updated=time.time()
    )
    write_status(run_dir, status)
    start_worker(run_dir, "--resume", *([str(step)] if step is not None else []))
    return start
