"""What tests of screens share. It needs textual and syrupy, which a machine that only trains may lack."""

from __future__ import annotations

import math

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.tui.picture import PictureExtension


@pytest.fixture(autouse=True)
def only_the_worker_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures of the machine that the tests run on in their pictures: the app leaves the looking to the worker."""
    monkeypatch.setattr("tui.device_source.FRESH", math.inf)
    monkeypatch.setattr("tui.device_source.WAIT", math.inf)


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """syrupy's fixture, keeping each screen (`tests.tui.picture.picture`) as a text file of its own."""
    return snapshot.use_extension(PictureExtension)
