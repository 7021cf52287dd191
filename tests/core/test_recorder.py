"""What a worker tells of its run, and what training waits for while it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.recorder import Recorder
from core.runs import read_status


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that were forced to the disk, in order."""
    forced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        forced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return forced


def test_a_change_of_state_is_on_the_disk_and_progress_does_not_wait_for_it(tmp_path: Path, synced: list[int]) -> None:
    recorder = Recorder(tmp_path)
    recorder.set_state("running", step=1)
    assert len(synced) == 1
    recorder._written = 0.0
    recorder.update(step=2, loss=float("nan"))
    # Readers see it all the same.
    assert read_status(tmp_path)["step"] == 2
    assert read_status(tmp_path)["loss"] is None
    assert len(synced) == 1
    recorder.set_state("finished")
    assert len(synced) == 2
    assert read_status(tmp_path)["state"] == "finished"
    recorder.close()


def test_progress_is_written_once_a_second_at_most(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.set_state("running", step=1)
    recorder.update(step=2)
    assert read_status(tmp_path)["step"] == 1
    recorder._written -= 1.0
    recorder.update(loss=0.5)
    assert (read_status(tmp_path)["step"], read_status(tmp_path)["loss"]) == (2, 0.5)
    recorder.close()
