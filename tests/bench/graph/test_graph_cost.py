"""Costs from the graph, against torch's count of the same network and the fact sheet's totals."""

from __future__ import annotations

import pytest
import torch
from support.networks import alone

from dit4sr.bench.graph.cost import Cost, graph_cost, read_graph, total
from dit4sr.bench.graph.layers import Node, group_of, groups_of
from dit4sr.export import architectures
from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig
from dit4sr.export.architectures.dit4sr.cost import simplified_macs
from dit4sr.export.architectures.dit4sr.layers import LAYERS
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.exporter import traced_at_precision
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle

SIZES = {"images": 1, "branches": 2, "rows": 2, "steps": 1}


def step_graph(config: TransformerConfig):
    """The step as the exporter writes it, without weights."""
    torch.set_num_threads(1)
    system = alone(Dit4sr(config, RandomWeights({}, 0)))
    _, step = system.components()
    return traced_at_precision(step, system.card("fp16"))[0]


def test_products_of_every_group_are_torchs_count():
    """Two counters that share nothing: one walks the graph, the other watches torch multiply."""
    bundle = Bundle.open(tiny_bundle())
    stated = architectures.network_config(bundle.manifest)
    config, text = TransformerConfig.from_json(stated), bundle.card.text_tokens
    sizes = {**SIZES, "height": 8, "width": 12, "tokens": 24, "text": text}
    costs = graph_cost(read_graph(bundle.component_file("step")), sizes, LAYERS)
    counted = dict(simplified_macs(config, (8, 12), text))
    counted["image MLP"] = counted.pop("noise MLP") + counted.pop("LR MLP")
    counted["patches, velocity"] = counted.pop("patches, context, velocity")
    found = {group: cost.macs // 2 for group, cost in costs.items() if cost.macs}
    assert found == {group: macs for group, macs in counted.items() if macs}
    assert set(costs) <= set(LAYERS.groups)
    # Half precision: two bytes for each weight, in every block but the last, where no text goes on.
    width, hidden = config.width, 4 * config.width
    elements = 2 * width * hidden + hidden + width
    assert costs["text MLP"].weight_bytes == 2 * (config.num_layers - 1) * elements
    assert costs[LAYERS.rest].activation_bytes > costs[LAYERS.rest].weight_bytes


@pytest.mark.slow
@pytest.mark.parametrize(("flavour", "giga"), [(Flavour.COPIED, 2346.786), (Flavour.OWN, 2436.175)])
def test_full_size_totals_are_the_fact_sheets(flavour, giga):
    costs = graph_cost(
        step_graph(TransformerConfig(flavour=flavour)),
        {**SIZES, "height": 64, "width": 64, "tokens": 1024, "text": 333},
        LAYERS,
    )
    assert total(costs).macs / 2 / 1e9 == pytest.approx(giga, abs=5e-4)


@pytest.mark.parametrize(
    ("operator", "name", "weights", "group"),
    [
        ("MatMul", "n", ["network.blocks.3.attn2.lr_qkv.weight"], "LR queries, keys, values"),
        ("JointAttentionDual", "n", ["network.blocks.0.attn2.norm_q"], "dual attention"),
        ("JointAttentionFinal", "n", [], "joint attention"),
        ("Softmax", "x_JointAttentionDual_y", [], "dual attention"),
        ("Conv", "DepthwiseInject_1", [], "LR injection"),
        ("FusedMatMul", "n", ["network.blocks.1.text_expand.weight"], "text MLP"),
        ("Mul", "n", [], LAYERS.rest),
    ],
)
def test_groups(operator, name, weights, group):
    assert group_of(Node(operator, name, weights), LAYERS) == group


def test_what_a_runtime_inlined_belongs_to_the_operator_it_stands_in():
    """Both attentions call one inner function, whose nodes carry its name and not the operators'."""
    inner = "_inlfunc_TRT_Attention_token_7_val_"
    nodes = [
        Node(
            "MatMul",
            "_inlfunc_TRT_Attention_token_7_node_1",
            (),
            ["_inlfunc_JointAttentionDual_q"],
            [f"{inner}1"],
        ),
        Node("Softmax", "_inlfunc_TRT_Attention_token_7_node_2", (), [f"{inner}1"], [f"{inner}2"]),
        Node("MatMul", "_inlfunc_TRT_Attention_node_1", (), ["_inlfunc_JointAttention_q"], ["a"]),
        Node("Tanh", "", (), ["b"], ["_inlfunc_Gelu_token_2_tanh"]),
        Node("Mul", "", (), ["_inlfunc_Gelu_token_2_tanh"], ["_inlfunc_DepthwiseInject_tmp"]),
        Node("Mul", "_inlfunc_Gelu_token_2_last", (), ["c"], ["_inlfunc_DepthwiseInject_token_1_tmp"]),
        Node("Tanh", "", (), ["linear_12"], ["_inlfunc_Gelu_tanh"]),
    ]
    assert groups_of(nodes, LAYERS) == [
        *["dual attention"] * 2,
        "joint attention",
        *["LR injection"] * 3,
        LAYERS.rest,
    ]


def test_costs_add_up():
    cost = total({"a": Cost(1, 2, 3), "b": Cost(10, 20, 30)})
    assert (cost.flops, cost.bytes) == (22, 55)
