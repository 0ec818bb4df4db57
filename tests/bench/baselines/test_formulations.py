"""Steps with an optimisation taken back compute what the simplified network computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.networks import seeded_transformer, tiny_config

from dit4sr.bench.baselines.ablations import graph_call
from dit4sr.bench.baselines.blueprint import transformer_config
from dit4sr.bench.baselines.released import released_step, step_inputs
from dit4sr.bench.graph.cost import read_graph
from dit4sr.bench.pictures import drawn_picture
from dit4sr.bench.subject import Subject
from dit4sr.bench.workload import Workload
from dit4sr.export.architectures.dit4sr.config import Flavour
from dit4sr.export.architectures.dit4sr.deployed.prepare import modulation_width
from dit4sr.export.architectures.dit4sr.formulations import (
    FORMULATIONS,
    SeparateProjections,
    write_ablated_step,
    write_plain_step,
)
from dit4sr.export.architectures.dit4sr.simplify import simplify
from dit4sr.runtime import Settings
from dit4sr.runtime.bundled import tiny_bundle

WORKLOAD = Workload(8, 12, images=1, branches=2, text=5, steps=1, patch=2, factor=8)


def conditions(config) -> tuple[torch.Tensor, ...]:
    noise = torch.Generator().manual_seed(1)
    shapes = ((2, 16, 8, 12), (2, 24, 128), (2, 5, 128), (2, modulation_width(config)), (24, 128))
    return tuple(0.5 * torch.randn(shape, generator=noise, dtype=torch.float64) for shape in shapes)


@pytest.mark.parametrize("name", ["inject", "attention"])
def test_operators_taken_back_answer_the_same(flavour, name):
    config = tiny_config(flavour)
    _, denoiser = simplify(seeded_transformer(config))
    other = FORMULATIONS[name](config).double().eval()
    other.load_state_dict(denoiser.state_dict())
    with torch.no_grad():
        ours, theirs = denoiser(*conditions(config)), other(*conditions(config))
    assert type(other.blocks[0].attn) is not type(denoiser.blocks[0].attn) or name == "inject"
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-10 * ours.abs().max())


def test_unfolded_projections_are_products_apart(flavour):
    config = tiny_config(flavour)
    unfolded = FORMULATIONS["folds"](config).double().eval()
    with torch.no_grad():
        assert unfolded(*conditions(config)).isfinite().all()
    projections = [m for m in unfolded.modules() if isinstance(m, SeparateProjections)]
    # Two for the image in each of four joint and two dual attentions, and the text's but for the last block.
    assert len(projections) == 2 * (4 + 2) + 3
    assert {len(m.each) for m in projections} == ({2, 3} if flavour is Flavour.COPIED else {3})


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMULATIONS, "plain"])
def test_every_formulation_runs_as_a_graph(name, tmp_path):
    """Exported like the bundle's own step, opened and bound by the same backend."""
    picture = drawn_picture(16, 16)
    settings = Settings(steps=2, guidance=3.0)
    where = {"backend": "onnxruntime", "device": "cpu", "threads": 1}
    with Subject(tiny_bundle(), picture, settings, **where) as subject:
        config, precision = transformer_config(subject.bundle), subject.bundle.card.precision
        if name == "plain":
            written = write_plain_step(config, precision, tmp_path)
        else:
            written = write_ablated_step(config, name, precision, tmp_path)
        made = graph_call(subject, *written, subject.workload())()
        ours = subject.component("step", subject.workload())()
    assert {key: subject.backend.download(value).shape for key, value in made.items()} == {
        key: subject.backend.download(value).shape for key, value in ours.items()
    }
    assert all(np.isfinite(subject.backend.download(value)).all() for value in made.values())
    assert subject.backend.download(made["velocity"]).std() > 0
    own = [node.op_type for node in read_graph(written[0]).graph if node.domain == "dit4sr"]
    kept = {
        "folds": {"Inject", "Attention"},
        "inject": {"Attention"},
        "attention": {"Inject"},
        "plain": set(),
    }
    assert {kind for kind in ("Inject", "Attention") for operator in own if kind in operator} == kept[name]


def test_the_released_step_takes_what_the_baseline_gives_it():
    config = tiny_config()
    inputs = step_inputs(config, WORKLOAD)
    with torch.no_grad():
        latent, velocity = released_step(config)(*inputs)
    assert latent.shape == velocity.shape == (1, 16, 8, 12)
    assert torch.allclose(latent, inputs[0] - 0.05 * velocity, atol=1e-6)
    assert velocity.std() > 0


@pytest.fixture(params=Flavour, ids=lambda flavour: flavour.value)
def flavour(request):
    return request.param
