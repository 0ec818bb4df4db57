"""One graph of a whole bundle: with a picture and noise, what Upscaler makes of the same, within a level."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from support.native import run, sample, tool
from support.photos import make_photo
from support.runtime_system import CARD, write_toy_bundle

from dit4sr.export.cli import command
from dit4sr.export.engines.plans.graph import PreparedGraph
from dit4sr.export.whole import request as whole_request
from dit4sr.export.whole.nodes import Nodes
from dit4sr.export.whole.picture import bicubic, coloured
from dit4sr.export.whole.request import WholeRequest
from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.presets import Preset
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.colour import ColourFix


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    preset = Preset("fast", 6, "ab2", 2.5, "gguhhu")
    card = replace(CARD, presets=(preset,))
    return write_toy_bundle(tmp_path_factory.mktemp("bundle") / "toy", card=card)


def drawn(settings: Settings, seed: int, shape) -> np.ndarray:
    """The noise that Upscaler draws: where it begins, then the posteriors."""
    stream, (count, *rest) = settings.rng.stream(seed), shape
    parts = [stream.normal([1, *rest])]
    return np.concatenate([*parts, stream.normal([count - 1, *rest])] if count > 1 else parts)


def answer(graph: Path, picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options)
    [restored] = session.run(None, {"picture": picture, "noise": noise})
    return restored


def levels_apart(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def hold_to_upscaler(restored: np.ndarray, picture: np.ndarray, settings: Settings, seed: int) -> None:
    """Within a level, and nearly everywhere equal: two graphs round a last bit otherwise."""
    with Upscaler(use_cache=False) as upscaler:
        expected = upscaler.upscale(picture, seed=seed, settings=settings).picture
    assert len(np.unique(expected)) > 200
    assert levels_apart(restored, expected) <= 1
    assert (restored != expected).mean() < 1e-3


CASES = {
    "as the bundle says": Settings(),
    "without guidance": Settings(guidance=1.0, steps=3),
    "guided at some levels": Settings(guidance=2.0, steps=4, guidance_interval=(0.0, 0.8)),
    "a solver that remembers": Settings(steps=5, solver="dpmpp-2m"),
    "a preset that uses velocities again": Settings(preset="fast"),
    "the mean of the encoder": Settings(sample_posterior=False),
}


@pytest.mark.parametrize("is_unrolled", [False, True], ids=["loop", "unrolled"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_upscalers_picture_within_a_level(toy, tmp_path, case, is_unrolled):
    settings, target = replace(CASES[case], colour="none"), tmp_path / "whole.onnx"
    request = WholeRequest(toy, target, settings, is_unrolled=is_unrolled)
    details = request.run().details
    picture = make_photo(8, 8)
    restored = answer(target, picture, drawn(settings, 7, details["noise"]))
    with Upscaler(toy, threads=1, use_cache=False) as upscaler:
        expected = upscaler.upscale(picture, seed=7, settings=settings).picture
    assert levels_apart(restored, expected) <= 1
    operators = [node.op_type for node in onnx.load(target).graph.node]
    assert ("Loop" in operators) != is_unrolled
    assert details["restored"] == list(expected.shape)


@pytest.mark.parametrize("size", [(6, 6), (6, 9), (8, 8)])
def test_small_photos_are_lifted_and_brought_back_as_by_upscaler(toy, tmp_path, size):
    settings = Settings(tile=64, colour="none")
    details = WholeRequest(toy, tmp_path / "whole.onnx", settings, size=size).run().details
    picture = make_photo(size[1], size[0])
    restored = answer(tmp_path / "whole.onnx", picture, drawn(settings, 1, details["noise"]))
    with Upscaler(toy, threads=1, use_cache=False) as upscaler:
        expected = upscaler.upscale(picture, seed=1, settings=settings).picture
    # What differs by a level is weighed once more, by weights of up to one and a quarter together.
    assert levels_apart(restored, expected) <= (1 if size == (8, 8) else 2)


@pytest.mark.parametrize("colour", ["none", "adain"])
def test_the_model_in_the_box_within_a_level(tmp_path, colour):
    """In halves: what the loop computes in is FP32, as in the runtime on a CPU."""
    settings, picture = Settings(steps=3, colour=colour), sample("coffee", 64, 64)
    details = WholeRequest(tiny_bundle(), tmp_path / "whole.onnx", settings).run().details
    restored = answer(tmp_path / "whole.onnx", picture, drawn(settings, 5, details["noise"]))
    hold_to_upscaler(restored, picture, settings, seed=5)


@pytest.mark.parametrize(("old", "new"), [(64, 256), (37, 150), (150, 37), (64, 64), (5, 80), (85, 64)])
def test_pictures_are_enlarged_as_pillow_does(old, new):
    row = np.random.default_rng(old).integers(0, 256, (3, old)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(row).resize((new, 3), Image.Resampling.BICUBIC))
    exact = row.astype(np.float32) @ bicubic(old, new).T
    np.testing.assert_array_equal(np.floor(exact + 0.5).clip(0, 255), expected)


@pytest.mark.parametrize("spread", [0.1, 0.4, 2.0])
def test_colours_are_the_runtimes(spread):
    rng = np.random.default_rng(int(10 * spread))
    image = rng.normal(0, spread, (3, 40, 52)).astype(np.float32)
    style = rng.normal(129, 50, (3, 40, 52)).clip(0, 255).astype(np.uint8)
    half = np.iinfo(np.uint16).max / 2
    content = (image * half + half).clip(0, 2 * half).round().astype(np.uint16)
    expected = ColourFix.ADAIN.apply(content.transpose(1, 2, 0), style.transpose(1, 2, 0))
    nodes = Nodes()
    made = coloured(nodes, ColourFix.ADAIN, "image", "style")
    value, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    sides = [value(name, kind, image.shape) for name in ("image", "style", made)]
    graph = onnx.helper.make_graph(nodes.nodes, "graph", sides[:2], sides[2:], nodes.constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    feeds = {"image": image, "style": style.astype(np.float32)}
    [found] = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    assert levels_apart(found.transpose(1, 2, 0), expected) <= 1
    assert (found.transpose(1, 2, 0) != expected).mean() < 1e-3


def test_weights_of_gigabytes_lie_beside_the_graph(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(whole_request, "MOST_IN_ONE_FILE", 100)
    target = tmp_path / "whole.onnx"
    details = WholeRequest(toy, target, Settings()).run().details
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole.onnx", "whole.onnx.data"]
    assert answer(target, make_photo(8, 8), drawn(Settings(), 0, details["noise"])).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"size": (20, 20)}, "takes 16 tiles; expected one tile"),
        ({"settings": Settings(colour="wavelet")}, "expected adain or none"),
        ({"output": Path("whole.pb")}, r"ends in \.onnx"),
        ({"settings": Settings(preset="fasd")}, "did you mean fast"),
    ],
)
def test_what_has_no_whole_graph_is_refused_in_one_line(toy, tmp_path, fields, words):
    request = WholeRequest(toy, tmp_path / "whole.onnx", Settings())
    with pytest.raises(BadInputError, match=words):
        replace(request, **fields).run()
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_it_and_says_what_it_takes(toy, tmp_path, capsys):
    target = tmp_path / "whole.onnx"
    words = [str(toy), "--whole", str(target), "--steps", "2", "--no-guidance"]
    assert run_command(command, [*words, "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["picture"], told["noise"], told["steps"]) == ([8, 8, 3], [2, 4, 8, 8], 2)
    assert run_command(command, words) == 2
    assert "exists" in capsys.readouterr().err
    assert run_command(command, [*words, "--force", "--unrolled"]) == 0
    assert run_command(command, ["--unrolled"]) == 2
    assert "--unrolled is for --whole" in capsys.readouterr().err


@pytest.mark.slow
def test_node_restores_with_one_call(tmp_path):
    """ONNX Runtime as another language has it; its package brings the library, so no script is run."""
    node, npm = tool("node"), tool("npm")
    (tmp_path / "package.json").write_text("{}")
    try:
        run(npm, "install", "--ignore-scripts", "--prefix", tmp_path, "onnxruntime-node", seconds=900)
    except AssertionError as error:
        pytest.skip(f"not run: no onnxruntime-node to be had ({str(error)[-80:]})")
    program = Path(__file__).parents[2] / "support" / "whole_graph.mjs"
    for colour in ("none", "adain"):
        settings, picture = Settings(steps=2, colour=colour), sample("astronaut", 64, 64)
        request = WholeRequest(tiny_bundle(), tmp_path / "whole.onnx", settings, replace=True)
        details = request.run().details
        (tmp_path / "picture").write_bytes(picture.tobytes())
        (tmp_path / "noise").write_bytes(drawn(settings, 3, details["noise"]).tobytes())
        files = [tmp_path / name for name in ("whole.onnx", "picture", "noise", "restored")]
        printed = run(node, program, tmp_path, *files, json.dumps(dict(details)))
        restored = np.frombuffer((tmp_path / "restored").read_bytes(), np.uint8).reshape(json.loads(printed))
        hold_to_upscaler(restored, picture, settings, seed=3)


@pytest.fixture(scope="module")
def compiler():
    pytest.importorskip("tensorrt_rtx", reason="not run: no compiler of TensorRT for RTX here")
    from dit4sr.export.engines.tensorrt_rtx.library import compile_graph  # noqa: PLC0415

    def compiled(graph: Path) -> int:
        given = PreparedGraph(graph.read_bytes(), graph, 0, ())
        return len(compile_graph(given, [89], lambda _phase: None).layers)

    return compiled


@pytest.mark.slow
def test_unrolled_nvidias_compiler_reads_it(compiler, tmp_path):
    """The model in the box, in halves: compiled, not run."""
    request = WholeRequest(tiny_bundle(), tmp_path / "whole.onnx", Settings(steps=2), is_unrolled=True)
    request.run()
    assert compiler(request.output) > 100


def test_unrolled_the_smallest_one_compiles(compiler, toy, tmp_path):
    """A network of a few operators, in seconds: all that is around it is as for any other."""
    request = WholeRequest(toy, tmp_path / "whole.onnx", Settings(steps=2), is_unrolled=True)
    request.run()
    assert compiler(request.output) > 10
