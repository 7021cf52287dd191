"""What may be used of a machine: trees of the files as Linux has them, and the machine that the test runs on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core import host
from core.cgroups import Cgroups, CpuLimit, MemoryLimit
from core.host import Host

GIB = 1 << 30
MIB = 1 << 20
V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v2(root: Path) -> Path:
    """A container of Docker or Kubernetes: a namespace of its own, so that the mount point is its group."""
    return tree(
        root,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": "22 1 259:2 / / rw - overlay overlay rw\n" + V2,
            "sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
            "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
            "sys/fs/cgroup/memory.stat": f"anon {2 * GIB}\nfile {GIB}\nactive_file 5\ninactive_file {512 * MIB}\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/cpu.stat": "usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\n",
        },
    )


def test_a_container_of_version_2(tmp_path: Path) -> None:
    groups = Cgroups(v2(tmp_path))
    assert groups.memory() == MemoryLimit(3 * GIB - 512 * MIB, 8 * GIB)
    assert groups.cpu() == CpuLimit(1.5, 5.0)


def test_a_limit_holds_for_all_below_it(tmp_path: Path) -> None:
    job = "sys/fs/cgroup/system.slice/slurmstepd.scope/job_77"
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/slurmstepd.scope/job_77/step_0/user/task_0\n",
            "proc/self/mountinfo": V2,
            f"{job}/memory.max": f"{16 * GIB}\n",
            f"{job}/memory.current": f"{4 * GIB}\n",
            f"{job}/step_0/memory.max": f"{20 * GIB}\n",
            f"{job}/step_0/memory.current": f"{GIB}\n",
            f"{job}/step_0/user/task_0/memory.max": "max\n",
            f"{job}/step_0/user/task_0/cpu.max": "max 100000\n",
        },
    )
    groups = Cgroups(root)
    assert groups.memory() == MemoryLimit(4 * GIB, 16 * GIB)
    assert groups.cpu() is None


@pytest.mark.parametrize("together", [True, False])
def test_a_container_of_version_1(tmp_path: Path, together: bool) -> None:
    """Without a namespace of its own: the mount point is the container's group, which has the host's name."""
    names = ["cpu,cpuacct"] if together else ["cpu", "cpuacct"]
    mounts = "".join(
        f"{40 + place} 30 0:{30 + place} /docker/4f /sys/fs/cgroup/{name} ro,nosuid - cgroup cgroup rw,{name}\n"
        for place, name in enumerate(["memory", *names])
    )
    lines = [f"{9 - place}:{name}:/docker/4f\n" for place, name in enumerate(["memory", *names])]
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "".join(lines) + "1:name=systemd:/docker/4f\n0::/system.slice/containerd.service\n",
            "proc/self/mountinfo": mounts,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{6 * GIB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{2 * GIB}\n",
            "sys/fs/cgroup/memory/memory.stat": f"inactive_file 7\ntotal_inactive_file {256 * MIB}\n",
            f"sys/fs/cgroup/{names[0]}/cpu.cfs_quota_us": "50000\n",
            f"sys/fs/cgroup/{names[0]}/cpu.cfs_period_us": "100000\n",
            f"sys/fs/cgroup/{names[-1]}/cpuacct.usage": "2500000000\n",
        },
    )
    groups = Cgroups(root)
    assert groups.memory() == MemoryLimit(2 * GIB - 256 * MIB, 6 * GIB)
    assert groups.cpu() == CpuLimit(0.5, 2.5)


def test_no_limit(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/a b\n1:cpu:/\n",
            "proc/self/mountinfo": "35 31 0:32 / /sys/fs/cgroup/memory\\040x rw - cgroup cgroup rw,memory\n"
            "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
            "sys/fs/cgroup/memory x/a b/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory x/a b/memory.usage_in_bytes": "24084480\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert Cgroups(root).cpu() is None
    sample = Host(root).sample()
    assert (sample.memory_limited, sample.memory_total > GIB // 2) == (False, True)
    assert (Cgroups(tmp_path / "nothing").memory(), Cgroups(tmp_path / "nothing").cpu()) == (None, None)


def test_the_host_is_what_the_limits_leave_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a machine that has more than the limits leave.
    monkeypatch.setattr(host, "_affinity", lambda: set(range(64)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    root = v2(tmp_path)
    (root / "sys/fs/cgroup/memory.max").write_text(f"{GIB // 4}\n")
    (root / "sys/fs/cgroup/memory.current").write_text(f"{GIB // 8}\n")
    (root / "sys/fs/cgroup/memory.stat").write_text("inactive_file 0\n")
    reader = Host(root)
    first = reader.sample()
    assert (first.cpu, first.cpus, first.cpu_limited) == (0.0, 1.5, True)
    assert (first.memory_used, first.memory_total, first.memory_free) == (GIB // 8, GIB // 4, GIB // 8)
    assert first.memory_limited
    begun = time.monotonic()
    time.sleep(0.05)
    spent = 0.75 * (time.monotonic() - begun)
    (root / "sys/fs/cgroup/cpu.stat").write_text(f"usage_usec {int(5e6 + spent * 1e6)}\n")
    assert 0 < reader.sample().cpu <= 50


def test_this_machine() -> None:
    reader = Host()
    first, second = reader.sample(), reader.sample()
    assert 0 < first.memory_used < first.memory_total
    assert 0 < first.cpus <= (os.cpu_count() or 1)
    assert 0 <= second.cpu <= 100
