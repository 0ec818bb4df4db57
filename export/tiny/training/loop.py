"""The loop that all stages share: a network, its optimiser and its average, iterated, recorded and resumed.

The state is written as safetensors, atomically, with the generator that draws the noise: a training that was
stopped goes on as if it had not been.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dit4sr.export.tiny.recipe import Phase, Schedule
from dit4sr.export.tiny.training.average import Average
from dit4sr.export.tiny.training.state import damaged, read_state, write_state

Say = Callable[[str], None]
Loss = Callable[[Any], Tensor]


class Training:
    """The training of one network, from its first iteration or where it was stopped."""

    def __init__(
        self,
        name: str,
        network: nn.Module,
        schedule: Schedule,
        cycles: Sequence[Sequence[Phase]],
        *,
        folder: Path,
        seed: int,
    ) -> None:
        """Begin, or resume what ``folder`` holds; ``cycles`` has some phases for each rate."""
        self.name, self.network = name, network
        self.phases = [phase for cycle in cycles for phase in cycle for _ in range(phase.iterations)]
        """The phase of every iteration."""
        self.iterations, self.done = len(self.phases), 0
        device = next(network.parameters()).device
        self.generator = torch.Generator(device).manual_seed(seed)
        """Generator that all noise of the training is drawn from."""
        self.average = Average(network, schedule.average)
        self._schedule = schedule
        self._cycles = [sum(phase.iterations for phase in cycle) for cycle in cycles]
        self._settings = {
            "seed": seed,
            "schedule": asdict(schedule),
            "number and size of iterations": [[asdict(phase) for phase in cycle] for cycle in cycles],
        }
        self._optimiser = torch.optim.AdamW(
            network.parameters(), lr=schedule.rates[0], betas=(0.9, 0.99), weight_decay=schedule.decay
        )
        self._state, self._log = folder / f"{name}.state.safetensors", folder / f"{name}.log.jsonl"
        if self._state.is_file():
            self._resume()

    @property
    def is_complete(self) -> bool:
        """True if all iterations are done."""
        return self.done >= self.iterations

    def run(
        self, batches: Iterable[Any], loss_of: Loss, *, say: Say, report_every: int, save_every: int
    ) -> None:
        """Learn from every batch; batches begin where the last run stopped."""
        begin, summed, count = time.monotonic(), 0.0, 0
        for batch in batches:
            summed, count = summed + self._learn(loss_of(batch)), count + 1
            if self.done % report_every == 0 or self.is_complete:
                self._report(summed / count, (time.monotonic() - begin) / count, say)
                begin, summed, count = time.monotonic(), 0.0, 0
            if self.done % save_every == 0 or self.is_complete:
                self._save()

    def rate(self) -> float:
        """Learning rate of the current iteration."""
        schedule, done = self._schedule, self.done
        for highest, length in zip(schedule.rates, self._cycles, strict=True):
            if done < length:
                rise = min(1.0, (done + 1) / schedule.warm_up)
                fall = 0.5 * (1 + math.cos(math.pi * done / length))
                return highest * rise * (schedule.last_rate + (1 - schedule.last_rate) * fall)
            done -= length
        raise ValueError(f"{self.name} is complete")

    def _learn(self, loss: Tensor) -> float:
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self._schedule.clip)
        self._optimiser.step()
        self.average.follow(self.network, self.done)
        self.done += 1
        return float(loss.detach())

    def _report(self, loss: float, pace: float, say: Say) -> None:
        line = {"iteration": self.done, "loss": loss, "seconds": round(pace, 3)}
        with self._log.open("a") as log:
            log.write(json.dumps(line) + "\n")
        left = (self.iterations - self.done) * pace / 60
        say(f"{self.name} {self.done}/{self.iterations}: loss {loss:.4f}, {left:.0f} min left")

    def _save(self) -> None:
        moments = self._optimiser.state_dict()["state"]
        tensors = {
            "done": torch.tensor(self.done),
            "generator": self.generator.get_state(),
            **{f"network.{key}": value for key, value in self.network.state_dict().items()},
            **{f"average.{key}": value for key, value in self.average.network.state_dict().items()},
            **{f"moments.{i}.{key}": value for i, kept in moments.items() for key, value in kept.items()},
        }
        write_state(self._state, tensors, self._settings)

    def _resume(self) -> None:
        tensors = read_state(self._state, self._settings)
        try:
            self._take(tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            raise damaged(self._state, error) from None

    def _take(self, tensors: Mapping[str, Tensor]) -> None:
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "moments": {}}
        for key, value in tensors.items():
            part, _, rest = key.partition(".")
            if rest:
                parts[part][rest] = value
        self.network.load_state_dict(parts["network"])
        self.average.network.load_state_dict(parts["average"])
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in parts["moments"].items():
            place, _, kind = key.partition(".")
            moments.setdefault(int(place), {})[kind] = value
        self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": moments})
        self.generator.set_state(tensors["generator"])
        self.done = int(tensors["done"])
