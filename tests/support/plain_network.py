"""A network unlike SD3.5: no positions, no pooled vector, and one prompt tensor of its own or none at all.

It answers every place of the latent by itself, so that a picture in tiles is the picture in one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from support.runtime_system import (
    BUILDERS,
    CARD,
    CHANNELS,
    SPECS,
    Graph,
    Part,
    toy_weights,
    write_network,
)

PLAIN_CARD = replace(CARD, positions=None, text_tokens=0, text_channels=0, pooled_channels=0)

PREPARE = (
    [f"condition: rows {CHANNELS} h w", "timesteps: steps"],
    [f"low: rows {CHANNELS} h w", f"unread: rows {CHANNELS} h w", "pace: steps rows"],
)
STEP = (
    [
        f"latent: images {CHANNELS} h w",
        f"previous_velocity: images {CHANNELS} h w",
        "guidance: branches",
        "coefficients: 3",
        f"low: rows {CHANNELS} h w",
        "pace: rows",
    ],
    [f"next_latent: images {CHANNELS} h w", f"velocity: images {CHANNELS} h w"],
)
STYLE, TINT = f"style: rows {CHANNELS}", f"tint: rows {CHANNELS}"


def styles() -> dict[str, dict[str, np.ndarray]]:
    """Two stored prompts of one tensor that no other network has heard of."""
    rng = np.random.default_rng(3)
    return {
        side: {"style": rng.normal(size=CHANNELS).astype(np.float32)} for side in ("negative", "positive")
    }


def write_plain_bundle(folder: Path, *, styled: bool) -> Path:
    """The network with its VAE; if ``styled``, with prompts."""
    extra = ([STYLE], [TINT]) if styled else ([], [])
    parts = {name: Part(SPECS[name], BUILDERS[name]) for name in ("vae_encoder", "vae_decoder")}
    parts["prepare"] = Part(
        (PREPARE[0] + extra[0], PREPARE[1] + extra[1]), lambda g: _prepare(g, styled=styled)
    )
    parts["step"] = Part((STEP[0] + extra[1], STEP[1]), lambda g: _step(g, styled=styled))
    return write_network(folder, parts, toy_weights(), PLAIN_CARD, styles() if styled else {})


def velocity(latent: np.ndarray, low: np.ndarray, time: float, style: np.ndarray | None = None) -> np.ndarray:
    """What the network answers for one branch, in NumPy."""
    answer = np.tanh(latent - 0.5 * low) * (1 + np.sin(time))
    return answer if style is None else answer + 2 * style[:, None, None]


def _prepare(g: Graph, *, styled: bool) -> dict[str, str]:
    rows = g("Slice", g("Shape", "condition"), [0], [1])
    pace = g("Add", g("Sin", "timesteps"), np.float32(1))
    made = {
        "low": g("Mul", "condition", np.float32(0.5)),
        "unread": g("Neg", "condition"),
        "pace": g("Expand", g("Unsqueeze", pace, [1]), g("Concat", [1], rows, axis=0)),
    }
    return made | ({"tint": g("Mul", "style", np.float32(2))} if styled else {})


def _step(g: Graph, *, styled: bool) -> dict[str, str]:
    shape = g("Shape", "latent")
    branches = g("Concat", g("Shape", "guidance"), shape, axis=0)
    sides = g("Concat", [-1], g("Slice", shape, [1], [4]), axis=0)
    rows = g("Reshape", g("Expand", g("Unsqueeze", "latent", [0]), branches), sides)
    answer = g("Mul", g("Tanh", g("Sub", rows, "low")), g("Unsqueeze", "pace", [1, 2, 3]))
    if styled:
        answer = g("Add", answer, g("Unsqueeze", "tint", [2, 3]))
    weighted = g("Mul", g("Reshape", "guidance", [-1, 1, 1, 1, 1]), g("Reshape", answer, branches))
    found = g("ReduceSum", weighted, [0], keepdims=0)
    a, b, c = g("Split", "coefficients", outputs=3, axis=0, num_outputs=3)
    moved = g("Add", g("Mul", a, "latent"), g("Mul", b, found))
    return {"next_latent": g("Add", moved, g("Mul", c, "previous_velocity")), "velocity": found}
