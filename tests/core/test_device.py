"""What is read of GPUs and processes. The GPUs are a fake NVML's, the processes are real."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

from core.device import NOT_KNOWN, Nvml, visible_gpus
from core.processes import Family, descendants, process_user
from core.sampler import DeviceSampler
from tests.core.fake_nvml import GIB, FakeGpu, GpuIsLostError, NoPermissionError, NotSupportedError, installed, process


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits, with a child of its own that waits too."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], stdin=sys.stdin)"
    started = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    yield started
    assert started.stdin is not None
    started.stdin.close()
    started.wait(10)


def until(condition: Any, timeout: float = 240) -> Any:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("nothing came")


def test_several_gpus_with_their_processes() -> None:
    mine = process(os.getpid(), 8 * GIB)
    with installed(FakeGpu(processes=[mine]), FakeGpu(uuid=b"GPU-bbbb", name=b"NVIDIA A100", used=0)):
        nvml = Nvml()
        first, second = nvml.sample()
        nvml.close()
    assert (first.index, first.util, first.power, first.power_limit, first.temperature) == (0, 87, 298.0, 700.0, 61)
    assert first.memory_free == 70 * GIB
    assert first.processes[0].user == getpass.getuser()
    assert (second.name, second.uuid, second.processes) == ("NVIDIA A100", "GPU-bbbb", ())
    event = first.as_event(frozenset({os.getpid()}))
    assert event["processes"] == [
        {"pid": os.getpid(), "user": getpass.getuser(), "memory": 8 * GIB, "ours": True}
    ]  # fmt: skip


def test_what_the_driver_does_not_tell_is_none() -> None:
    silent = NotSupportedError()
    gpu = FakeGpu(
        util=silent, power=silent, limit=silent, temperature=silent, uuid=silent, processes=NoPermissionError()
    )
    with installed(gpu):
        (sample,) = Nvml().sample()
    assert (sample.util, sample.power, sample.temperature, sample.uuid) == (None, None, None, "")
    assert sample.hidden
    assert sample.processes == ()


def test_a_lost_gpu_and_one_without_memory_figures_are_left_out() -> None:
    with installed(FakeGpu(lost=True), FakeGpu(), FakeGpu(used=GpuIsLostError())) as machine:
        nvml = Nvml()
        assert [gpu.index for gpu in nvml.sample()] == [1]
        machine[0].lost = False
        assert [gpu.index for gpu in nvml.sample()] == [0, 1]


def test_processes_that_are_gone_have_no_user() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(20)
    with installed(FakeGpu(processes=[process(ended.pid, None), process(2**22 + 1, NOT_KNOWN)])):
        (sample,) = Nvml().sample()
    assert [(one.user, one.memory) for one in sample.processes] == [("", None), ("", None)]
    assert process_user(ended.pid) == ""


def test_without_a_driver_there_are_no_gpus() -> None:
    with installed(FakeGpu(), missing=frozenset({"nvmlInitWithFlags"})):
        nvml = Nvml()
        assert not nvml.ok
        assert nvml.sample() == []
        nvml.close()


def test_older_and_later_drivers_lack_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    old = frozenset({"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetMigMode", "nvmlDeviceGetTemperatureV"})
    for missing in (old, frozenset({"nvmlDeviceGetTemperature", "nvmlSystemGetDriverVersion"})):
        with installed(FakeGpu(processes=[process(os.getpid(), None)]), missing=missing):
            (sample,) = Nvml().sample()
        assert [(one.pid, one.memory) for one in sample.processes] == [(os.getpid(), None)]
        assert (sample.temperature, sample.hidden) == (61, False)
    # A package that does not know the second version, on a driver that does not tell this user.
    monkeypatch.delattr(pynvml, "nvmlDeviceGetComputeRunningProcesses_v2")
    with installed(FakeGpu(processes=NoPermissionError())):
        assert Nvml().sample()[0].hidden
    both = frozenset(f"nvmlDeviceGetComputeRunningProcesses_v{version}" for version in (2, 3))
    with installed(FakeGpu(name=b"\xff\xfe"), missing=both):
        (sample,) = Nvml().sample()
    assert (sample.hidden, sample.name) == (True, "GPU")


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [
        (None, ["GPU-aaaa", "GPU-aabb", "GPU-cccc"]),
        ("2,0", ["GPU-cccc", "GPU-aaaa"]),
        ("GPU-cccc,1", ["GPU-cccc", "GPU-aabb"]),
        ("GPU-c", ["GPU-cccc"]),
        ("GPU-a,0", []),
        ("1,-1,0", ["GPU-aabb"]),
        ("1,7,0", ["GPU-aabb"]),
        ("", []),
        ("MIG-1", ["MIG-1"]),
        ("MIG-2/x", []),
    ],
)
def test_visible_gpus_are_those_that_cuda_would_see(
    chosen: str | None, seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if chosen is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    part = FakeGpu(name="NVIDIA H100 MIG 1g.10gb", uuid="MIG-1", used=GIB, total=10 * GIB)
    with installed(FakeGpu(), FakeGpu(uuid="GPU-aabb"), FakeGpu(uuid="GPU-cccc", slices=[part])):
        assert [gpu.uuid for gpu in visible_gpus(Nvml().sample())] == seen


def test_a_gpu_in_mig_mode_counts_its_slices() -> None:
    slices = [FakeGpu(uuid=f"MIG-{n}", used=n * GIB, total=10 * GIB, processes=[process(os.getpid())]) for n in (1, 2)]
    with installed(FakeGpu(used=NoPermissionError(), util=NotSupportedError(), slices=slices)):
        (sample,) = Nvml().sample()
    assert (sample.memory_used, sample.memory_total, sample.util) == (3 * GIB, 20 * GIB, None)
    assert [part.uuid for part in sample.mig] == ["MIG-1", "MIG-2"]
    assert "mig" not in sample.as_event()


def test_a_family_is_a_process_and_all_that_it_started(child: subprocess.Popen[bytes]) -> None:
    below = until(lambda: descendants(child.pid))
    assert below
    family = Family(child.pid, look_every=1)
    until(lambda: family.sample().count == 2)
    assert family.pids == {child.pid, *below}
    sample = family.sample()
    assert sample.rss > 1 << 20
    assert child.pid in descendants(os.getpid())


def test_a_family_whose_members_are_gone_is_empty() -> None:
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    family = Family(gone.pid, look_every=100)
    assert family.sample().count == 1
    gone.communicate(b"\n")
    assert family.sample().count == 0


def test_the_sampler_tells_host_and_devices(tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    with installed(FakeGpu(processes=[process(os.getpid())])):
        sampler = DeviceSampler(lambda kind, **fields: told.append((kind, fields)), tmp_path, 0.5)
        sampler.start()
        until(lambda: len(told) >= 4)
        sampler.stop()
    kinds = [kind for kind, _fields in told]
    assert kinds[:4] == ["host", "device", "host", "device"]
    host, device = told[2][1], told[3][1]
    assert host["worker_rss"] > 1 << 20
    assert host["worker_processes"] >= 1
    assert 0 <= host["cpu"] <= 100
    assert 0 < host["disk_free"] <= host["disk_total"]
    assert device["processes"][0]["ours"] is True
