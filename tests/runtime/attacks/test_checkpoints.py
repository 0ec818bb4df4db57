"""Checkpoints whose configs say what nobody should say: one line, in seconds and within memory."""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.encoders import write_encoder

from dit4sr.export.architectures.autoencoder_kl.components import checkpoint_vae
from dit4sr.export.architectures.dit4sr import ARCHITECTURE
from dit4sr.export.architectures.dit4sr.loading import checkpoint_config
from dit4sr.export.architectures.text_encoders.encoders import FOLDERS, SD35_TEXT, layout, read_config
from dit4sr.export.architectures.text_encoders.tokenizer import Tokenizer
from dit4sr.export.pipeline import checkpoint_pipeline
from dit4sr.export.sampling import checkpoint_sampling
from dit4sr.export.tiny import CHECKPOINT
from dit4sr.export.weights.checkpoint import open_checkpoint
from dit4sr.runtime.errors import BadInputError, IntegrityError

HOSTILE: tuple[Any, ...] = (
    *(None, 0, -1, 1, 3, 10**9, 10**18, 10**299, 0.0, -1.5, 1e-300, 1e300, True, "", "x", "\0", "🙂" * 100),
    *([], [None], [0], [-1], [10**12], [[1]], [10**9] * 4, ["x"] * 4, list(range(1000)), {}, {"a": None}),
)
UNREADABLE = (b"", b"{", b"[1]", b"null", b'{"a": NaN}', b'{"a": ' + b"9" * 5000 + b"}", b"[" * 100_000)
SECONDS = 5
"""For one answer; most come in hundredths of one."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The checkpoint in the box, with the smallest text encoders beside it."""
    folder = tmp_path_factory.mktemp("checkpoint") / "checkpoint"
    shutil.copytree(CHECKPOINT, folder, copy_function=os.symlink)
    for name in FOLDERS:
        write_encoder(folder, name)
    checkpoint_pipeline(folder)
    return folder


def configs(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json"))


def changed(values: Any) -> Iterator[Any]:
    """The values with each entry, at any depth of a small tree, replaced by each hostile one, or gone."""
    for place in places(values, 3):
        for hostile in HOSTILE:
            whole = copy.deepcopy(values)
            parent = whole
            for step in place[:-1]:
                parent = parent[step]
            parent[place[-1]] = hostile
            yield whole


def places(values: Any, depth: int) -> Iterator[tuple[Any, ...]]:
    match values:
        case dict():
            entries = list(values.items())
        case list():
            entries = list(enumerate(values[:2]))
        case _:
            entries = []
    for key, value in entries:
        yield (key,)
        if depth > 1:
            yield from ((key, *rest) for rest in places(value, depth - 1))


READERS: dict[str, Callable[[Path], object]] = {
    "dit4sr.json": lambda folder: checkpoint_sampling(folder, {}, ARCHITECTURE.sampling()),
    "scheduler/scheduler_config.json": lambda folder: checkpoint_sampling(
        folder, {}, ARCHITECTURE.sampling()
    ),
    "vae/config.json": lambda folder: checkpoint_vae(open_checkpoint(folder / "vae"), 8),
    "transformer/config.json": lambda folder: checkpoint_config(open_checkpoint(folder)).to_json(),
    **{
        f"{encoder}/config.json": lambda folder, name=name, encoder=encoder: layout(
            read_config(type(SD35_TEXT[name]), folder / encoder / "config.json")
        )
        for name, (encoder, _) in FOLDERS.items()
    },
}
"""What reads each config, and goes on as far as nothing but configs decides."""


@pytest.mark.parametrize("name", READERS)
def test_every_value_of_every_config(checkpoint, name):
    file = checkpoint / name
    original = file.read_bytes()
    file.unlink()
    sound = json.loads(original)
    contents = {str(content[:20]): content for content in UNREADABLE}
    for values in changed(sound):
        difference = {key: value for key, value in values.items() if sound[key] != value}
        contents[repr(difference)[:200]] = json.dumps(values).encode()
    try:
        found = {}
        for about, content in contents.items():
            file.write_bytes(content)
            if fault := fault_of(READERS[name], checkpoint):
                found[about] = fault
    finally:
        file.write_bytes(original)
    assert found == {}
    assert len(contents) > 30


def fault_of(read: Callable[[Path], object], folder: Path) -> str:
    """What is wrong with the answer to a config; nothing if it is taken, or refused in one line."""
    begin = time.monotonic()
    try:
        read(folder)
    except (BadInputError, IntegrityError) as error:
        return str(error) if len(str(error)) > 600 else ""
    except Exception as error:
        return f"{type(error).__name__} {error}"[:300]
    seconds = time.monotonic() - begin
    return f"{seconds:.1f} s" if seconds > SECONDS else ""


@pytest.mark.parametrize("content", UNREADABLE)
def test_an_unreadable_config_is_refused_by_the_whole(checkpoint, content):
    file = checkpoint / "scheduler" / "scheduler_config.json"
    original = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    try:
        with pytest.raises(IntegrityError, match=r"scheduler_config\.json is "):
            checkpoint_pipeline(checkpoint)
    finally:
        file.write_bytes(original)


@pytest.mark.parametrize(
    "change", [{"steps": 10**9}, {"tile": 10**9}, {"steps": 0}, {"name": ""}, {"guidance": 0}]
)
def test_absurd_defaults_are_refused_by_the_whole(checkpoint, change):
    file = checkpoint / "dit4sr.json"
    original = file.read_bytes()
    file.unlink()
    file.write_text(json.dumps(json.loads(original) | change))
    try:
        with pytest.raises(BadInputError, match=next(iter(change))):
            checkpoint_pipeline(checkpoint)
    finally:
        file.write_bytes(original)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_every_value_of_a_tokenizer(checkpoint, tmp_path, name):
    shutil.copytree(checkpoint / "tokenizer", tmp_path / "tokenizer")
    file = tmp_path / "tokenizer" / name
    sound = json.loads(file.read_text())
    found = {}
    for values in changed(sound):
        file.write_text(json.dumps(values))
        if fault := fault_of(lambda folder: Tokenizer(folder, 77).to_text(), tmp_path / "tokenizer"):
            found[repr({key: value for key, value in values.items() if sound[key] != value})[:200]] = fault
    assert found == {}
