"""One small bundle for all tests of the runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.photos import make_photo
from support.runtime_system import write_toy_bundle

from dit4sr.runtime import Upscaler

torch.set_num_threads(1)  # many small operators: threads would only wait for one another


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory) -> Path:
    return write_toy_bundle(tmp_path_factory.mktemp("bundle") / "toy")


@pytest.fixture
def upscaler(toy_bundle):
    with Upscaler(toy_bundle, threads=1, use_cache=False) as opened:
        yield opened


@pytest.fixture
def photo() -> np.ndarray:
    """A small picture with gradients and an edge."""
    return make_photo(12, 10)
