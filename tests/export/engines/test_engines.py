"""Engines join a bundle whole or not at all, and leave what was there alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.runtime_system import write_toy_bundle

from dit4sr.export.engines.adding import add_engines
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine, record_of


@pytest.fixture
def bundle(tmp_path):
    return Bundle.open(write_toy_bundle(tmp_path / "toy"))


def builder(component="step", backend="tensorrt", content=b"plan", precision="fp16"):
    """Writes one engine."""

    def build(_bundle, *, folder, progress):
        progress(f"building {component}")
        path = folder / "engines" / f"{backend}-sm90" / f"{component}.plan"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return (Engine(backend, component, (record_of(path, folder),), precision, "sm_90", {}, ()),)

    return build


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_engine_joins_and_everything_else_stays(bundle):
    before, lines = tree(bundle.path), []
    (bundle.path / "notes.txt").write_text("mine")
    manifest = add_engines(bundle, builder(), progress=lines.append)
    after = Bundle.open(bundle.path)
    after.verify()
    assert after.manifest == manifest
    assert [engine.component for engine in after.engines] == ["step"]
    assert lines == ["building step"]
    found = tree(bundle.path)
    assert found.pop(Path("engines/tensorrt-sm90/step.plan")) == b"plan"
    assert found.pop(Path("notes.txt")) == b"mine"
    del found[Path("manifest.json")], before[Path("manifest.json")]
    assert found == before


def test_what_is_built_anew_replaces_the_old_and_leaves_the_others(bundle):
    add_engines(bundle, builder("step", content=b"old"))
    add_engines(Bundle.open(bundle.path), builder("prepare"))
    add_engines(Bundle.open(bundle.path), builder("step", content=b"new", precision="fp8"))
    after = Bundle.open(bundle.path)
    after.verify()
    assert {(e.component, e.precision) for e in after.engines} == {("prepare", "fp16"), ("step", "fp8")}
    assert (bundle.path / "engines/tensorrt-sm90/step.plan").read_bytes() == b"new"


def test_what_is_built_here_may_run_here_and_a_strangers_engine_beside_it_may_not(bundle, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DIT4SR_CONFIG", str(bundle.path.with_name("config")))
        add_engines(bundle, builder("prepare", content=b"a stranger's"))
    assert Bundle.open(bundle.path).engines == ()
    add_engines(Bundle.open(bundle.path), builder("step", content=b"ours"))
    after = Bundle.open(bundle.path)
    after.verify()
    assert [engine.component for engine in after.manifest.engines] == ["prepare", "step"]
    assert [engine.component for engine in after.engines] == ["step"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_build_that_fails_leaves_the_bundle_as_it_was(bundle, error):
    add_engines(bundle, builder(content=b"old"))
    before = tree(bundle.path)

    def build(_bundle, *, folder, progress):
        builder(content=b"half")(_bundle, folder=folder, progress=progress)
        raise error

    with pytest.raises(error):
        add_engines(Bundle.open(bundle.path), build)
    assert tree(bundle.path) == before
    assert [path.name for path in bundle.path.parent.iterdir()] == [bundle.path.name]


def test_where_links_fail_files_are_copied(bundle, monkeypatch):
    def refuse(*_):
        raise OSError(18, "no links here")

    monkeypatch.setattr("os.link", refuse)
    add_engines(bundle, builder())
    Bundle.open(bundle.path).verify()


def test_a_bundle_behind_a_symbolic_link_is_changed_where_it_lies(bundle, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(bundle.path)
    add_engines(Bundle.open(link), builder())
    assert link.is_symlink()
    assert len(Bundle.open(bundle.path).engines) == 1
    shutil.rmtree(bundle.path)
