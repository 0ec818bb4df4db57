"""The systems that are trained side by side: alike in all but the network, resumable, and exportable."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dit4sr.export.pipeline import checkpoint_pipeline
from dit4sr.export.tiny.data.held_out import held_out_pairs
from dit4sr.export.tiny.recipe import SIDE_BY_SIDE, TRIAL, Schedule
from dit4sr.export.tiny.systems import NAMES
from dit4sr.export.tiny.systems.__main__ import command
from dit4sr.export.tiny.systems.checkpoint import read_system, write_system
from dit4sr.export.tiny.systems.networks import new_system, parameters
from dit4sr.export.tiny.systems.train import train_system
from dit4sr.export.tiny.training import flow
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError, IntegrityError

OTHERS = [name for name in NAMES if name != "dit4sr"]
SHORT = replace(TRIAL, save_every=2, report_every=1)


def quiet(_: str) -> None:
    pass


def pairs(rows: int = 4):
    return torch.randn(2, rows, 16, 16, 16, generator=torch.Generator().manual_seed(0)).unbind()


# --- Alike in all but the network ----------------------------------------------------------------


@pytest.mark.parametrize("name", OTHERS)
def test_parameters_are_as_many_within_two_per_cent(name):
    wanted = parameters(new_system("dit4sr", 0))
    assert parameters(new_system(name, 0)) == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("name", OTHERS)
def test_all_begin_with_the_same_prompts_and_hand_their_latent_through(name):
    first, other = (new_system(each, 3) for each in ("dit4sr", name))
    assert torch.equal(first.text, other.text)
    assert torch.equal(first.pooled, other.pooled)
    latent, condition = pairs()
    rows = torch.full((4,), flow.GOOD), torch.full((4,), 0.5)
    with torch.no_grad():
        for system in (first, other):
            handed = system(latent, condition, *rows)
            assert torch.nn.functional.cosine_similarity(handed.flatten(), latent.flatten(), dim=0) > 0.9


def test_a_control_net_begins_silent():
    system, (latent, condition) = new_system("sd3-controlnet", 0), pairs()
    rows = torch.full((4,), flow.GOOD), torch.full((4,), 0.5)
    with torch.no_grad():
        torch.testing.assert_close(system(latent, condition, *rows), system(latent, -condition, *rows))


@pytest.mark.parametrize("name", OTHERS)
def test_all_draw_the_same_pairs_noise_levels_and_places(name, monkeypatch):
    asked = []
    original = flow.guess

    def listening(restorer, goal, condition, question, generator):
        asked.append((goal, condition, *question, generator.get_state()))
        return original(restorer, goal, condition, question, generator)

    monkeypatch.setattr(flow, "guess", listening)
    for each in ("dit4sr", name):
        generator = torch.Generator().manual_seed(1)
        for _ in range(2):
            flow.flow_loss(new_system(each, 0), *pairs(), SIDE_BY_SIDE, generator)
    for one, other in zip(asked[:2], asked[2:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", OTHERS)
def test_the_photo_is_learnt_from(name):
    """Every way in from the condition gets a gradient once the gates have opened a little."""
    restorer, (clean, degraded) = new_system(name, 0), pairs()
    optimiser = torch.optim.SGD(restorer.parameters(), lr=0.3)
    for _ in range(5):
        optimiser.zero_grad()
        flow.flow_loss(restorer, clean, degraded, SIDE_BY_SIDE, torch.Generator().manual_seed(1)).backward()
        optimiser.step()
    still = [n for n, p in restorer.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(STILL[name](each) for each in still), still


STILL = {
    # Text of either network's last block is answered by nobody, and the control net sees no pooled text.
    "sd3-controlnet": lambda key: any(
        part in key
        for part in (
            *("3.attn.add_q", "3.attn.norm_added_q", "controlnet.transformer_blocks.1.attn.add_q"),
            *("controlnet.transformer_blocks.1.attn.norm_added_q", "1.attn.to_add_out", "1.ff_context"),
            *("1.norm1_context", "text_embedder.linear_1.weight"),
        )
    ),
    # The pooled text has no place in it, and the last block's text asks nothing.
    "dpir": lambda key: key == "pooled" or "6.attn.add_q" in key or "6.attn.norm_added_q" in key,
}
"""Parameters of each system that nothing reads."""


# --- Resumed, or refused -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which every system is trained a little."""
    output = tmp_path_factory.mktemp("systems")
    assert run_command(command, [str(output), "--recipe", "trial", "--threads", "1"]) == 0
    return output


@pytest.mark.parametrize("name", NAMES)
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(name, tmp_path):
    whole = train_system(name, SHORT, tmp_path / "whole", seed=5, say=quiet)

    def stop(line: str) -> None:
        if line.startswith(f"{name} 3/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_system(name, SHORT, tmp_path / "stopped", seed=5, say=stop)
    resumed = train_system(name, SHORT, tmp_path / "stopped", seed=5, say=quiet)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "stopped" / f"{name}.log.jsonl").open()]
    assert len(losses) == 6  # the third iteration was done twice
    for key, value in whole.restorer.state_dict().items():
        assert torch.equal(value, resumed.restorer.state_dict()[key]), key


def test_a_state_of_other_settings_is_refused(folder):
    with pytest.raises(BadInputError, match="begun with another seed"):
        train_system("dit4sr", TRIAL, folder, seed=1, say=quiet)
    faster = replace(TRIAL, flow_schedule=Schedule(rates=(2e-3,), warm_up=2))
    with pytest.raises(BadInputError, match=r"dit4sr\.state\.safetensors was begun with another schedule"):
        train_system("dit4sr", faster, folder, seed=0, say=quiet)
    with pytest.raises(BadInputError, match="another number and size of pairs"):
        train_system("dit4sr", SIDE_BY_SIDE, folder, seed=0, say=quiet)


def test_a_damaged_state_is_refused_in_one_line(folder, tmp_path, capsys):
    for file in folder.glob("*.safetensors"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = tmp_path / "dit4sr.state.safetensors"
    state.write_bytes(state.read_bytes()[:-1000])
    capsys.readouterr()
    code = run_command(command, [str(tmp_path), "--recipe", "trial", "--system", "dit4sr"])
    assert code == IntegrityError.exit_code
    [line] = capsys.readouterr().err.splitlines()
    assert "is not the whole state of a training" in line


def test_a_state_of_another_network_is_refused(folder, tmp_path):
    for file in folder.glob("*.safetensors"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "sd3-controlnet.state.safetensors").replace(tmp_path / "dit4sr.state.safetensors")
    with pytest.raises(IntegrityError, match="is not the whole state"):
        train_system("dit4sr", TRIAL, tmp_path, seed=0, say=quiet)


# --- What they write -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dit4sr", "sd3-controlnet"])
def test_the_exporter_tells_what_was_trained(name, folder):
    pipeline = checkpoint_pipeline(folder / name)
    assert pipeline.architecture == name
    card = pipeline.card("fp16")
    assert (card.name, card.training_tile, card.text_tokens) == (f"{name}, side by side", 32, 8)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_what_is_read(name, folder, tmp_path):
    system, pair = read_system(name, folder / name), held_out_pairs()[0]
    write_system(name, system, tmp_path / name)
    again = read_system(name, tmp_path / name)
    first, second = (each.restore(pair.photo, steps=2, guidance=1.25, seed=1) for each in (system, again))
    np.testing.assert_array_equal(first, second)
    assert first.shape == pair.truth.shape
