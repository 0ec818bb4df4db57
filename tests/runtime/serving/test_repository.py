"""What is written for Triton: a model, its versions, and nothing half."""

from __future__ import annotations

import pytest

from dit4sr.export.cli import command
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.serving.parameters import Parameters


@pytest.fixture
def write(tmp_path, capsys):
    """Write into a repository by the command; return the exit code and the line on standard error."""

    def run(*options):
        code = run_command(command, ["--triton-repository", str(tmp_path / "models"), *options])
        return code, capsys.readouterr().err

    return run


def test_the_bundle_is_a_link_or_with_copy_a_bundle_of_its_own(tmp_path, write):
    assert write() == (0, "")
    assert write("--served-as", "dit4sr-tiny/2", "--copy") == (0, "")
    model = tmp_path / "models" / "dit4sr-tiny"
    assert (model / "1" / "bundle").resolve() == tiny_bundle().resolve()
    assert not (model / "2" / "bundle").is_symlink()
    Bundle.open(model / "2" / "bundle").verify()
    assert (model / "2" / "bundle" / MANIFEST).read_bytes() == (tiny_bundle() / MANIFEST).read_bytes()


def test_the_configuration_says_what_was_asked_for(tmp_path, write):
    assert write("--served-as", "a", "--instances", "gpu:3", "--decoupled") == (0, "")
    text = (tmp_path / "models" / "a" / "config.pbtxt").read_text()
    for line in ("decoupled: true", "kind: KIND_GPU", "count: 3", 'name: "progress"', "max_batch_size: 0"):
        assert line in text
    warm_up = tmp_path / "models" / "a" / "warmup"
    assert len((warm_up / "sample").read_bytes()) == 75 * 112 * 3


def test_a_further_version_leaves_the_configuration_alone(tmp_path, write):
    write()
    config = tmp_path / "models" / "dit4sr-tiny" / "config.pbtxt"
    config.write_text("mine")
    assert write("--served-as", "/2") == (0, "")
    assert config.read_text() == "mine"


def test_a_version_that_is_there_is_replaced_only_by_force(write):
    write()
    code, said = write()
    assert code == 2
    assert "dit4sr-tiny/1 exists; choose another version with --served-as, or replace it with --force" in said
    assert write("--force", "--copy") == (0, "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--served-as", "../up"], "'../up' is not NAME/VERSION"),
        (
            ["--served-as", ".hidden"],
            "'.hidden' cannot be a model's name; expected letters, digits and . _ -",
        ),
        (["--instances", "tpu"], "'tpu' is not KIND:COUNT"),
        (["--precision", "fp16"], "--precision does nothing with --triton-repository"),
        (["no-bundle"], "no bundle at no-bundle"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(tmp_path, write, options, said):
    code, line = write(*options)
    assert code == 2
    assert said in line
    assert not (tmp_path / "models").exists()


def test_options_of_serving_alone_are_refused(capsys):
    assert run_command(command, ["--copy"]) == 2
    assert "--copy is for --triton-repository" in capsys.readouterr().err


def test_parameters_are_read_as_they_are_written():
    chosen = Parameters("onnxruntime", 2, low_memory=True, most_pixels=99, trust_engines=True)
    assert Parameters.of({key: value for key, value, _ in chosen.lines()}) == chosen
    assert Parameters.of({"FORCE_CPU_ONLY_INPUT_TENSORS": "no"}) == Parameters()


@pytest.mark.parametrize("stated", [{"threads": "-1"}, {"threads": "x"}, {"low_memory": "yes"}])
def test_a_parameter_that_cannot_be_is_refused(stated):
    with pytest.raises(BadInputError, match=f"parameter {next(iter(stated))} is"):
        Parameters.of(stated)
