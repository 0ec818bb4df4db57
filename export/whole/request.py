"""One run of ``dit4sr-export BUNDLE --whole FILE``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from dit4sr.export.whole.components import components
from dit4sr.export.whole.graph import WholeGraph
from dit4sr.export.whole.picture import refuse_unknown
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.drafts import draft_folder
from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.settings import Settings, TileSizes
from dit4sr.runtime.upscaler import Upscaler

MOST_IN_ONE_FILE = 1 << 30
"""Bytes of weights up to which they are in the graph's own file; a message of ONNX holds two of these."""


@dataclass(frozen=True)
class Outcome:
    """A graph that was written, and what is to be known to run it."""

    words: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class WholeRequest:
    """Which bundle to write as one graph, and all that is fixed in it."""

    bundle: Path
    output: Path
    settings: Settings
    size: tuple[int, int] | None = None
    """Width and height of the picture that goes in; by default what becomes the training tile."""
    prompt: str | None = None
    is_unrolled: bool = False
    replace: bool = False

    def run(self) -> Outcome:
        """Write the graph, whole or not at all."""
        if self.output.suffix != ".onnx":
            raise BadInputError(f"--whole {self.output}", expected="a name that ends in .onnx")
        if self.output.exists() and not self.replace:
            raise BadInputError(f"{self.output} exists", fix="choose another name, or say --force")
        whole = self.graph()
        _write(whole.model(), self.output, replace=self.replace)
        width, height = whole.geometry.source
        final_width, final_height = whole.geometry.final
        details = {
            "file": str(self.output),
            "picture": [height, width, 3],
            "noise": list(whole.noise_shape),
            "restored": [final_height, final_width, 3],
            "steps": whole.plan.schedule.steps,
            "guidance": whole.plan.schedule.guidance.scale,
            "unrolled": self.is_unrolled,
        }
        words = (
            f"{self.output}: picture {width}×{height} and noise {'×'.join(map(str, whole.noise_shape))} in, "
            f"{final_width}×{final_height} out, {whole.plan.schedule.steps} steps"
        )
        return Outcome(words, details)

    def graph(self) -> WholeGraph:
        """All that the graph is made of; refuses what does not fit into one tile."""
        refuse_unknown(self.settings.colour)
        bundle = Bundle.open(self.bundle)
        if shown := bundle.manifest.image_encoders:
            raise BadInputError(
                f"{self.bundle} shows its pictures to {shown[0]}",
                expected="a network that text alone prompts",
                fix="restore with Upscaler",
            )
        with Upscaler(bundle, backend="onnxruntime", device="cpu", use_cache=False) as upscaler:
            card = upscaler.card
            side = max(round(card.training_tile * card.vae_factor / self.settings.scale), 1)
            geometry = upscaler.geometry(*(self.size or (side, side)), self.settings)
            plan = Plan.of(geometry, self.settings, card, TileSizes.of(self.settings, card))
            if not plan.tiling.is_whole or not plan.vae_tiling.is_whole:
                width, height = geometry.work
                raise BadInputError(
                    f"a picture of {width}×{height} takes {len(plan.tiling.tiles)} tiles",
                    expected="one tile",
                    fix="take a smaller --size",
                )
            prompts = upscaler.embeddings(self.settings, plan.schedule.branches, self.prompt)
        return WholeGraph(
            bundle,
            self.settings,
            geometry,
            plan,
            tuple(prompts),
            components(bundle, is_for_compilers=self.is_unrolled),
            self.is_unrolled,
        )


def _write(model: onnx.ModelProto, output: Path, *, replace: bool) -> None:
    """Write a graph; its weights beside it, in ``FILE.onnx.data``, where they are too many for one file."""
    weights = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if weights <= MOST_IN_ONE_FILE:
        write_whole(output, model.SerializeToString(), replace=replace)
        return
    data = output.with_name(f"{output.name}.data")
    with draft_folder(output) as draft:
        onnx.save_model(model, draft / output.name, save_as_external_data=True, location=data.name)
        # The graph last: whoever finds it finds its weights.
        for file in (data, output):
            (draft / file.name).replace(file)
