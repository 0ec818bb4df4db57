"""The real server over a day: cancelled, moved to a new version, unloaded, under load, and ended."""

from __future__ import annotations

import itertools
import queue
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from support.processes import children, has_ended
from support.triton_server.asking import MODEL, Client
from support.triton_server.load import measured

from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.serving.config import Instances

pytestmark = pytest.mark.slow

MANY = 400
"""Steps that nobody waits for."""


def counted(server, name, label=""):
    lines = [line for line in server.metrics().splitlines() if line.startswith(name) and label in line]
    return sum(float(line.split()[-1]) for line in lines)


def wait_until(is_so, *, patience=120):
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cancelled_request_stops_between_steps(server, photo):
    with Client(server.grpc, "grpc", MODEL) as client:
        before = counted(server, "dit4sr_steps")
        request = client.inputs(picture=photo, steps=MANY)
        call = client.plain.async_infer(MODEL, request, callback=lambda *_: None)
        wait_until(lambda: counted(server, "dit4sr_steps") > before)
        call.cancel()
        wait_until(lambda: counted(server, "dit4sr_pictures", 'outcome="cancelled"') == 1)
        assert counted(server, "dit4sr_steps") - before < MANY
        assert client.picture(picture=photo, steps=1).shape == (96, 96, 3)


def test_a_decoupled_model_streams_its_progress_and_can_be_cancelled(serve, photo):
    server = serve(is_decoupled=True)
    with Client(server.grpc, "grpc", MODEL) as client:
        answers = queue.Queue()
        client.plain.start_stream(lambda result, error: answers.put((result, error)))
        client.plain.async_stream_infer(MODEL, client.inputs(picture=photo, steps=3), request_id="a")
        done, picture = [], None
        while picture is None:
            result, error = answers.get(timeout=120)
            assert error is None
            progress, picture = result.as_numpy("progress"), result.as_numpy("picture")
            done += [] if progress is None else [progress.tolist()]
        total = done[-1][1]
        assert done == [[i + 1, total] for i in range(total)]
        assert picture.shape == (96, 96, 3)
        client.plain.async_stream_infer(MODEL, client.inputs(picture=photo, steps=MANY))
        answers.get(timeout=120)
        client.plain.stop_stream(cancel_requests=True)
        wait_until(lambda: counted(server, "dit4sr_pictures", 'outcome="cancelled"') == 1)


def streamed(server, photo, names, steps):
    """Whose progress came when, of pictures that are asked for at once."""
    came = queue.Queue()
    with Client(server.grpc, "grpc", MODEL) as client:
        client.plain.start_stream(lambda result, error: came.put((result, error)))
        for name in names:
            client.plain.async_stream_infer(MODEL, client.inputs(picture=photo, steps=steps), request_id=name)
        told, open_ones = [], set(names)
        while open_ones:
            result, error = came.get(timeout=120)
            assert error is None
            name = result.get_response().id
            told.append(name)
            if result.as_numpy("picture") is not None:
                open_ones.remove(name)
        client.plain.stop_stream()
    return told


def turns(told):
    return sum(one != other for one, other in itertools.pairwise(told))


def test_the_rate_limiter_lets_several_instances_run_one_picture_at_a_time(serve, photo):
    both = {"instances": Instances("cpu", 2), "is_decoupled": True}
    assert turns(streamed(serve(**both), photo, "ab", steps=40)) > 1, "two instances run at once"
    limited = serve("--rate-limit=execution_count", **both)
    assert turns(streamed(limited, photo, "ab", steps=40)) == 1


def test_unloading_frees_the_memory_and_loading_answers_again(serve, photo):
    server = serve("--model-control-mode=explicit", f"--load-model={MODEL}")
    with Client(server.http, "http", MODEL) as client:
        expected = client.picture(picture=photo, steps=1)
        workers = children(server.process.pid)
        assert max(psutil.Process(pid).memory_info().rss for pid in workers) > 100e6
        client.plain.unload_model(MODEL)
        assert all(has_ended(pid) for pid in workers)
        assert not server.is_ready(f"/v2/models/{MODEL}/ready")
        client.plain.load_model(MODEL)
        assert server.is_ready(f"/v2/models/{MODEL}/ready")
        assert np.array_equal(client.picture(picture=photo, steps=1), expected)


def test_two_versions_answer_at_once(serve, photo):
    server = serve(versions=(1, 2))
    with Client(server.http, "http", MODEL) as client:
        first, second = (
            client.ask(picture=photo, steps=1, version=version, wanted=("picture",)) for version in "12"
        )
        assert [each.get_response()["model_version"] for each in (first, second)] == ["1", "2"]
        assert np.array_equal(first.as_numpy("picture"), second.as_numpy("picture"))
    assert counted(server, "dit4sr_pictures", 'outcome="restored",version="2"') == 2  # warm-up is one


def test_an_engine_that_does_not_run_leaves_the_model_unready(serve, tmp_path):
    """Weights that are damaged: opening the bundle does not see it, warming up does."""
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle(), bundle)
    weights = bundle / "onnx" / "step.onnx.data"
    weights.write_bytes(bytes(weights.stat().st_size))
    with pytest.raises(RuntimeError, match="failed to load all models"):
        serve(bundle=bundle)


def test_of_two_hundred_good_and_bad_requests_none_is_lost(server, photo):
    with Client(server.http, "http", MODEL) as client:
        expected = {seed: client.picture(picture=photo, steps=1, seed=seed) for seed in range(4)}
    own, clients = threading.local(), []

    def ask(i):
        if not hasattr(own, "client"):
            protocol = ("http", "grpc")[i % 2]
            own.client = Client(getattr(server, protocol), protocol, MODEL)
            clients.append(own.client)
        if i % 2:
            return own.client.refusal(**({"file": b"junk"} if i % 4 == 1 else {"picture": photo, "steps": 0}))
        return own.client.picture(picture=photo, steps=1, seed=i % 4)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(200)))
    for i, answer in enumerate(answers):
        if i % 2:
            assert answer.startswith("the picture is no picture" if i % 4 == 1 else "0 steps; expected")
        else:
            assert np.array_equal(answer, expected[i % 4])
    for client in clients:
        client.__exit__()


def test_sigterm_under_load_answers_what_is_in_flight(serve, photo):
    server = serve()
    with ThreadPoolExecutor(4) as pool:
        clients = [Client(server.grpc, "grpc", MODEL) for _ in range(4)]
        for client in clients:
            client.picture(picture=photo, steps=1)  # connected
        before = counted(server, "nv_inference_request_success")
        asked = [pool.submit(client.picture, picture=photo, steps=8) for client in clients]
        wait_until(lambda: counted(server, "nv_inference_pending_request_count") >= 3)
        server.terminate()
        assert [each.result(timeout=120).shape for each in asked] == [(96, 96, 3)] * 4
        assert before >= 4
        for client in clients:
            client.__exit__()
    assert server.close() == 0


def test_load_costs_the_service_little_beside_the_library():
    record = measured((1, 2), 8)
    for served, bare in zip(record["served"], record["bare"], strict=True):
        assert 0 < served["p50_seconds"] <= served["p99_seconds"]
        assert served["pictures_per_second"] > 0.4 * bare["pictures_per_second"]
