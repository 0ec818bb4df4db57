"""A stranger's bundle runs none of its code unasked; its graphs, which are data, run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.photos import make_photo

from dit4sr.runtime import Upscaler
from dit4sr.runtime.backends.choice import candidates, choose
from dit4sr.runtime.backends.compiled import CompiledComponent, compiled_for
from dit4sr.runtime.backends.inductor.compatibility import instruction_sets
from dit4sr.runtime.backends.inductor.packages import Package
from dit4sr.runtime.backends.tensorrt.backend import TensorRtPlan
from dit4sr.runtime.backends.tensorrt_rtx.backend import RtxPlan
from dit4sr.runtime.backends.tensorrt_rtx.machine import is_installed
from dit4sr.runtime.bundles import trust
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Engine, record_of
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import IncompatibleError

WITHHELD = (
    "the bundle brings compiled code that was not built here; if you trust whoever made it, say --trust"
)
USABLE = [*(["tensorrt-rtx"] if is_installed() else []), "inductor"]
"""Backends whose libraries are here."""
KINDS: list[type[CompiledComponent]] = [TensorRtPlan, RtxPlan, Package]


@pytest.fixture
def strange(toy_bundle, tmp_path) -> Path:
    """A bundle whose packages and plans would be taken, were they looked at: they fit this machine."""
    folder = tmp_path / "strange"
    shutil.copytree(toy_bundle, folder)
    (folder / "engines").mkdir()
    for name in ("code", "weights"):
        (folder / "engines" / name).write_bytes(name.encode())
    records = tuple(record_of(folder / "engines" / name, folder) for name in ("code", "weights"))
    bundle = Bundle.open(folder)
    versions = {"torch": torch.__version__, "instructions": " ".join(instruction_sets())}
    engines = tuple(
        Engine(kind.backend, name, records[: kind.file_count], "fp32", "cpu", versions, ())
        for kind in KINDS
        for name in bundle.components
    )
    (folder / MANIFEST).write_text(replace(bundle.manifest, engines=engines).to_text())
    return folder


def test_auto_takes_the_graphs_and_says_why(strange):
    choice = choose(Bundle.open(strange))
    assert choice.backend.name == "onnxruntime"
    assert [reason.partition(WITHHELD)[:2] for reason in choice.reasons()] == [
        ("tensorrt passed over: ", WITHHELD),
        ("tensorrt-rtx passed over: ", WITHHELD),
        ("inductor passed over: ", WITHHELD),
    ]
    # TensorRT is not here: nobody would gain anything by trusting its plans.
    assert [notice.split()[0] for notice in choice.notices] == USABLE


@pytest.mark.parametrize("backend", ["inductor", "tensorrt", "tensorrt-rtx"])
def test_by_name_it_is_refused_with_the_way_out(strange, backend):
    with pytest.raises(IncompatibleError, match=f"backend {backend}: {WITHHELD}"):
        choose(Bundle.open(strange), backend)


def test_a_word_lets_them_run(strange, monkeypatch):
    assert choose(Bundle.open(strange, trust_engines=True)).backend.name == "inductor"
    with Upscaler(strange, trust_engines=True) as upscaler:
        assert upscaler.backend == "inductor/cpu"
    with Upscaler(Bundle.open(strange), trust_engines=True) as upscaler:
        assert upscaler.backend == "inductor/cpu"
        assert upscaler.notices == ()
    monkeypatch.setenv(trust.VARIABLE, "1")
    assert choose(Bundle.open(strange)).backend.name == "inductor"


def test_what_was_built_here_needs_no_word_until_a_byte_is_another(strange, monkeypatch, tmp_path):
    monkeypatch.setenv("DIT4SR_CONFIG", str(tmp_path / "config"))
    for engine in Bundle.open(strange).manifest.engines:
        trust.remember(engine.files)
    assert choose(Bundle.open(strange)).backend.name == "inductor"
    moved = strange.rename(tmp_path / "moved")
    assert choose(Bundle.open(moved)).backend.name == "inductor"
    text = (moved / MANIFEST).read_text()
    digest = record_of(moved / "engines" / "code", moved).sha256
    (moved / MANIFEST).write_text(text.replace(digest, digest[::-1]))
    assert choose(Bundle.open(moved)).backend.name == "onnxruntime"


def test_where_only_a_part_was_built_here_it_is_the_word_that_is_missing(strange):
    bundle = Bundle.open(strange)
    one, *others = (engine for engine in bundle.manifest.engines if engine.backend == "inductor")
    own = replace(one, files=(replace(one.files[0], sha256="1" * 64), one.files[1]))
    trust.remember(own.files)
    bundle = replace(bundle, manifest=replace(bundle.manifest, engines=(own, *others)))
    assert bundle.engines == (own,)
    with pytest.raises(IncompatibleError, match=f"backend inductor: {WITHHELD}"):
        choose(bundle, "inductor")
    with pytest.raises(IncompatibleError, match=WITHHELD):
        compiled_for(Package, bundle, others[0].component, "cpu")
    assert compiled_for(Package, bundle, own.component, "cpu")


def test_every_backend_waits_for_the_word_but_the_one_that_runs_graphs(strange):
    """Also one that joins later: it is shown no engines, whatever it does with them."""
    bundle = Bundle.open(strange)
    known = candidates(bundle, "auto", 1)
    engines = tuple(replace(bundle.manifest.engines[0], backend=candidate.name) for candidate in known)
    bundle = replace(bundle, manifest=replace(bundle.manifest, engines=engines))
    assert bundle.engines == ()
    withheld = [each.name for each in candidates(bundle, "auto", 1) if each.fit.is_withheld]
    assert withheld == [candidate.name for candidate in known if candidate.name != "onnxruntime"]


@pytest.mark.parametrize("kind", KINDS)
def test_who_opens_a_backend_without_choosing_is_asked_too(strange, kind):
    with pytest.raises(IncompatibleError, match=WITHHELD):
        compiled_for(kind, Bundle.open(strange), "step", "cpu")
    assert compiled_for(kind, Bundle.open(strange, trust_engines=True), "step", "cpu")


SCRIPT = (
    "import sys; from dit4sr.runtime.cli import command\n"
    "from dit4sr.runtime.console.command import run_command\n"
    "code = run_command(command, sys.argv[1:])\n"
    "assert not {'torch', 'tensorrt', 'tensorrt_rtx'} & sys.modules.keys()\n"
    "sys.exit(code)"
)


def test_the_command_restores_says_so_and_imports_nothing_for_them(strange, tmp_path):
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png"), "-m", str(strange), "-o", str(tmp_path / "out.png"), "--steps", "1"]
    arguments = [sys.executable, "-c", SCRIPT, *words, "--json", "-"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    *notes, summary = done.stderr.splitlines()
    said = f"passed over: {WITHHELD}-engines (trust_engines=True in Python)"
    assert notes == [f"note: {name} {said}" for name in USABLE]
    assert summary.startswith("1 picture restored in ")
    record = json.loads(done.stdout)
    assert record["backend"] == "onnxruntime/cpu"
    assert any(WITHHELD in reason for reason in record["passed_over"])


def test_the_command_by_name(strange, tmp_path, capfd):
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png"), "-m", str(strange), "-o", str(tmp_path / "out.png")]
    assert run_command(command, [*words, "--backend", "inductor"]) == IncompatibleError.exit_code
    assert "--trust-engines" in capfd.readouterr().err
    assert run_command(command, [*words, "--dry-run"]) == 0
    said = capfd.readouterr()
    assert WITHHELD in said.out
    assert said.err == ""
    assert run_command(command, [*words, "--dry-run", "--trust-engines"]) == 0
    assert "backend inductor/cpu" in capfd.readouterr().out
