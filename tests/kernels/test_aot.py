"""Compiling without a GPU: what is made, what is kept, what is refused."""

import dataclasses
import json
import subprocess
import sys

import pytest
import triton
import triton.language as tl
from click.testing import CliRunner

from dit4sr import kernels
from dit4sr.kernels import __main__ as command
from dit4sr.kernels import aot


# ruff: noqa: N803  (Triton's constants are in capitals)
@triton.jit
def double(x, count, out, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + place, tl.load(x + place, mask=place < count) * 2, mask=place < count)


@triton.jit
def double_by_descriptor(x, count, out, BLOCK: tl.constexpr):
    source = tl.make_tensor_descriptor(x, [count], [1], [BLOCK])
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + place, source.load([tl.program_id(0) * BLOCK]) * 2, mask=place < count)


SOURCE = aot.KernelSource(
    name="double",
    function=double,
    signature={"x": "*fp16", "count": "i32", "out": "*fp16"},
    constexprs={"BLOCK": 1024},
    aligned=("x", "out"),
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, on disk and in the process."""
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path))
    monkeypatch.setattr(aot, "_compiled", {})
    return tmp_path / "kernels"


@pytest.fixture
def compilations(monkeypatch):
    """How many kernels Triton was asked for."""
    asked = []
    compile_ = triton.compile
    monkeypatch.setattr(triton, "compile", lambda *args, **kw: asked.append(args) or compile_(*args, **kw))
    return asked


@pytest.mark.parametrize("arch", aot.ARCHITECTURES)
def test_the_ptx_is_for_its_architecture_and_no_newer_than_pinned(arch):
    compiled = aot.compile_kernel(SOURCE, arch)
    assert compiled.entry == "double"
    assert compiled.target.removesuffix("a") == f"sm_{arch}"
    assert float(compiled.ptx_version) == aot.PTX_VERSIONS[arch] / 10
    assert f".version {compiled.ptx_version}\n.target {compiled.target}\n" in compiled.ptx
    assert compiled.block_size == 128
    assert 0 < compiled.registers < 64
    assert __file__.rpartition("/")[0] not in compiled.ptx
    assert ".loc" not in compiled.ptx
    assert compiled.spill_bytes == 0


def test_a_kernel_is_compiled_once_and_then_read_from_disk(cache, compilations, monkeypatch):
    first = aot.compile_kernel(SOURCE, 80)
    assert aot.compile_kernel(dataclasses.replace(SOURCE, name="another name"), 80) is first
    monkeypatch.setattr(aot, "_compiled", {})  # as in the next process
    assert aot.compile_kernel(SOURCE, 80) == first
    assert len(compilations) == 1
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"constexprs": {"BLOCK": 512}},
        {"signature": {"x": "*fp32", "count": "i32", "out": "*fp32"}},
        {"aligned": ()},
        {"num_warps": 8},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_the_kernel_changes_its_address(cache, change):
    aot.compile_kernel(SOURCE, 80)
    aot.compile_kernel(dataclasses.replace(SOURCE, **change), 80)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b'{"entry": "double"}', b"\xff"], ids=repr)
def test_a_damaged_cache_file_is_replaced(cache, monkeypatch, damage):
    first = aot.compile_kernel(SOURCE, 80)
    (kept,) = cache.iterdir()
    kept.write_bytes(damage)
    monkeypatch.setattr(aot, "_compiled", {})
    assert aot.compile_kernel(SOURCE, 80) == first
    assert json.loads(kept.read_text())["entry"] == "double"


def test_the_cache_lies_with_the_user_never_in_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path))
    assert aot.cache_directory() == tmp_path
    monkeypatch.delenv("DIT4SR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert aot.cache_directory() == tmp_path / "xdg" / "dit4sr"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert aot.cache_directory() == tmp_path / "home" / ".cache" / "dit4sr"


def test_hidden_scratch_memory_is_refused():
    source = dataclasses.replace(SOURCE, name="described", function=double_by_descriptor)
    with pytest.raises(aot.AotError, match="described: a plain launch needs global_scratch_size = 0, found"):
        aot.compile_kernel(source, 100)


def test_what_needs_newer_ptx_than_pinned_is_refused(monkeypatch):
    monkeypatch.setattr(aot, "PTX_VERSIONS", {90: 80})
    source = dataclasses.replace(SOURCE, name="described", function=double_by_descriptor)
    with pytest.raises(
        aot.AotError, match=r"described: ptxas refuses the PTX for sm_90: .*requires PTX ISA \.version 8"
    ):
        aot.compile_kernel(source, 90)


def test_unknown_architectures_are_refused():
    with pytest.raises(aot.AotError, match=r"expected an architecture among .*found 75"):
        aot.compile_kernel(SOURCE, 75)


def test_arguments_that_do_not_match_the_kernel_are_named():
    with pytest.raises(aot.AotError, match=r"\['BLOCK', 'SIZE'\] do not match"):
        aot.compile_kernel(dataclasses.replace(SOURCE, constexprs={"SIZE": 8}), 80)


def test_assembling_counts_spills():
    source = dataclasses.replace(SOURCE, constexprs={"BLOCK": 8192})
    ptx = aot.compile_kernel(source, 80).ptx
    starved = ptx.replace(".reqntid 128\n", ".reqntid 128\n.maxnreg 24\n")
    assert starved != ptx
    assert aot.assemble(ptx, 80).spill_bytes == 0
    assert aot.assemble(starved, 80).spill_bytes > 0


def test_portable_ptx_assembles_for_newer_architectures():
    ptx = aot.compile_kernel(SOURCE, 80).ptx
    assert all(aot.assemble(ptx, arch).registers for arch in aot.ARCHITECTURES)


@pytest.mark.parametrize(
    ("ptx", "complaint"),
    [
        ("nonsense", "this is not PTX"),
        (".version 8.3\n.target sm_80\nnonsense", "ptxas refuses the PTX for sm_80"),
    ],
)
def test_bad_ptx_is_refused(ptx, complaint):
    with pytest.raises(aot.AotError, match=complaint):
        aot.assemble(ptx, 80)


def test_importing_the_package_and_the_references_stays_light():
    heavy = ("torch", "triton", "onnx", "onnxscript", "tensorrt")
    code = f"""
import sys
import dit4sr.kernels.aot, dit4sr.kernels.depthwise_inject.reference, dit4sr.kernels.joint_attention.reference
assert not set(sys.modules) & set({heavy}), set(sys.modules) & set({heavy})
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert kernels.__doc__


def test_the_command_prints_every_shipped_kernel(monkeypatch):
    assert {source.name.split()[0] for source in command.shipped_kernels()} >= set(command.OPERATORS)

    monkeypatch.setattr(command, "OPERATORS", ("depthwise_inject",))  # quicker to compile
    shipped = [source.name for source in command.shipped_kernels()]
    printed = CliRunner().invoke(command.main, ["--arch", "80", "--json"])
    rows = json.loads(printed.output)
    assert [row["kernel"] for row in rows] == shipped
    assert all(row["arch"] == 80 and row["spills"] == 0 for row in rows)

    printed = CliRunner().invoke(command.main, ["--arch", "80"])
    heading, *lines = printed.output.splitlines()
    assert heading.split() == list(rows[0])
    assert [line.split("  ")[0] for line in lines] == shipped


@pytest.mark.parametrize("value", ["75", "hopper", "", "80,"])
def test_the_command_refuses_other_architectures(value):
    printed = CliRunner().invoke(command.main, ["--arch", value])
    assert printed.exit_code == 2
    assert "expected some of 80,86,89,90,100,120" in printed.output
