"""Parameters and multiply-accumulates at full size, against the fact sheet's figures."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from support.controlled import narrow_config

from dit4sr.export import architectures
from dit4sr.export.architectures.mmdit.stack import Stack
from dit4sr.export.architectures.sd3_controlnet import ARCHITECTURE
from dit4sr.export.architectures.sd3_controlnet.config import SMALLEST, ControlPooled, SystemConfig
from dit4sr.export.architectures.sd3_controlnet.layout import (
    discarded_tensors,
    is_position_table,
    layout_of,
    released_layout,
)
from dit4sr.export.architectures.sd3_controlnet.recipes import denoiser_recipes, prepare_recipes
from dit4sr.export.reports.describe import describe, format_description
from dit4sr.export.weights.folds import sources


@pytest.fixture(scope="module")
def full_size():
    return describe(name="sd3-controlnet")


def of_control(summary) -> int:
    return sum(group.live + group.dead for group in summary.parameters if group.origin == "control net")


def test_the_papers_baseline_has_the_papers_size(full_size):
    assert full_size.live + full_size.dead == 3_504_341_184
    assert of_control(full_size.summary) == 1_261_169_664
    assert len(layout_of("controlnet", SystemConfig())) == 543
    text = format_description(full_size)
    assert "3,504,341,184" in text
    assert "3,504.341 M parameters; the DiT4SR paper states 3,504.4 M for SD3-ControlNet (-0.059 M)" in text
    assert "residual rule float" in text


def test_sixteen_extra_channels_are_counted_and_given_zeros():
    found = describe(None, {"extra_channels": 16}, name="sd3-controlnet")
    assert found.live + found.dead == 3_504_439_488
    assert "16 extra channels of the condition, which are given zeros" in found.summary.notes


@pytest.mark.parametrize(("layers", "millions"), [(6, 2881.1), (13, 3608.2)])
def test_other_depths_are_not_the_papers(layers, millions):
    config = SystemConfig(control=Stack(layers, tuple(range(layers)))).to_json()
    summary = ARCHITECTURE.summary(config, (512, 512), 333)
    total = sum(group.live + group.dead for group in summary.parameters)
    assert round(total / 1e6, 1) == millions
    assert not any("paper" in note for note in summary.notes)


@pytest.mark.parametrize(("text_tokens", "whole", "control"), [(154, 1705, 637), (333, 1937, 715)])
def test_multiply_accumulates_are_the_fact_sheets(text_tokens, whole, control):
    released = ARCHITECTURE.summary(SystemConfig().to_json(), (512, 512), text_tokens).released
    assert round(sum(released.values()) / 1e9) == whole
    beside = sum(count for group, count in released.items() if group.startswith(("control net", "residuals")))
    # Its embedders and AdaLN, 2.5 G, are in one group with the backbone's.
    assert control - 3 < beside / 1e9 < control - 2


def test_the_page_says_what_both_systems_multiply():
    counts = []
    for name in ("sd3-controlnet", "dit4sr"):
        system = architectures.named(name)
        for tokens in (154, 333):
            summary = system.summary(system.published({}), (512, 512), tokens)
            counts += [sum(macs.values()) / 1e9 for macs in (summary.released, summary.simplified)]
    controlled, ours = counts[:4], counts[4:]
    page = (Path(__file__).parents[4] / "docs" / "systems.md").read_text()
    assert f"| SD3-ControlNet | {' | '.join(f'{count:.1f}' for count in controlled)} |" in page
    assert f"`copied` | {' | '.join(f'{count:.1f}' for count in ours)} |" in page
    ratios = [f"{one / other:.2f}" for one, other in zip(controlled, ours, strict=True)]
    assert f"to DiT4SR | {' | '.join(ratios)} |" in page


@pytest.mark.parametrize(
    "config",
    [
        SMALLEST,
        narrow_config(Stack(24, tuple(range(13))), Stack(23, tuple(range(13)))),
        narrow_config(Stack(4), Stack(4), control_pooled=ControlPooled.TEXT),
    ],
)
def test_what_is_discarded_is_what_no_recipe_reads(config):
    recipes = [*prepare_recipes(config).values(), *denoiser_recipes(config).values()]
    read = {key for recipe in recipes for key in sources(recipe)}
    unread = {key for key in released_layout(config).keys() - read if not is_position_table(key)}
    assert unread == discarded_tensors(config)


def test_the_last_control_block_has_no_text_side():
    """23 layers by the rule of today: nobody reads the last residual, so the block before it is the last."""
    config = narrow_config(Stack(24), Stack(23))
    discarded = discarded_tensors(config)
    blocks = "controlnet.transformer_blocks"
    assert f"{blocks}.22.attn.to_q.weight" in discarded
    assert f"{blocks}.21.ff_context.net.2.bias" in discarded
    assert f"{blocks}.21.attn.add_k_proj.weight" not in discarded
    assert math.prod(released_layout(config)["controlnet.controlnet_blocks.22.weight"]) == config.width**2
