"""The host as a process may use it: on the machine itself, and in containers of both kinds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dit4sr.runtime.machine.host import (
    available_memory,
    free_disk,
    processor_name,
    resident_memory,
    total_memory,
    usable_cores,
)

MEMINFO = "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of files, with sixteen cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)

    def write(**files: str) -> Path:
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return write


def place(root: Path, name: str, content: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_without_groups_it_is_the_machines(machine):
    root = machine(proc__meminfo=MEMINFO, proc__cpuinfo="flags: avx\nmodel name\t: Fast(R) One\n")
    assert available_memory(root) == 3000000 * 1024
    assert usable_cores(root) == 16
    assert processor_name(root) == "Fast(R) One"


def test_the_tightest_group_around_the_process_bounds_it(machine):
    root = machine(proc__meminfo=MEMINFO, proc__self__cgroup="0::/outer/inner\n")
    place(root, "sys/fs/cgroup/outer/cpu.max", "250000 100000\n")
    place(root, "sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n")
    place(root, "sys/fs/cgroup/outer/memory.max", "1000000000\n")
    place(root, "sys/fs/cgroup/outer/memory.current", "400000000\n")
    place(root, "sys/fs/cgroup/outer/memory.stat", "anon 1\ninactive_file 50000000\n")
    place(root, "sys/fs/cgroup/outer/inner/memory.max", "max\n")
    assert usable_cores(root) == 2.5
    assert available_memory(root) == 650000000


def test_groups_of_the_first_kind_bound_it_too(machine):
    root = machine(proc__meminfo=MEMINFO, proc__self__cgroup="4:memory:/a\n3:cpu,cpuacct:/a\n1:name=x:/\n")
    place(root, "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2000000000\n")
    place(root, "sys/fs/cgroup/memory/a/memory.usage_in_bytes", "500000000\n")
    place(root, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    place(root, "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n")
    place(root, "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n")
    assert available_memory(root) == 1500000000
    assert usable_cores(root) == 1.5


def test_a_container_sees_its_own_group_at_the_top(machine):
    """The path that the kernel gives is the host's; what is there is mounted at the root."""
    root = machine(proc__meminfo=MEMINFO, proc__self__cgroup="0::/docker/4711\n")
    place(root, "sys/fs/cgroup/memory.max", "500000000\n")
    place(root, "sys/fs/cgroup/memory.current", "100000000\n")
    assert available_memory(root) == 400000000


def test_a_group_that_holds_more_than_it_may_has_nothing_left(machine):
    root = machine(proc__meminfo=MEMINFO, proc__self__cgroup="0::/\n")
    place(root, "sys/fs/cgroup/memory.max", "500\n")
    place(root, "sys/fs/cgroup/memory.current", "900\n")
    assert available_memory(root) == 0


def test_where_the_system_does_not_say_nothing_is_claimed(machine):
    assert available_memory(machine()) is None
    assert usable_cores(machine()) == 16
    assert processor_name(machine())


def test_this_machine_answers(tmp_path):
    assert 0 < (available_memory() or 1) <= (total_memory() or 1)
    assert resident_memory() > 10_000_000
    assert free_disk(tmp_path / "not" / "yet" / "there") == pytest.approx(free_disk(tmp_path), rel=0.1)
