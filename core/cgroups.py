"""What a container, a batch system or a service manager leaves of the machine: Linux control groups, versions 1 and 2.

`/proc/self/cgroup` names the groups of a process, `/proc/self/mountinfo` where their files lie. A limit holds for a
group and all below it, so that the lowest on the way up to the mount point counts.
Source: the kernel's documentation, `admin-guide/cgroup-v2.rst` and `admin-guide/cgroup-v1/memory.rst`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_OCTAL = re.compile(r"\\(\d{3})")


@dataclass(frozen=True)
class MemoryLimit:
    """Bytes that may be used, and that are used: without the file cache that the kernel takes back when it is needed
    (`inactive_file`), as container tools count it."""

    used: int
    most: int


@dataclass(frozen=True)
class CpuLimit:
    """`cores` is how many cores' worth of time may be used; `spent` the seconds of CPU time used so far."""

    cores: float
    spent: float | None


@dataclass(frozen=True)
class _Group:
    """A group's directory, and which version's files are in it."""

    path: Path
    version: int


class Cgroups:
    """The groups of this process below `root`, which is `/` but for tests. On other systems it has none."""

    def __init__(self, root: Path = Path("/")) -> None:
        mounts = list(_mounts(root))
        groups = _groups(root)
        self._memory = _levels(root, mounts, groups, "memory")
        self._cpu = _levels(root, mounts, groups, "cpu")
        self._accounting = _levels(root, mounts, groups, "cpuacct")

    def memory(self) -> MemoryLimit | None:
        """The lowest limit of memory that holds here; None where there is none."""
        lowest: tuple[int, _Group] | None = None
        for group in self._memory:
            most = _number(group.path / ("memory.max" if group.version == 2 else "memory.limit_in_bytes"))
            if most is not None and (lowest is None or most < lowest[0]):
                lowest = (most, group)
        if lowest is None:
            return None
        most, group = lowest
        current = _number(group.path / ("memory.current" if group.version == 2 else "memory.usage_in_bytes"))
        if current is None:
            return None
        cache = _field(group.path / "memory.stat", "inactive_file" if group.version == 2 else "total_inactive_file")
        return MemoryLimit(max(0, current - (cache or 0)), most)

    def cpu(self) -> CpuLimit | None:
        """The lowest quota of CPU time that holds here; None where there is none."""
        lowest: tuple[float, _Group] | None = None
        for group in self._cpu:
            cores = _quota(group)
            if cores is not None and (lowest is None or cores < lowest[0]):
                lowest = (cores, group)
        return None if lowest is None else CpuLimit(lowest[0], self._spent(lowest[1]))

    def _spent(self, group: _Group) -> float | None:
        if group.version == 2:
            microseconds = _field(group.path / "cpu.stat", "usage_usec")
            return None if microseconds is None else microseconds / 1e6
        # Version 1 counts time in a hierarchy of its own, often mounted together with that of the quota.
        place = self._cpu.index(group)
        for path in (group.path, *(one.path for one in self._accounting[place : place + 1])):
            nanoseconds = _number(path / "cpuacct.usage")
            if nanoseconds is not None:
                return nanoseconds / 1e9
        return None


def _groups(root: Path) -> dict[str, str]:
    """The group of this process by controller; the one of version 2 under an empty name."""
    found: dict[str, str] = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            found |= dict.fromkeys(parts[1].split(","), parts[2])
    return found


def _mounts(root: Path) -> Iterator[tuple[int, str, str, list[str]]]:
    """Version, the group at the mount point, the mount point and the controllers of each mounted hierarchy."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _sign, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and len(kind) > 2 and kind[0] in ("cgroup", "cgroup2"):
            group, point = (_OCTAL.sub(lambda code: chr(int(code.group(1), 8)), part) for part in fields[3:5])
            yield (2 if kind[0] == "cgroup2" else 1), group, point, kind[2].split(",")


def _levels(
    root: Path, mounts: list[tuple[int, str, str, list[str]]], groups: dict[str, str], controller: str
) -> list[_Group]:
    """The directories of the process's group and of those above it, the innermost first.

    A controller belongs to version 1 when it is mounted there, else to version 2.
    """
    for version, top, point, controllers in sorted(mounts, key=lambda mount: mount[0]):
        if version == 1 and controller not in controllers:
            continue
        if version == 2 and controller == "cpuacct":
            continue
        group = groups.get(controller if version == 1 else "")
        if group is None:
            continue
        inside = PurePosixPath(group)
        # In a container the mount point may be the group itself, and the group's name one of the host.
        below = inside.relative_to(top) if inside.is_relative_to(top) else PurePosixPath()
        if ".." in below.parts:
            below = PurePosixPath()
        base = root / point.lstrip("/")
        paths = [base / below, *((base / parent) for parent in below.parents)] if below.parts else [base]
        return [_Group(path, version) for path in paths]
    return []


def _quota(group: _Group) -> float | None:
    if group.version == 2:
        parts = _text(group.path / "cpu.max").split()
        quota, period = parts if len(parts) == 2 else ("max", "1")
    else:
        quota, period = (_text(group.path / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if not quota.isdigit() or not period.isdigit() or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _field(path: Path, name: str) -> int | None:
    for line in _text(path).splitlines():
        key, _space, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
