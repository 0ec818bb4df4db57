"""The cold start in torch: from which checkpoint, and what its picture is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dit4sr.bench.accuracy.rows import FP32, compared
from dit4sr.bench.baselines.released import write_checkpoint
from dit4sr.bench.config import BenchConfig
from dit4sr.bench.measure.cold_start import ColdStart, released
from dit4sr.bench.record import OURS, AccuracyRow
from dit4sr.bench.subject import Subject
from dit4sr.runtime.files.reading import sha256_of

EAGER = "eager"
LARGEST = 500 << 20
"""Bytes of a bundle above which no checkpoint of random weights is written for it."""


@dataclass(frozen=True)
class TorchStart:
    """Torch and diffusers on the checkpoint that was named, or on one of the same size."""

    config: BenchConfig
    subject: Subject
    folder: Path
    notes: list[str]

    def contenders(self) -> dict[str, ColdStart]:
        """The cold start in torch by its name, if eager torch is among the baselines and can run."""
        if not self.config.cold_runs or EAGER not in self.config.baselines:
            return {}
        checkpoint = self._checkpoint()
        if checkpoint is None:
            return {}
        return {EAGER: released(self.subject, checkpoint, threads=self.config.threads)}

    def compared_pictures(self) -> list[AccuracyRow]:
        """Where torch ran the weights that the bundle was made of, its picture is the FP32 result."""
        checkpoint = self.config.checkpoint
        files = [self.folder / f"{name}.png" for name in (OURS, EAGER)]
        if checkpoint is None or not all(file.is_file() for file in files):
            return []
        if not self._is_origin(checkpoint):
            self.notes.append(
                f"the picture in torch as FP32 result: {checkpoint.name} holds other weights than the bundle"
            )
            return []
        found, wanted = (np.asarray(Image.open(file)) for file in files)
        name, metrics = self.subject.picture.name, self.config.metrics
        return [compared(name, f"{FP32}, torch", found, wanted, metrics)]

    def _checkpoint(self) -> Path | None:
        bundle = self.subject.bundle
        if self.config.settings.preset is not None:
            self.notes.append("cold start in torch: not measured for a preset, of which its loop knows none")
            return None
        if "positive" not in bundle.manifest.embeddings:
            self.notes.append("cold start in torch: not measured for a bundle that stores no prompts")
            return None
        if self.subject.tiles > 1:
            self.notes.append("cold start in torch: not measured for a picture of several tiles")
            return None
        if self.config.checkpoint is not None:
            return self.config.checkpoint
        if sum(file.bytes for file in bundle.manifest.files()) > LARGEST:
            self.notes.append("cold start in torch: not measured at this size without --checkpoint")
            return None
        checkpoint = write_checkpoint(bundle, self.folder / "checkpoint")
        if checkpoint is None:
            self.notes.append("cold start in torch: not measured, for the bundle's VAE is none of diffusers'")
        return checkpoint

    def _is_origin(self, checkpoint: Path) -> bool:
        """True if the bundle's manifest names these very weights."""
        known = self.subject.bundle.manifest.provenance.checkpoint.values()
        parts = ("transformer", "vae")
        weights = [file for part in parts for file in sorted((checkpoint / part).glob("*.safetensors"))]
        return bool(weights) and all(sha256_of(file) in known for file in weights)
