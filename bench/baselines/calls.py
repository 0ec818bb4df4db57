"""What else a user could run: the alternatives that take turns with our step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dit4sr.bench.baselines.ablations import graph_call
from dit4sr.bench.baselines.blueprint import require_torch, transformer_config
from dit4sr.bench.baselines.released import torch_step
from dit4sr.bench.measure.stopwatch import Call
from dit4sr.bench.subject import Subject
from dit4sr.bench.workload import Workload

EAGER, COMPILED, PLAIN = "eager", "compile", "plain"
SAYS = {
    EAGER: "the released formulation in eager torch",
    COMPILED: "the released formulation through torch.compile",
    PLAIN: "the released network as torch exports it, in the same runtime",
}
NAMES = tuple(SAYS)


@dataclass(frozen=True)
class Baselines:
    """Makes the calls of the alternatives, each one step of the same workload."""

    subject: Subject
    workload: Workload
    folder: Path
    """For graphs, as long as the calls are used."""

    def call(self, name: str) -> Call:
        """One step of a baseline."""
        require_torch()
        if name == PLAIN:
            return self._plain()
        device = self.subject.backend.device
        return torch_step(
            self.subject.bundle,
            self.workload,
            device=device,
            threads=self.subject.threads,
            is_compiled=name == COMPILED,
        )

    def _plain(self) -> Call:
        from dit4sr.export.architectures.dit4sr.formulations import write_plain_step  # noqa: PLC0415  (torch)

        bundle, folder = self.subject.bundle, self.folder / PLAIN
        folder.mkdir()
        written = write_plain_step(transformer_config(bundle), bundle.card.precision, folder)
        return graph_call(self.subject, *written, self.workload)
