"""What one run of a graph demands: arithmetic, traffic and memory, counted from its outline.

Memory is followed through the nodes in their order: a tensor takes room from the node that makes it to the
last one that reads it. Views share the room of what they look at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dit4sr.runtime.axes import Sizes
from dit4sr.runtime.costs.outline import Node, Outline, Shape, Tensor
from dit4sr.runtime.costs.products import PRODUCTS, VIEWS, macs, score_elements
from dit4sr.runtime.errors import BadInputError

HOST_FLOAT = 4
"""Bytes of every number of the network on a CPU, where ONNX Runtime has no arithmetic in fewer."""

SCORES_MOVED, SCORES_HELD = 4, 4
"""Attention's scores are written, read and written by the softmax, and read; and ONNX Runtime was seen to
hold room for four of them, where two would do (dit4sr-tiny at 256² and 512²)."""


@dataclass(frozen=True)
class Demand:
    """What one run of a component demands of a machine."""

    flops: int
    moved_bytes: int
    """What crosses the memory bus if every operator reads its inputs and writes its outputs once."""
    weight_bytes: int
    """All weights, as they lie in memory."""
    largest_weight_bytes: int
    """The largest of them, of which there are two while it is brought into its place."""
    peak_bytes: int
    """The most that the tensors between the weights take at a time."""
    operators: int


def demand_of(outline: Outline, sizes: Sizes, *, on_host: bool = True) -> Demand:
    """Count one run; a graph that does not state its shapes, or not sensibly, is refused in one line."""
    try:
        return _counted(outline, _Counter(outline, sizes, on_host=on_host))
    except (IndexError, KeyError):
        raise BadInputError("a graph whose operators do not fit their tensors") from None


def weights_of(outline: Outline, *, on_host: bool) -> tuple[int, int]:
    """Bytes of all weights as they lie in memory, and of the largest; these every graph states."""
    counter = _Counter(outline, {}, on_host=on_host)
    weights = [counter.bytes_of(name) for name in outline.weights]
    return sum(weights), max(weights, default=0)


def _counted(outline: Outline, counter: _Counter) -> Demand:
    weights = [counter.bytes_of(name) for name in outline.weights]
    costs = [counter.cost_of(node) for node in outline.nodes]
    return Demand(
        flops=2 * sum(products for products, _ in costs),
        moved_bytes=sum(moved for _, moved in costs),
        weight_bytes=sum(weights),
        largest_weight_bytes=max(weights, default=0),
        peak_bytes=_peak(outline, counter),
        operators=sum(moved > 0 for _, moved in costs),
    )


class _Counter:
    """Sizes of a graph's tensors in one run."""

    def __init__(self, outline: Outline, sizes: Sizes, *, on_host: bool) -> None:
        self._outline, self._sizes, self._on_host = outline, sizes, on_host
        self._known: dict[str, int] = {}

    def bytes_of(self, name: str) -> int:
        """Bytes of a tensor in memory; nothing for an input that is left out."""
        if not name:
            return 0
        if name not in self._known:
            tensor = self._tensor(name)
            # In half bytes, for some types are narrower, and whole numbers never overflow.
            self._known[name] = -(-tensor.elements(self._sizes) * round(2 * self._width(tensor, name)) // 2)
        return self._known[name]

    def cost_of(self, node: Node) -> tuple[int, int]:
        """Multiply-accumulates of a node, and the bytes it moves."""
        if node.operator in VIEWS or not self._tensor(node.outputs[0]).is_floating:
            return 0, 0
        # A change of type is a copy in the graph and none on a host, where both types are the same.
        if self._on_host and node.operator == "Cast":
            return 0, 0
        moved = sum(map(self.bytes_of, (*node.inputs, *node.outputs)))
        if node.operator not in PRODUCTS:
            return 0, moved
        products = macs(node.operator, *self._shapes(node), node.attributes)
        return products, moved + SCORES_MOVED * self.score_bytes(node)

    def score_bytes(self, node: Node) -> int:
        """Bytes of an attention's scores, which no tensor of the graph shows; nothing for other nodes."""
        if node.operator not in PRODUCTS:
            return 0
        return HOST_FLOAT * score_elements(node.operator, *self._shapes(node), node.attributes)

    def _shapes(self, node: Node) -> tuple[list[Shape], list[Shape]]:
        inputs = [self._tensor(name).sides(self._sizes) if name else () for name in node.inputs]
        return inputs, [self._tensor(name).sides(self._sizes) for name in node.outputs]

    def _tensor(self, name: str) -> Tensor:
        return self._outline.tensors.get(name, Tensor(0, None))

    def _width(self, tensor: Tensor, name: str) -> float:
        is_number = tensor.is_floating or (name in self._outline.weights and tensor.element_bytes <= 1)
        return HOST_FLOAT if self._on_host and is_number else tensor.element_bytes


def _peak(outline: Outline, counter: _Counter) -> int:
    """The most bytes that are alive at a time, inputs and outputs of the graph included."""
    homes = _homes(outline)
    last_readers: dict[str, int] = {}
    for place, node in enumerate(outline.nodes):
        for name in node.inputs:
            last_readers[homes.get(name, name)] = place
    made = {name for node in outline.nodes for name in node.outputs}
    alive = sum(counter.bytes_of(name) for name in last_readers.keys() - made - outline.weights)
    peak = alive
    for place, node in enumerate(outline.nodes):
        own = [name for name in node.outputs if name and homes.get(name, name) == name]
        alive += sum(map(counter.bytes_of, own))
        peak = max(peak, alive + SCORES_HELD * counter.score_bytes(node))
        for name in {homes.get(each, each) for each in node.inputs} - outline.weights:
            if last_readers[name] == place and name in made:
                alive -= counter.bytes_of(name)
    return peak


def _homes(outline: Outline) -> Mapping[str, str]:
    """For every view, the tensor whose room it shares."""
    homes: dict[str, str] = {}
    for node in outline.nodes:
        if node.operator in VIEWS and node.inputs and node.outputs:
            source = node.inputs[0]
            homes[node.outputs[0]] = homes.get(source, source)
    return homes
