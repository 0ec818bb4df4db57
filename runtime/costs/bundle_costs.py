"""What the engines of a bundle demand for a picture of some plan."""

from __future__ import annotations

from collections.abc import Mapping

from dit4sr.runtime.axes import axis_sizes
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.costs.demand import Demand, demand_of
from dit4sr.runtime.costs.outline import Outline, read_outline
from dit4sr.runtime.costs.rates import Rates
from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.plan import ENGINES, Plan

Sizes = Mapping[str, int]


class BundleCosts:
    """Counts a bundle's graphs, each read once and each size counted once."""

    def __init__(self, bundle: Bundle, *, on_host: bool = True) -> None:
        self._bundle, self._on_host = bundle, on_host
        self._outlines: dict[str, Outline] = {}
        self._demands: dict[tuple[str, tuple[int, ...]], Demand | None] = {}

    def outline(self, component: str) -> Outline:
        """A component's graph without its weights."""
        if component not in self._outlines:
            graph = self._bundle.components[component].graph
            self._outlines[component] = read_outline(self._bundle.path / graph.path)
        return self._outlines[component]

    def demand(self, component: str, sizes: Sizes) -> Demand | None:
        """What a run demands; None where the graph does not tell."""
        key = component, tuple(sizes.values())
        if key not in self._demands:
            try:
                found = demand_of(self.outline(component), sizes, on_host=self._on_host)
            except (BadInputError, IntegrityError):
                found = None
            self._demands[key] = found
        return self._demands[key]

    def demands(self, plan: Plan) -> dict[str, Demand | None]:
        """What a run of each engine demands, for a picture of some plan."""
        here = [name for name in ENGINES if name in self._bundle.components]
        return {name: self.demand(name, sizes_of(self._bundle, plan, name)) for name in here}

    def run_seconds(self, plan: Plan, rates: Rates) -> dict[str, float] | None:
        """Seconds of a run of each engine at some rates; None if any of them cannot be counted."""
        demands = self.demands(plan)
        known = {
            name: rates.seconds(demand.flops, demand.moved_bytes)
            for name, demand in demands.items()
            if demand is not None
        }
        return known if len(known) == len(demands) else None


def sizes_of(bundle: Bundle, plan: Plan, component: str) -> Sizes:
    """What every axis measures in a component's runs."""
    is_vae = component.startswith("vae")
    tiling = plan.vae_tiling if is_vae else plan.tiling
    return axis_sizes(
        bundle.card,
        latent=(tiling.tile_height, tiling.tile_width),
        images=min(plan.tile_batch, len(tiling.tiles)) if component == "step" else 1,
        branches=plan.schedule.branches,
        text=plan.text_tokens,
        steps=plan.schedule.steps,
    )
