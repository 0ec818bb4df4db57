"""Fixtures of the export tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.networks import ARCHITECTURES, tiny_config, write_checkpoint

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig


@pytest.fixture(autouse=True, scope="session")
def one_thread_each() -> None:
    """Tests run side by side on two cores; threads inside threads only slow them."""
    torch.set_num_threads(1)


@pytest.fixture(params=ARCHITECTURES, ids=lambda pair: f"{pair[0].value}-{pair[1].value}")
def config(request: pytest.FixtureRequest) -> TransformerConfig:
    """Every flavour of every variant that exists."""
    return tiny_config(*request.param)


@pytest.fixture(params=Flavour, ids=lambda flavour: flavour.value)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Both LR-key rules."""
    return request.param


@pytest.fixture
def checkpoint_writer(tmp_path: Path) -> Callable[..., Path]:
    """Write a checkpoint into a folder of its own."""
    counter = itertools.count()
    return lambda *args, **kwargs: write_checkpoint(tmp_path / f"checkpoint{next(counter)}", *args, **kwargs)
