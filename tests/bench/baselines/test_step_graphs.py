"""Steps of the baselines: they take what the benchmark gives them, as graphs and in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.networks import tiny_config

from dit4sr.bench.baselines.graphs import StepGraph
from dit4sr.bench.baselines.reference import reference_of
from dit4sr.bench.baselines.torch_step import loaded, step_inputs
from dit4sr.bench.graph.cost import read_graph
from dit4sr.bench.pictures import drawn_picture
from dit4sr.bench.subject import Subject
from dit4sr.bench.workload import Workload
from dit4sr.export.architectures.dit4sr import ARCHITECTURE
from dit4sr.runtime import Settings
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle

CARD = Bundle.open(tiny_bundle()).card
WORKLOAD = Workload(8, 12, images=1, branches=2, text=5, steps=1, card=CARD)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ARCHITECTURE.ablations, "plain"])
def test_every_formulation_runs_as_a_graph(name, tmp_path):
    """Exported like the bundle's own step, opened and bound by the same backend."""
    picture = drawn_picture(16, 16)
    settings = Settings(steps=2, guidance=3.0)
    where = {"backend": "onnxruntime", "device": "cpu", "threads": 1}
    with Subject(tiny_bundle(), picture, settings, **where) as subject:
        reference = reference_of(subject.bundle)
        step = reference.plain_step() if name == "plain" else reference.ablated_step(name)
        written = StepGraph.write(step, subject.bundle.card, tmp_path)
        made = written.call(subject, subject.workload())()
        ours = subject.component("step", subject.workload())()
    assert {key: subject.backend.download(value).shape for key, value in made.items()} == {
        key: subject.backend.download(value).shape for key, value in ours.items()
    }
    assert all(np.isfinite(subject.backend.download(value)).all() for value in made.values())
    assert subject.backend.download(made["velocity"]).std() > 0
    own = [node.op_type for node in read_graph(written.file).graph if node.domain == "dit4sr"]
    kept = {
        "folds": {"Inject", "Attention"},
        "inject": {"Attention"},
        "attention": {"Inject"},
        "plain": set(),
    }
    assert {kind for kind in ("Inject", "Attention") for operator in own if kind in operator} == kept[name]


def test_the_released_step_takes_what_the_baseline_gives_it():
    step = ARCHITECTURE.reference(tiny_config().to_json()).plain_step()
    inputs = step_inputs(step, WORKLOAD)
    with torch.no_grad():
        latent, velocity = loaded(step)(*inputs.values())
    assert latent.shape == velocity.shape == (1, 16, 8, 12)
    assert torch.allclose(latent, inputs["latent"] - 0.05 * velocity, atol=1e-6)
    assert velocity.std() > 0
