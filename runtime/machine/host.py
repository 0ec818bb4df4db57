"""The host: its processor, and the cores, memory and disk that this process may use of it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def processor_name(root: Path = ROOT) -> str:
    """The processor's name, as its maker gives it."""
    lines = _text(root / "proc/cpuinfo").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def usable_cores(root: Path = ROOT) -> float:
    """Cores that this process may keep busy: those it is bound to, within its control groups' shares."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(bound), *_core_shares(root)])


def total_memory() -> int | None:
    """Bytes of memory of the machine; None where the system does not say."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def available_memory(root: Path = ROOT) -> int | None:
    """Bytes that this process can still take: of the machine, and of its control groups; None if unknown."""
    fields = dict(line.split(":", 1) for line in _text(root / "proc/meminfo").splitlines() if ":" in line)
    if "MemAvailable" not in fields:
        return None
    return max(min([int(fields["MemAvailable"].split()[0]) * 1024, *_memory_left(root)]), 0)


def resident_memory() -> int:
    """Bytes that this process holds now; 0 where the system does not say."""
    pages = _text(Path("/proc/self/statm")).split()[1:2]
    return int(pages[0]) * os.sysconf("SC_PAGE_SIZE") if pages else 0


def free_disk(folder: Path) -> int | None:
    """Bytes that may still be written into a folder, or into what it will be made in; None if unknown."""
    for place in (folder.absolute(), *folder.absolute().parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def _core_shares(root: Path) -> Iterator[float]:
    for group in _groups(root, "cpu"):
        quota, _, period = (_text(group / "cpu.max") or _former_quota(group)).strip().partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)


def _former_quota(group: Path) -> str:
    return " ".join(_text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))


def _memory_left(root: Path) -> Iterator[int]:
    for group in _groups(root, "memory"):
        for most, used, pages in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, taken = _text(group / most).strip(), _text(group / used).strip()
            if limit.isdigit() and taken.isdigit():
                # Files that nobody has touched for long are dropped before anybody is refused.
                yield int(limit) - int(taken) + _statistic(group, pages)


def _statistic(group: Path, name: str) -> int:
    for line in _text(group / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The control groups that this process is in and that bound it, of both versions, inner ones first."""
    mounts = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        base = mounts / controllers if controllers else mounts
        # Within a container the path may be the host's, and only the top is to be seen.
        group = base / path.strip("/")
        yield from dict.fromkeys([group, *(each for each in group.parents if each.is_relative_to(base))])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
