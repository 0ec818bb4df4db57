"""Many callers, and who stops whom: progress, cancelling and closing from wherever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from ctypes import byref, c_void_p

import numpy as np
import pytest
from support.native.abi import CANCELLED, CANCELS, WAITS, FailedError, OnLine, progress
from support.photos import make_photo

PHOTO = make_photo(12, 10)


def test_progress_is_told_to_its_end(library, opened):
    seen = []
    library.upscale(opened, PHOTO, progress=progress(lambda *told: seen.append(told)))
    assert [done for _, done, _ in seen] == list(range(1, seen[-1][2] + 1))
    assert {stage for stage, _, _ in seen} == {"vae_encoder", "step", "vae_decoder"}


def test_progress_may_cancel(library, opened):
    seen = []

    def third(*told):
        seen.append(told)
        return len(seen) == 3

    with pytest.raises(FailedError) as failure:
        library.upscale(opened, PHOTO, steps=30, progress=progress(third))
    assert (failure.value.status, len(seen)) == (CANCELLED, 3)
    assert library.upscale(opened, PHOTO).shape == (48, 40, 3)


def test_a_cancel_stops_all_that_were_given_it_and_whoever_comes_later(library, opened):
    cancel, started = c_void_p(), threading.Barrier(4)
    library.call("cancel_create", byref(cancel))
    first = threading.local()

    def begun(*_told):
        if not hasattr(first, "call"):
            first.call = True
            started.wait(30)

    def request(seed):
        with pytest.raises(FailedError) as failure:
            library.upscale(opened, PHOTO, steps=1000, seed=seed, cancel=cancel, progress=progress(begun))
        return failure.value.status

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(request, seed) for seed in range(3)]
        started.wait(30)
        library.c.dit4sr_cancel_set(cancel)
        # The calls keep it for as long as they need it.
        library.c.dit4sr_cancel_destroy(cancel)
        assert [call.result(60) for call in calls] == [CANCELLED] * 3

    library.call("cancel_create", byref(cancel))
    library.c.dit4sr_cancel_set(cancel)
    with pytest.raises(FailedError) as failure:
        library.upscale(opened, PHOTO, cancel=cancel)
    assert failure.value.status == CANCELLED
    library.c.dit4sr_cancel_destroy(cancel)


@pytest.mark.parametrize("mode", [WAITS, CANCELS])
def test_closing_under_load_waits_for_the_last_call_or_ends_it(library, toy_bundle, mode):
    upscaler, started, left = library.open(toy_bundle, threads=1, flags=4), threading.Barrier(5), {}

    def request(seed):
        def told(_stage, done, total):
            left[seed] = total - done
            if done == 1:
                started.wait(30)

        try:
            library.upscale(upscaler, PHOTO, steps=150, seed=seed, progress=progress(told))
        except FailedError as error:
            return error.status
        return 0

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(request, seed) for seed in range(4)]
        started.wait(30)
        library.call("close", upscaler, mode)
        at_the_end = dict(left)
        assert [call.result(10) for call in calls] == [0 if mode == WAITS else CANCELLED] * 4
    assert left == at_the_end
    assert all((count == 0) == (mode == WAITS) for count in left.values())
    with pytest.raises(FailedError, match="closed"):
        library.upscale(upscaler, PHOTO)


def test_a_callback_may_call_but_not_close_its_own(library, opened, toy_bundle):
    """One thread, a call within a call: on the same upscaler, and closing another one."""
    other, seen = library.open(toy_bundle, threads=1, flags=4), []

    def within(_stage, done, _total):
        if done == 2:
            seen.append(library.upscale(opened, PHOTO, seed=9))
            with pytest.raises(FailedError, match="by one of its own callbacks"):
                library.call("close", opened, CANCELS)
            library.call("close", other, WAITS)
            seen.append("closed")

    library.upscale(opened, PHOTO, progress=progress(within))
    np.testing.assert_array_equal(seen[0], library.upscale(opened, PHOTO, seed=9))
    assert seen[1:] == ["closed"]


def test_two_that_close_are_told_apart(library, toy_bundle):
    upscaler = library.open(toy_bundle)

    def close(_):
        try:
            library.call("close", upscaler, WAITS)
        except FailedError as error:
            return error.status
        return 0

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(close, range(8))) == [0] + [2] * 7


def test_opening_closing_and_restoring_at_random_never_ends_badly(library, toy_bundle):
    """Every status is one of those that are promised, and everything is let go of."""
    expected = dict.fromkeys(range(3))
    reference = library.open(toy_bundle, threads=1, flags=4)
    for seed in expected:
        expected[seed] = library.upscale(reference, PHOTO, seed=seed)
    shared = [library.open(toy_bundle, threads=1, flags=4) for _ in range(3)]
    statuses, deadline = set(), time.monotonic() + 4

    def worker(number):
        rng = np.random.default_rng(number)
        while time.monotonic() < deadline:
            place = int(rng.integers(3))
            try:
                if rng.random() < 0.15:
                    upscaler, shared[place] = shared[place], library.open(toy_bundle, threads=1, flags=4)
                    library.call("close", upscaler, int(rng.integers(2)))
                seed = int(rng.integers(3))
                np.testing.assert_array_equal(
                    library.upscale(shared[place], PHOTO, seed=seed), expected[seed]
                )
            except FailedError as error:
                statuses.add(error.status)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(worker, range(6)))
    assert statuses <= {2, CANCELLED}
    for upscaler in [*shared, reference]:
        library.call("close", upscaler, CANCELS)


def test_the_log_hears_what_there_is_to_say(library, toy_bundle):
    lines = []
    listen = OnLine(lambda _user, level, line: lines.append((level, line.decode())))
    library.c.dit4sr_set_log(listen, None)
    try:
        library.call("close", library.open(toy_bundle), WAITS)
    finally:
        library.c.dit4sr_set_log(OnLine(), None)
    assert any("tensorrt passed over" in line for level, line in lines if level == 0)
    heard = len(lines)
    library.call("close", library.open(toy_bundle), WAITS)
    assert len(lines) == heard


def test_failures_are_each_threads_own(library, opened):
    ready = threading.Barrier(2)

    def fail(solver):
        with pytest.raises(FailedError):
            library.upscale(opened, PHOTO, solver=solver)
        ready.wait(30)
        return library.c.dit4sr_last_error().contents.found.decode()

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(fail, [b"one", b"other"]))
    assert said == ["solver 'one'", "solver 'other'"]
