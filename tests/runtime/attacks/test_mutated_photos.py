"""Thousands of photos gone wrong, in processes of their own: each is restored or refused, and soon."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest
from support import photo_mutations
from support.photo_mutations import corpus, mutated

BATCH = 1000


def outcomes(first: int, last: int) -> list[dict[str, object]]:
    """What became of the photos of some numbers, each with its number."""
    child = subprocess.run(
        [sys.executable, photo_mutations.__file__, str(first), str(last)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    assert child.returncode == 0, f"photo {lines[-1:]} ended the process: {child.stderr[-2000:]}"
    return [begun | ended for begun, ended in zip(lines[::2], lines[1::2], strict=True)]


def check(first: int, last: int) -> tuple[Counter[str], float]:
    found = outcomes(first, last)
    assert len(found) == last - first
    kinds = Counter(str(photo["outcome"]) for photo in found)
    assert kinds.keys() <= {"restored", "refused"}, [
        (photo["number"], photo["outcome"])
        for photo in found
        if photo["outcome"] not in {"restored", "refused"}
    ]
    return kinds, max(float(str(photo["seconds"])) for photo in found)


def test_the_corpus_holds_every_format():
    assert len(corpus()) >= 24
    for number in range(100):
        assert mutated(number) == mutated(number)


def test_some_photos_gone_wrong():
    kinds, _ = check(0, 500)
    assert kinds["restored"] > 50
    assert kinds["refused"] > 50


@pytest.mark.slow
def test_twenty_thousand_photos_gone_wrong(capsys):
    total: Counter[str] = Counter()
    slowest = 0.0
    for first in range(0, 20_000, BATCH):
        kinds, seconds = check(first, first + BATCH)
        total += kinds
        slowest = max(slowest, seconds)
    with capsys.disabled():
        sys.stdout.write(f"\n20,000 photos: {dict(total)}, the slowest in {slowest:.2f} s\n")
    assert total["restored"] > 2000
    assert total["refused"] > 2000
