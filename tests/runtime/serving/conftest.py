"""A server that several tests ask, and what they send."""

from __future__ import annotations

import pytest
from support.photos import make_photo
from support.triton_server.asking import MODEL
from support.triton_server.server import Triton, require_triton

from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.serving.config import Instances
from dit4sr.runtime.serving.repository import ServedModel


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """Start servers of the built-in bundle, as some fields of ``ServedModel`` and options of Triton say."""
    require_triton()
    servers = []

    def start(*options, versions=(1,), **fields):
        folder = tmp_path_factory.mktemp("triton")
        for version in versions:
            ServedModel(
                **{"bundle": tiny_bundle(), "name": MODEL, "instances": Instances("cpu"), **fields},
                repository=folder / "models",
                version=version,
            ).write()
        servers.append(Triton(folder / "models", folder, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def server(serve):
    return serve()


@pytest.fixture(scope="session")
def photo():
    return make_photo(24, 24)  # one tile
