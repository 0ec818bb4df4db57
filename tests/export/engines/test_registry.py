"""The map of engines: what a folder under it has to offer, and what a command makes of it."""

from __future__ import annotations

import importlib
import subprocess
import sys

import click
import pytest
from support.runtime_system import write_toy_bundle

from dit4sr.export.engines.inductor.config import InductorConfig
from dit4sr.export.engines.options import ARCH
from dit4sr.export.engines.plans.config import Forms
from dit4sr.export.engines.plans.profiles import Span
from dit4sr.export.engines.registry import BUILDERS, EngineRequests, engine_options, takers
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.runtime.errors import BadInputError

GENERAL = {"components": ("step",), "no_verify": True, "text_tokens": None}
"""What the exporter's command brings of its own."""


def given(**typed):
    """All options as a command reads them: the typed ones, and the defaults of the others."""
    defaults = {option.name: () if option.multiple else option.default for option in engine_options()}
    flags = {option.name: False for option in engine_options() if option.is_flag}
    unset = {"workspace": None}
    return {**defaults, **flags, **unset, **GENERAL, **typed}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("part", ["config", "options", "preflight", "builder"])
def test_every_kind_has_the_same_parts(name, part):
    module = importlib.import_module(f"dit4sr.export.engines.{name.replace('-', '_')}.{part}")
    assert module.__doc__


def test_options_are_there_before_what_builds_is_imported():
    script = """
        import sys
        from dit4sr.export.engines.registry import engine_options
        assert len(engine_options()) > 10
        assert not {"torch", "onnx", "tensorrt", "polygraphy", "onnxruntime"} & sys.modules.keys()
    """
    lines = "\n".join(line.strip() for line in script.splitlines())
    subprocess.run([sys.executable, "-c", lines], check=True)


def test_an_option_that_several_kinds_take_is_there_once():
    names = [option.name for option in engine_options()]
    assert len(names) == len(set(names))
    taken = {option.name: takers(option) for option in engine_options()}
    assert taken["arch"] == taken["profiles"] == ["tensorrt", "tensorrt-rtx", "inductor"]
    assert taken["allow_unfused"] == ["tensorrt", "tensorrt-rtx"]
    assert taken["device"] == taken["max_autotune"] == ["inductor"]
    assert taken["attention"] == taken["workspace"] == ["tensorrt"]


def test_each_kind_takes_what_concerns_it():
    typed = {
        "arch": (90,),
        "profiles": ("256x512",),
        "max_autotune": True,
        "workspace": 3,
        "inject": "plugin",
    }
    requests = EngineRequests.of(["inductor", "tensorrt", "tensorrt-rtx"], given(**typed))
    assert list(requests.configs) == ["tensorrt", "tensorrt-rtx", "inductor"]
    assert requests.configs["inductor"] == InductorConfig(
        architecture=90, picture=(256, 512), max_autotune=True, components=("step",), verify=False
    )
    assert requests.configs["tensorrt"] == TensorRtConfig(
        architecture=90,
        components=("step",),
        pictures=((Span.at(256), Span.at(512)),),
        workspace=3 << 20,
        forms=Forms("native", "plugin"),
        verify=False,
    )
    assert requests.configs["tensorrt-rtx"] == RtxConfig(
        architectures=(90,), components=("step",), pictures=((Span.at(256), Span.at(512)),)
    )


def test_engines_for_one_gpu_take_one_architecture():
    typed = given(arch=(80, 89))
    assert EngineRequests.of(["tensorrt-rtx"], typed).configs["tensorrt-rtx"].architectures == (80, 89)
    for name in ("tensorrt", "inductor"):
        with pytest.raises(BadInputError, match="expected one; only tensorrt-rtx builds for several"):
            EngineRequests.of([name], typed)


@pytest.mark.parametrize("word", ["", "x", "90a", "8", "49", "1000", "80;86", "²"])
def test_what_is_no_architecture_is_refused(word):
    with pytest.raises(click.BadParameter, match="are no GPU architectures"):
        ARCH.type.convert(word, None, None)
    assert ARCH.type.convert("80,86,80", None, None) == (80, 86)


def test_nothing_is_built_if_the_last_kind_lacks_the_checkpoint(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(type(BUILDERS["tensorrt"]), "add_to", lambda *_: built.append("tensorrt"))
    path = write_toy_bundle(tmp_path / "toy")
    requests = EngineRequests.of(["tensorrt", "inductor"], given())
    with pytest.raises(BadInputError, match="inductor engines are made from its checkpoint"):
        requests.add_to(path, None, lambda _: None)
    assert built == []
    EngineRequests.of(["tensorrt"], given()).add_to(path, None, lambda _: None)
    assert built == ["tensorrt"]
