"""Processes of this machine: what each is called, and what it has started."""

from __future__ import annotations

from pathlib import Path


def title(pid: int) -> str:
    """The words by which a process calls itself; none if it is gone."""
    return _of(pid, "cmdline").replace("\0", " ").strip()


def descendants(pid: int) -> list[int]:
    """The processes that a process has started and that are there now, and theirs."""
    started = [int(word) for word in _of(pid, f"task/{pid}/children").split()]
    return [each for child in started for each in (child, *descendants(child))]


def is_there(pid: int) -> bool:
    """True for a process that is neither gone nor only waiting to be collected."""
    state = _of(pid, "stat").rpartition(")")[2].split()[:1]
    return bool(state) and state != ["Z"]


def _of(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
