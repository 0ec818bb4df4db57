"""Products per forward, against the fact sheet's table (which is torch's count of the released modules)."""

from __future__ import annotations

import pytest

from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig, Variant
from dit4sr.export.architectures.dit4sr.cost import released_macs, simplified_macs
from dit4sr.export.architectures.summary import tera_flops

COPIED, OWN = Flavour.COPIED, Flavour.OWN

# Group: released at 154 and 333 text tokens; simplified at 333, copied and own. In GMAC, two decimals.
TABLE = {
    "noise queries, keys, values": (268.17, 268.17, 268.17, 268.17),
    "LR queries, keys, values": (536.33, 536.33, 178.78, 268.17),
    "text queries, keys, values": (26.16, 56.57, 55.78, 55.78),
    "joint attention": (357.49, 417.98, 415.54, 415.54),
    "dual attention": (167.50, 167.50, 167.50, 167.50),
    "noise output": (89.39, 89.39, 89.39, 89.39),
    "LR output": (89.39, 89.39, 89.39, 89.39),
    "text output": (8.36, 18.07, 18.07, 18.07),
    "noise MLP": (463.86, 463.86, 463.86, 463.86),
    "LR MLP": (463.86, 463.86, 454.19, 454.19),
    "LR injection": (1.36, 1.36, 1.36, 1.36),
    "text MLP": (66.85, 144.56, 144.56, 144.56),
    "AdaLN, time, pooled text": (0.78, 0.78, 0, 0),
    "patches, context, velocity": (1.27, 2.40, 0.20, 0.20),
}


def giga(macs) -> dict[str, float]:
    return {group: round(count / 1e9, 2) for group, count in macs.items()}


@pytest.mark.parametrize("flavour", Flavour)
@pytest.mark.parametrize(("tokens", "column"), [(154, 0), (333, 1)])
def test_released_products(flavour, tokens, column):
    found = giga(released_macs(TransformerConfig(flavour=flavour), (64, 64), tokens))
    assert found == {group: row[column] for group, row in TABLE.items()}


@pytest.mark.parametrize(("flavour", "column"), [(COPIED, 2), (OWN, 3)])
def test_simplified_products(flavour, column):
    found = giga(simplified_macs(TransformerConfig(flavour=flavour), (64, 64), 333))
    assert found == {group: row[column] for group, row in TABLE.items()}


@pytest.mark.parametrize(
    ("flavour", "tokens", "released", "simplified"),
    [
        (COPIED, 154, 2540.763, 2170.293),
        (COPIED, 333, 2720.198, 2346.786),
        (OWN, 154, 2540.763, 2259.682),
        (OWN, 333, 2720.198, 2436.175),
    ],
)
def test_totals(flavour, tokens, released, simplified):
    config = TransformerConfig(flavour=flavour)
    assert sum(released_macs(config, (64, 64), tokens).values()) / 1e9 == pytest.approx(released, abs=5e-4)
    assert sum(simplified_macs(config, (64, 64), tokens).values()) / 1e9 == pytest.approx(
        simplified, abs=5e-4
    )


def test_a_picture_at_the_published_settings():
    per_picture = {"rows": 2, "steps": 40}
    copied, own = (TransformerConfig(flavour=flavour) for flavour in (COPIED, OWN))
    assert tera_flops(released_macs(copied, (64, 64), 333), **per_picture) == pytest.approx(435.2, abs=0.05)
    assert tera_flops(simplified_macs(copied, (64, 64), 333), **per_picture) == pytest.approx(375.5, abs=0.05)
    assert tera_flops(simplified_macs(own, (64, 64), 333), **per_picture) == pytest.approx(389.8, abs=0.05)


@pytest.mark.parametrize(
    ("variant", "totals"),
    [
        (Variant.A, (2279, 2432)),
        (Variant.B, (2541, 2720)),
        (Variant.C, (2539, 2719)),
        (Variant.D, (3467, 3647)),
    ],
)
def test_ablations(variant, totals):
    config = TransformerConfig(flavour=OWN, variant=variant)
    found = (round(sum(released_macs(config, (64, 64), tokens).values()) / 1e9) for tokens in (154, 333))
    assert tuple(found) == totals


def test_blocks_at_the_published_setting_reconcile_with_another_paper():
    """Q-DiT4SR counts 170,476 G at full precision: linear layers in blocks and AdaLN, 40 steps, two rows."""
    macs = released_macs(TransformerConfig(), (64, 64), 333)
    inside = sum(
        count
        for group, count in macs.items()
        if group not in {"joint attention", "dual attention", "LR injection", "patches, context, velocity"}
    )
    embedders = 256 * 1536 + 1536 * 1536 + 2048 * 1536 + 1536 * 1536
    assert (inside - embedders) * 2 * 40 / 1e9 == pytest.approx(170_476.31, abs=0.01)
