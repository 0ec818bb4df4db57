"""The released state dict at full size, and the proof of what in it is dead."""

from __future__ import annotations

import math

from support.networks import inputs_for, seeded_transformer, tiny_config

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig
from dit4sr.export.architectures.dit4sr.layout import (
    discarded_tensors,
    lr_tensors,
    meta_transformer,
    read_tensors,
    released_layout,
    unread_tensors,
)
from dit4sr.export.architectures.dit4sr.summary import parameter_groups
from dit4sr.export.architectures.mmdit.patches import POSITION_TABLE


def parameters(layout, keys=None) -> int:
    return sum(math.prod(layout[key]) for key in keys or layout if key != POSITION_TABLE)


def test_full_size_is_the_published_model():
    layout = released_layout(TransformerConfig())
    assert len(layout) == 1383
    assert parameters(layout) == 2_716_814_144
    assert math.prod(layout[POSITION_TABLE]) == 226_492_416


def test_tensors_per_block():
    keys = released_layout(TransformerConfig())
    per_block = [sum(key.startswith(f"transformer_blocks.{i}.") for key in keys) for i in range(24)]
    assert per_block == [70] * 13 + [42] * 10 + [36]


def test_live_parameters_of_both_flavours():
    live = {}
    for flavour in Flavour:
        config = TransformerConfig(flavour=flavour)
        layout = released_layout(config)
        live[flavour] = parameters(layout) - sum(
            math.prod(layout[key]) for key in unread_tensors(config).keys() | discarded_tensors(config)
        )
    assert live == {Flavour.COPIED: 2_504_337_536, Flavour.OWN: 2_591_688_320}


def test_trained_part():
    config = TransformerConfig()
    assert parameters(released_layout(config), lr_tensors(config)) == 350_877_696


def test_parameter_table_of_the_fact_sheet():
    groups = {g.name: g for g in parameter_groups(TransformerConfig())}
    every = {name: group.live + group.dead for name, group in groups.items()}
    assert every == {
        "AdaLN, image streams": 432_032_256,
        "AdaLN, text stream": 330_516_480,
        "AdaLN, output": 4_721_664,
        "joint attention": 450_918_912,
        "dual attention": 122_763_264,
        "query and key norms": 7_808,
        "MLP, image streams": 453_169_152,
        "MLP, text stream": 434_287_104,
        "embedders, output": 14_754_880,
        "LR projections": 349_403_136,
        "LR injection": 1_474_560,
        "dual attention, text side": 122_764_928,
    }
    base = sum(every[name] for name, group in groups.items() if group.origin == "SD3.5-Medium")
    assert base == 2_243_171_520


def test_dead_tensors_are_exactly_those_without_a_gradient(config):
    """What the layout calls discarded never moves the output; everything else it reads does."""
    model = seeded_transformer(config).requires_grad_(True)
    model(**inputs_for(config)).square().sum().backward()
    still = {
        name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()
    }
    assert still == discarded_tensors(config)


def test_the_position_table_is_the_only_buffer():
    model = seeded_transformer(tiny_config())
    assert [name for name, _ in model.named_buffers()] == [POSITION_TABLE]
    assert set(read_tensors(tiny_config())) == set(model.state_dict())


def test_the_full_size_model_can_be_had_without_its_memory():
    assert all(tensor.is_meta for tensor in meta_transformer(TransformerConfig()).state_dict().values())
