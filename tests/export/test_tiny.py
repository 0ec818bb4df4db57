"""Training dit4sr-tiny: what it learns from, that it can be repeated and resumed, and what it writes."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from dit4sr.export.architectures.dit4sr.config import Flavour, Variant
from dit4sr.export.architectures.dit4sr.loading import load_transformer
from dit4sr.export.pipeline import checkpoint_pipeline
from dit4sr.export.tiny.__main__ import command
from dit4sr.export.tiny.ablation import as_variant
from dit4sr.export.tiny.data.crops import pair_batch, prefetched, vae_batch
from dit4sr.export.tiny.data.degradation import degrade, enlarged
from dit4sr.export.tiny.data.drawings import draw_picture
from dit4sr.export.tiny.data.held_out import PLACES, held_out_pairs
from dit4sr.export.tiny.data.photographs import HELD_OUT, TRAINING, training_photographs
from dit4sr.export.tiny.evaluation import gradient_energy
from dit4sr.export.tiny.recipe import TRANSFORMER, TRIAL, Phase, Schedule
from dit4sr.export.tiny.system import TinySystem, read_checkpoint, write_checkpoint
from dit4sr.export.tiny.train import train
from dit4sr.export.tiny.training import autoencoder, finish, flow
from dit4sr.export.tiny.training.latents import Pairs, Scale

STAGES = ("vae", "flow", "finish")


def quiet(_: str) -> None:
    pass


# --- What it learns from -------------------------------------------------------------------------


def test_what_it_is_tested_on_it_never_learns_from():
    names = {name.rpartition(".")[0] for group in TRAINING.values() for name in group}
    assert names.isdisjoint(HELD_OUT)
    held_out = {pair.truth.tobytes() for pair in held_out_pairs()}
    assert len(held_out) == len(PLACES) == 12
    for photograph in training_photographs():
        pixels = np.asarray(photograph)
        for pair in held_out_pairs():
            # The first row of a held-out crop occurs nowhere.
            row = pair.truth[0, :16].tobytes()
            assert row not in pixels.tobytes()


def test_a_batch_depends_on_its_number_alone():
    first, again = vae_batch((0, 1, 5), 4, 64), vae_batch((0, 1, 5), 4, 64)
    np.testing.assert_array_equal(first, again)
    assert (vae_batch((0, 1, 6), 4, 64) != first).mean() > 0.5
    [(clean, degraded)] = prefetched(pair_batch, iter([((0, 2, 5), 3, 64)]))
    np.testing.assert_array_equal([clean, degraded], pair_batch((0, 2, 5), 3, 64))
    assert clean.shape == (3, 3, 64, 64)


def test_drawings_are_of_every_colour():
    rng = np.random.default_rng(0)
    pictures = np.stack([draw_picture(rng, 32) for _ in range(40)]).astype(float)
    assert pictures.std() > 40
    red, green, blue = pictures.mean((1, 2)).T
    for one, other in ((red, green), (green, blue), (blue, red)):
        assert (one - other).min() < -30
        assert (one - other).max() > 30


def test_degrading_takes_detail_away_and_keeps_the_colours():
    rng = np.random.default_rng(1)
    truths = [pair.truth for pair in held_out_pairs()[:6]]
    spoiled = [degrade(rng, truth) for truth in truths]
    for truth, small in zip(truths, spoiled, strict=True):
        assert small.shape == (64, 64, 3)
        assert np.abs(truth.mean((0, 1)) - small.mean((0, 1))).max() < 8
        assert not np.array_equal(degrade(rng, truth), small)
    kept = [
        gradient_energy(enlarged(small)) / gradient_energy(truth)
        for truth, small in zip(truths, spoiled, strict=True)
    ]
    assert max(kept) < 0.9


# --- How it learns -------------------------------------------------------------------------------


def test_the_vae_begins_as_a_blur():
    vae = autoencoder.new_vae(0)
    image = autoencoder.as_image(vae_batch((0, 1, 0), 2, 64), "cpu")
    stride = vae.encoder.down_blocks[0].downsamplers[0]
    inner = vae.encoder.conv_in(image) - vae.encoder.conv_in.bias[:, None, None]
    torch.testing.assert_close(inner[:, :3], image)
    shrunk = stride(inner) - stride.conv.bias[:, None, None]
    torch.testing.assert_close(shrunk[:, :3], 2 * torch.nn.functional.avg_pool2d(image, 2))
    back = vae.decoder(torch.zeros(1, 16, 8, 8))
    assert back.isfinite().all()


def losses(folder) -> list[float]:
    return [json.loads(line)["loss"] for name in STAGES for line in (folder / f"{name}.log.jsonl").open()]


def test_the_same_seed_gives_the_same_training(tmp_path):
    recipe = replace(
        TRIAL,
        vae=(Phase(15, 2, 32), Phase(10, 1, 64)),
        flow=((Phase(20, 2, 128), Phase(5, 1, 256)),),
        finish=(Phase(8, 2, 128), Phase(2, 1, 128)),
    )
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        train(recipe, tmp_path / name, seed=seed, device="cpu", say=quiet)
    assert len(losses(tmp_path / "first")) == 60
    assert losses(tmp_path / "first") == losses(tmp_path / "again")
    assert losses(tmp_path / "first") != losses(tmp_path / "other")
    assert losses(tmp_path / "first")[0] > losses(tmp_path / "first")[24]


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    whole = train(TRIAL, tmp_path / "whole", seed=5, device="cpu", say=quiet)

    stopping = [f"{stage} 4/" for stage in STAGES]

    def stop(line: str) -> None:
        if line.startswith(tuple(stopping)):
            raise KeyboardInterrupt

    for stage in STAGES:  # each a line after its state was written
        with pytest.raises(KeyboardInterrupt):
            train(TRIAL, tmp_path / "stopped", seed=5, device="cpu", say=stop)
        [*_, last] = (tmp_path / "stopped" / f"{stage}.log.jsonl").read_text().splitlines()
        assert json.loads(last)["iteration"] == 4
        stopping.remove(f"{stage} 4/")
    resumed = train(TRIAL, tmp_path / "stopped", seed=5, device="cpu", say=quiet)
    for one, other in ((whole.vae, resumed.vae), (whole.restorer, resumed.restorer)):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key
    assert whole.scale == resumed.scale


def test_a_crop_is_told_where_in_the_tile_it_lies():
    """The window of positions is somewhere else each time, and at the end in its place again."""
    transformer = flow.new_restorer(0).transformer
    table = transformer.pos_embed.pos_embed
    generator = torch.Generator().manual_seed(0)
    small, seen = torch.zeros(1, 16, 16, 16), set()
    for _ in range(60):
        with flow.random_place(transformer, small, generator):
            window = transformer.pos_embed.positions((8, 8))[0]
        [place] = (table[0] == window[0]).all(-1).nonzero().tolist()
        row, column = divmod(place[0], 16)
        torch.testing.assert_close(
            window, table.view(16, 16, -1)[row : row + 8, column : column + 8].flatten(0, 1)
        )
        seen.add((row, column))
    assert max(seen) <= (8, 8)
    assert len(seen) > 30
    assert transformer.pos_embed.pos_embed is table
    with flow.random_place(transformer, torch.zeros(1, 16, 32, 32), generator):
        torch.testing.assert_close(transformer.pos_embed.pos_embed, table)


def test_levels_lean_towards_noise():
    levels = flow.noise_levels(4000, 0.3, torch.Generator().manual_seed(0))
    assert levels.min() > 0
    assert levels.max() == 1
    assert abs((levels == 1).float().mean() - 0.3) < 0.03
    assert abs(levels[levels < 1].median() - 0.75) < 0.02  # one half, bent by a shift of three


def test_every_tensor_learns():
    """Some steps, because a gate has to open before what is behind it can learn."""
    restorer = flow.new_restorer(0)
    optimiser = torch.optim.SGD(restorer.parameters(), lr=0.3)
    clean, degraded = torch.randn(2, 4, 16, 8, 8, generator=torch.Generator().manual_seed(0)).unbind()
    for _ in range(6):
        optimiser.zero_grad()
        flow.flow_loss(restorer, clean, degraded, TRIAL, torch.Generator().manual_seed(1)).backward()
        optimiser.step()
    still = {name for name, p in restorer.named_parameters() if p.grad is None or not p.grad.any()}
    last = f"transformer.transformer_blocks.{TRANSFORMER.num_layers - 1}.attn."
    # The last block's text asks nothing.
    unread = ("add_q_proj.weight", "add_q_proj.bias", "norm_added_q.weight")
    assert still == {f"{last}{name}" for name in unread}


def test_the_finish_teaches_every_part(tmp_path):
    system = TinySystem(autoencoder.new_vae(0), flow.new_restorer(0), Scale(0.0, 3.0))
    before = copy.deepcopy(system)
    recipe = replace(TRIAL, finish=(Phase(3, 2, 64),), finish_schedule=Schedule(rates=(1e-2,), warm_up=1))
    after = finish.finish(system, recipe, tmp_path, seed=0, device="cpu", say=quiet)
    for part in ("vae.encoder", "vae.decoder", "restorer"):
        one, other = (attrgetter(part)(each).parameters() for each in (before, after))
        assert any(not torch.equal(a, b) for a, b in zip(one, other, strict=True)), part


def test_what_is_asked_for_is_held_back_where_it_is_given_in_part():
    prompt = torch.tensor([flow.GOOD, flow.GOOD, flow.DEGRADED, flow.DEGRADED])
    level = torch.tensor([0.7, 1.0, 0.7, 1.0])
    goal, mean = (finish.Goal(torch.full((4, 1), each), torch.full((4, 2), each)) for each in (10.0, 20.0))
    finish.hold_back(goal, flow.Question(prompt, level, torch.empty(0)), mean, boldness=0.6)
    assert goal.latent.tolist() == [[14.0], [10.0], [10.0], [10.0]]
    assert goal.picture[:, 0].tolist() == goal.picture[:, 1].tolist() == [14.0, 10.0, 10.0, 10.0]


def test_the_mean_is_guessed_from_noise_alone():
    """It must not know the truth, the level or the prompt that the question is about."""
    finisher = finish.Finisher(autoencoder.new_vae(0), flow.new_restorer(0), Scale(0.0, 3.0))
    with torch.no_grad():
        for parameter in finisher.restorer.parameters():  # a new one does not look at its prompt
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    condition, noise = torch.randn(2, 3, 16, 32, 32, generator=torch.Generator().manual_seed(0)).unbind()
    questions = [
        flow.Question(torch.full((3,), prompt), torch.full((3,), level), noise)
        for prompt, level in ((flow.DEGRADED, 0.2), (flow.GOOD, 1.0))
    ]
    with torch.no_grad():
        one, other = (
            finish.mean_guess(finisher, condition, question, torch.Generator().manual_seed(1))
            for question in questions
        )
        picture = finisher.picture(one.latent)
    assert torch.equal(one.latent, other.latent)
    assert torch.equal(one.picture, picture)


def test_drawn_pairs_belong_together():
    clean = torch.arange(40.0).view(40, 1, 1, 1).half()
    generator = torch.Generator().manual_seed(0)
    one, other = flow.draw(Pairs(clean, -clean), 16, Scale(0.0, 2.0), "cpu", generator)
    torch.testing.assert_close(one, -other)
    assert len(set(one.flatten().tolist())) > 8


# --- What it writes ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    outcome = CliRunner().invoke(
        command, [str(folder), "--recipe", "trial", "--threads", "1", "--ablate"], catch_exceptions=False
    )
    assert outcome.exit_code == 0
    assert "no LR injection (c)" in outcome.output
    return folder


def test_the_checkpoint_is_strict_and_whole(trained):
    folder = trained / "checkpoint"
    model = load_transformer(folder, dtype=torch.float32)
    assert model.config == TRANSFORMER
    assert model.config.flavour is Flavour.OWN
    system = checkpoint_pipeline(folder)
    card = system.card("fp16")
    assert (card.name, card.default_steps, card.training_tile, card.text_tokens) == ("dit4sr-tiny", 2, 32, 8)
    assert card.weights == "trained"
    assert [part.name for part in system.vae] == ["vae_encoder", "vae_decoder"]
    assert set(system.prompts) == {"positive", "negative"}
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 15 << 20


def test_what_is_written_is_what_is_read(trained, tmp_path):
    system = read_checkpoint(trained / "checkpoint")
    write_checkpoint(system, tmp_path / "again", steps=4, guidance=1.0)
    for file in (trained / "checkpoint").rglob("*.safetensors"):
        again = load_file(tmp_path / "again" / file.relative_to(trained / "checkpoint"))
        for key, value in load_file(file).items():
            assert torch.equal(value, again[key])
    pair = held_out_pairs()[0]
    first, second = (system.restore(pair.photo, steps=2, guidance=1.5, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == pair.truth.shape


def test_a_way_of_the_lr_stream_can_be_switched_off(trained):
    system = read_checkpoint(trained / "checkpoint")
    pair = held_out_pairs()[0]
    full = system.restore(pair.photo, steps=1, guidance=1.0, seed=1)
    for variant in (Variant.A, Variant.B, Variant.C):
        network = as_variant(system, variant).restorer.transformer
        assert network.config.variant is variant
    np.testing.assert_array_equal(
        as_variant(system, Variant.FULL).restore(pair.photo, steps=1, guidance=1.0, seed=1), full
    )
