"""Children are timed and weighed by themselves, not by their parent."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from support.processes import has_ended

from dit4sr.bench.measure.cold_start import timed_child
from dit4sr.runtime.errors import IncompatibleError


def test_a_child_is_weighed_without_its_parent():
    """The parent holds 300 MB that the child never sees."""
    burden = np.ones(300 << 20, dtype=np.uint8)
    light = timed_child([sys.executable, "-S", "-c", "import time; time.sleep(0.2)"])
    heavy = timed_child([sys.executable, "-S", "-c", "x = b'1' * (100 << 20); import time; time.sleep(0.2)"])
    assert light.seconds >= 0.2
    assert light.peak_bytes < 60 << 20 < burden.nbytes
    assert (100 << 20) <= heavy.peak_bytes - light.peak_bytes + (8 << 20) < (130 << 20)


def test_a_child_that_fails_says_why():
    with pytest.raises(IncompatibleError, match="exit code 3: no such thing"):
        timed_child(
            [sys.executable, "-S", "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"]
        )


def test_a_child_ends_when_nobody_waits_for_it_any_more(tmp_path, monkeypatch):
    file = tmp_path / "pid"

    def interrupted(_):
        while not file.exists() or not file.read_text():
            sleep(0.01)
        raise KeyboardInterrupt

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", interrupted)
    script = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt):
        timed_child([sys.executable, "-S", "-c", script, str(file)])
    monkeypatch.undo()
    assert has_ended(int(file.read_text()))
