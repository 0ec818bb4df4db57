"""What else a user could run: the alternatives that take turns with our step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dit4sr.bench.baselines.graphs import StepGraph
from dit4sr.bench.baselines.reference import reference_of
from dit4sr.bench.baselines.torch_step import torch_step
from dit4sr.bench.measure.stopwatch import Call
from dit4sr.bench.subject import Subject
from dit4sr.bench.workload import Workload

EAGER, COMPILED, PLAIN = "eager", "compile", "plain"
"""The released formulation in eager torch and through torch.compile; the network as torch exports it."""


@dataclass(frozen=True)
class Baselines:
    """Makes the calls of the alternatives, each one step of the same workload."""

    subject: Subject
    workload: Workload
    folder: Path
    """For graphs, as long as the calls are used."""

    def call(self, name: str) -> Call:
        """One step of a baseline."""
        subject = self.subject
        plain = reference_of(subject.bundle).plain_step()
        if name == PLAIN:
            folder = self.folder / PLAIN
            folder.mkdir()
            return StepGraph.write(plain, subject.bundle.card, folder).call(subject, self.workload)
        return torch_step(
            plain,
            self.workload,
            precision=subject.bundle.card.precision,
            device=subject.backend.device,
            threads=subject.threads,
            is_compiled=name == COMPILED,
        )
