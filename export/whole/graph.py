"""The whole graph: enlarge, encode, prepare, the loop over the step, decode, colours.

Everything that is the same for all pictures is a constant: sizes, prompts, positions, schedule. A picture and
noise are what is left to be asked for. ``picture`` is ``[height, width, 3]`` of uint8; ``noise`` is
``[1 + branches, channels, h, w]``, normal: where the loop begins, then one for the encoder's Gaussian of each
branch, if it is drawn from. What comes out is ``restored``, ``[height, width, 3]`` of uint8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from dit4sr.export.whole.colour import TOP
from dit4sr.export.whole.nodes import Nodes, Tensor
from dit4sr.export.whole.picture import coloured, resized
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.image.geometry import Geometry
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.prompt.embedding import Embedding
from dit4sr.runtime.sampling.conditions import (
    POSITIONS,
    input_names,
    outputs_of_steps,
    read_by,
    stacked,
)
from dit4sr.runtime.sampling.positions import sine_cosine_positions
from dit4sr.runtime.settings import Settings

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class WholeGraph:
    """What a whole graph is made of."""

    bundle: Bundle
    settings: Settings
    geometry: Geometry
    plan: Plan
    prompts: tuple[Embedding, ...]
    """Of the branches, negative before positive."""
    components: Mapping[str, onnx.ModelProto]
    """Graphs without functions, their weights with them."""
    is_unrolled: bool = False
    """One copy of the step for each run, instead of a loop."""

    def model(self) -> onnx.ModelProto:
        """Put it together."""
        card, geometry = self.bundle.card, self.geometry
        width, height = geometry.work
        nodes = Nodes()
        picture = nodes.add("Transpose", nodes.cast("picture", np.float32), perm=[2, 0, 1])
        chain = [geometry.source, geometry.lifted, geometry.enlarged, geometry.work]
        style = resized(nodes, picture, chain)
        # Divided and not multiplied, as in the runtime: a last bit can become a level.
        image = nodes.add("Sub", nodes.add("Div", style, nodes.constant(TOP / 2)), nodes.constant(1))
        image = nodes.add("Unsqueeze", image, nodes.constant([0], np.int64))
        moments = self._inline(nodes, "vae_encoder", {"image": image})["moments"]
        latent = self._sampled(nodes, self._condition(nodes, moments))
        latent = nodes.add("Div", latent, nodes.constant(card.scaling))
        latent = nodes.add("Add", latent, nodes.constant(card.shift))
        decoded = self._inline(nodes, "vae_decoder", {"latent": latent})["image"]
        decoded = nodes.reshaped(decoded, [3, height, width])
        levels = coloured(nodes, self.settings.colour, decoded, style)
        levels = resized(nodes, levels, [geometry.work, geometry.final])
        levels = nodes.add("Transpose", levels, perm=[1, 2, 0])
        nodes.add("Cast", levels, output="restored", to=TensorProto.UINT8)
        return self._closed(nodes)

    @property
    def noise_shape(self) -> tuple[int, int, int, int]:
        """Of the input ``noise``."""
        card, (width, height) = self.bundle.card, self.geometry.work
        drawn = self.plan.schedule.branches if self.settings.sample_posterior else 0
        return 1 + drawn, card.latent_channels, height // card.vae_factor, width // card.vae_factor

    def _inline(
        self, nodes: Nodes, name: str, feeds: Mapping[str, Tensor], copy: str = ""
    ) -> dict[str, Tensor]:
        return nodes.inline(name, self.components[name].graph, feeds, copy)

    def _condition(self, nodes: Nodes, moments: Tensor) -> Tensor:
        """The scaled low-resolution latent of each branch."""
        card, branches = self.bundle.card, self.plan.schedule.branches
        channels = card.latent_channels
        mean = nodes.part(moments, 0, channels, axis=1)
        if not self.settings.sample_posterior:
            drawn = nodes.add("Concat", *[mean] * branches, axis=0)
        else:
            log_variance = nodes.part(moments, channels, 2 * channels, axis=1)
            bounded = nodes.add("Clip", log_variance, nodes.constant(-30), nodes.constant(20))
            spread = nodes.add("Exp", nodes.add("Mul", bounded, nodes.constant(0.5)))
            noise = nodes.part("noise", 1, 1 + branches)
            drawn = nodes.add("Add", mean, nodes.add("Mul", spread, noise))
        return nodes.add(
            "Mul", nodes.add("Sub", drawn, nodes.constant(card.shift)), nodes.constant(card.scaling)
        )

    def _sampled(self, nodes: Nodes, condition: Tensor) -> Tensor:
        """The restored latent."""
        prepare, step = (self.bundle.components[name] for name in ("prepare", "step"))
        schedule, reads = self.plan.schedule, input_names(prepare)
        known = {
            "condition": condition,
            "timesteps": nodes.constant(schedule.timesteps),
            POSITIONS: self._positions(nodes),
            **{name: nodes.constant(values) for name, values in stacked(self.prompts, reads).items()},
        }
        made = self._inline(nodes, "prepare", {name: known[name] for name in reads})
        of_steps = {name: made[name] for name in outputs_of_steps(prepare) if name in input_names(step)}
        of_rows = {name: made[name] for name in read_by(step, made) if name not in of_steps}
        fixed = {POSITIONS: known[POSITIONS]} if POSITIONS in input_names(step) else {}
        start = nodes.part("noise", 0, 1)
        loop = self._unrolled if self.is_unrolled else self._looped
        return loop(nodes, start, of_rows, of_steps, fixed)

    def _unrolled(
        self,
        nodes: Nodes,
        latent: Tensor,
        of_rows: dict[str, Tensor],
        of_steps: dict[str, Tensor],
        fixed: dict[str, Tensor],
    ) -> Tensor:
        schedule = self.plan.schedule
        velocity = nodes.constant(np.zeros((1, *self.noise_shape[1:])))
        weights = schedule.weights(self.bundle.components["step"])
        for step, values in enumerate(weights):
            first = schedule.branches - len(values)

            def rows(tensor: Tensor, first: int = first) -> Tensor:
                return nodes.part(tensor, first, schedule.branches) if first else tensor

            at_step = _rows_at(nodes, nodes.constant(step, np.int64), of_steps)
            answer = self._inline(
                nodes,
                "step",
                {
                    **fixed,
                    **{name: rows(tensor) for name, tensor in {**of_rows, **at_step}.items()},
                    "latent": latent,
                    "previous_velocity": velocity,
                    "guidance": nodes.constant(values),
                    "coefficients": nodes.constant(schedule.coefficients[step]),
                },
                copy=f"_{step}",
            )
            latent, velocity = answer["next_latent"], answer["velocity"]
        return latent

    def _looped(
        self,
        nodes: Nodes,
        latent: Tensor,
        of_rows: dict[str, Tensor],
        of_steps: dict[str, Tensor],
        fixed: dict[str, Tensor],
    ) -> Tensor:
        schedule, shape = self.plan.schedule, (1, *self.noise_shape[1:])
        # A loop's shapes do not change: where the positive branch stands alone, the negative weighs nothing.
        weights = [
            np.pad(each, (schedule.branches - len(each), 0))
            for each in schedule.weights(self.bundle.components["step"])
        ]
        tables = {
            "guidance": nodes.constant(np.stack(weights)),
            "coefficients": nodes.constant(schedule.coefficients),
        }
        body = Nodes(nodes, "loop/")
        at_step = _rows_at(body, "loop/step", {**of_steps, **tables})
        answer = self._inline(
            body,
            "step",
            {**fixed, **of_rows, **at_step, "latent": "loop/latent", "previous_velocity": "loop/velocity"},
        )
        going_on = body.add("Identity", "loop/condition")
        value, kind = helper.make_tensor_value_info, TensorProto.FLOAT
        graph = helper.make_graph(
            body.nodes,
            "loop",
            [
                value("loop/step", TensorProto.INT64, []),
                value("loop/condition", TensorProto.BOOL, []),
                *(value(f"loop/{name}", kind, shape) for name in ("latent", "velocity")),
            ],
            [
                value(going_on, TensorProto.BOOL, []),
                *(value(answer[name], kind, shape) for name in ("next_latent", "velocity")),
            ],
        )
        nodes.nodes.append(
            helper.make_node(
                "Loop",
                [
                    nodes.constant(schedule.steps, np.int64),
                    nodes.constant(True, np.bool_),
                    latent,
                    nodes.constant(np.zeros(shape)),
                ],
                ["sampled", "last_velocity"],
                name="loop",
                body=graph,
            )
        )
        return "sampled"

    def _positions(self, nodes: Nodes) -> Tensor:
        table, patch = self.bundle.card.positions, self.bundle.card.patch_size
        if table is None:
            return ""
        height, width = self.noise_shape[2:]
        return nodes.constant(
            sine_cosine_positions(
                (height // patch, width // patch),
                width=table.width,
                table_size=table.table_size,
                base_size=table.base_size,
            )
        )

    def _closed(self, nodes: Nodes) -> onnx.ModelProto:
        (width, height), (final_width, final_height) = self.geometry.source, self.geometry.final
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes.nodes,
            self.bundle.card.name,
            [
                value("picture", TensorProto.UINT8, [height, width, 3]),
                value("noise", TensorProto.FLOAT, self.noise_shape),
            ],
            [value("restored", TensorProto.UINT8, [final_height, final_width, 3])],
            nodes.constants,
        )
        models = list(self.components.values())
        imports = [each for model in models for each in model.opset_import]
        # Ours are of functions, of which none are left.
        opsets = {each.domain: each.version for each in imports if not each.domain.startswith("dit4sr")}
        return helper.make_model(
            graph,
            producer_name="dit4sr",
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()],
            ir_version=max(model.ir_version for model in models),
        )


def _rows_at(nodes: Nodes, step: Tensor, tables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What some tables hold of a step."""
    return {name: nodes.add("Gather", table, step, axis=0) for name, table in tables.items()}
