"""The folder of a page: what goes from it, and when."""

from __future__ import annotations

import os
import time

from dit4sr.runtime.page.shelf import opened_shelf


def test_what_has_been_there_for_too_long_goes():
    with opened_shelf(60) as shelf:
        old, new, renewed = (shelf.place("a.png") for _ in range(3))
        for place in (old, new, renewed):
            place.write_bytes(b"x")
        an_hour_ago = time.time() - 3600
        for path in (old, old.parent, renewed.parent):
            os.utime(path, (an_hour_ago, an_hour_ago))
        shelf.sweep()
        assert [place.exists() for place in (old, new, renewed)] == [False, True, True]
        assert not old.parent.exists()


def test_nothing_is_left_in_the_end():
    with opened_shelf(60) as shelf:
        shelf.place("a.png").write_bytes(b"x")
        folder = shelf.folder
    assert not folder.exists()


def test_it_is_swept_while_it_is_there():
    with opened_shelf(0.05) as shelf:
        place = shelf.place("a.png")
        place.write_bytes(b"x")
        deadline = time.monotonic() + 30
        while place.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
