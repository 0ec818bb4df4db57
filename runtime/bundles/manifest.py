"""What ``manifest.json`` says: every part of a bundle, down to the digest of every file.

Writer and reader share these classes. A reader of another schema version says so, or knows how to read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from dit4sr.runtime.bundles.manifest_v1 import upgraded
from dit4sr.runtime.bundles.plan_account import PlanAccount
from dit4sr.runtime.bundles.presets import Preset
from dit4sr.runtime.bundles.schema import SchemaError, checked_json, from_json, to_json
from dit4sr.runtime.errors import BadInputError, IncompatibleError, IntegrityError
from dit4sr.runtime.files.json_file import read_json
from dit4sr.runtime.files.reading import sha256_of

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
LARGEST_FACTOR = 1e6
"""Bound of the model card's factors, and its inverse of those that divide."""
LONGEST_AXIS = 500
"""Characters of an axis, which is arithmetic; the exporter's are a tenth of it."""


@dataclass(frozen=True)
class FileRecord:
    """One file of the bundle: its place, its size and its digest."""

    path: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        stays_inside = parts and not self.path.startswith("/") and ".." not in parts
        if not stays_inside or any(c in self.path for c in "\\:\0") or self.path != "/".join(parts):
            raise ValueError(f"path {self.path[:80]!r} does not stay inside the bundle")
        if self.bytes < 0 or len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise ValueError(f"size or digest of {self.path!r} is no size or digest")


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a graph; symbolic axes are names or expressions, static ones numbers."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __post_init__(self) -> None:
        for axis in self.shape:
            if isinstance(axis, int) and axis < 0:
                raise ValueError(f"an axis of {self.name!r} is {axis}")
            if isinstance(axis, str) and len(axis) > LONGEST_AXIS:
                raise ValueError(f"an axis of {self.name!r} is an expression of {len(axis)} characters")


@dataclass(frozen=True)
class Component:
    """One graph of the bundle."""

    files: tuple[FileRecord, ...]
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("a component has no files")
        for specs in (self.inputs, self.outputs):
            if len({spec.name for spec in specs}) < len(specs):
                raise ValueError("a component has two tensors of one name")

    @property
    def graph(self) -> FileRecord:
        """The ONNX file, which comes before its external data."""
        return self.files[0]


@dataclass(frozen=True)
class Engine:
    """A component compiled for one backend and one kind of machine."""

    backend: str
    component: str
    files: tuple[FileRecord, ...]
    precision: str
    gpu_architecture: str
    versions: Mapping[str, str]
    plugins: tuple[str, ...]
    inputs: tuple[TensorSpec, ...] = ()
    """Its inputs, where it takes fewer shapes than its component does."""
    verification: tuple[Check, ...] = ()
    plan: PlanDetails | None = None
    """What only TensorRT's engines have."""

    @property
    def targets(self) -> tuple[str, ...]:
        """What it runs on: ``cpu``, or one GPU architecture or several, as in ``sm_80+sm_89``."""
        return tuple(self.gpu_architecture.split("+"))


@dataclass(frozen=True)
class SizeRange:
    """The sizes that an axis may have, and the one that its engine is fastest at."""

    axis: str
    least: int
    best: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.best <= self.most:
            raise ValueError(f"axis {self.axis!r} ranges over {self.least}, {self.best}, {self.most}")


@dataclass(frozen=True)
class LayerTime:
    """A layer that was timed while its engine was built."""

    name: str
    milliseconds: float


@dataclass(frozen=True)
class PlanReport:
    """What TensorRT made of a graph, counted in its own account of the layers."""

    layers: int
    attentions: int
    """How many the graph has."""
    fused_attentions: int
    fp8_products: int
    casts: int
    reformats: int
    slowest: tuple[LayerTime, ...] = ()


@dataclass(frozen=True)
class PlanDetails:
    """What a TensorRT plan was built from and for, and what became of it."""

    source: str
    """Digest of the graph it was built from."""
    ranges: tuple[SizeRange, ...] = ()
    """Sizes of the axes that are not fixed."""
    is_stripped: bool = False
    """True if the plan holds no weights and takes those of the component's graph."""
    is_version_compatible: bool = False
    """True if newer versions of TensorRT run it too."""
    report: PlanReport | None = None
    account: PlanAccount | None = None
    """What the compiler of TensorRT for RTX made of the graph."""


@dataclass(frozen=True)
class PositionTable:
    """What `dit4sr.runtime.sampling.positions` needs to know of the trained position table."""

    width: int
    table_size: int
    base_size: int

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 4 or min(self.table_size, self.base_size) < 1:
            raise ValueError("positions have a size that no table has")


@dataclass(frozen=True)
class ModelCard:
    """What the sampler needs to know of the network, and nothing of its architecture."""

    name: str
    flavour: str
    variant: str
    precision: str
    latent_channels: int
    vae_factor: int
    scaling: float
    shift: float
    patch_size: int
    schedule_shift: float
    training_tile: int
    default_steps: int
    default_guidance: float
    text_tokens: int
    text_channels: int
    pooled_channels: int
    positions: PositionTable | None
    """None for a network that reads no positions."""
    weights: str
    """``trained``, or in what sense they are not."""
    presets: tuple[Preset, ...] = ()
    """Ways to sample that were measured, the costliest first."""

    def __post_init__(self) -> None:
        if len({preset.name for preset in self.presets}) < len(self.presets):
            raise ValueError("two presets have one name")
        sizes = (self.latent_channels, self.vae_factor, self.patch_size, self.training_tile)
        if min(sizes) < 1 or self.default_steps < 1:
            raise ValueError("a size on the model card is below one")
        # A network may well read no prompt.
        if min(self.text_tokens, self.text_channels, self.pooled_channels) < 0:
            raise ValueError("the model card counts fewer than no tokens or channels of text")
        # A float32 holds all of these, and whatever the runtime makes of them.
        positive = (self.scaling, self.schedule_shift, self.default_guidance)
        if abs(self.shift) > LARGEST_FACTOR or not all(
            1 / LARGEST_FACTOR <= factor <= LARGEST_FACTOR for factor in positive
        ):
            raise ValueError("a factor on the model card is no number to calculate with")


@dataclass(frozen=True)
class View:
    """A crop around each tile that image encoders see, and the inputs of `prepare` that they so fill."""

    reach: float
    """Side of the crop, in sides of the tile; it stays inside the picture."""
    tokens: str
    """The input that gets the encoders' tokens."""
    pooled: str = ""
    """The input that gets their pooled vectors, if any does."""

    def __post_init__(self) -> None:
        if not 1 <= self.reach <= LARGEST_FACTOR:
            raise ValueError(f"a view reaches {self.reach} tiles far")

    @property
    def tensors(self) -> frozenset[str]:
        """The inputs of `prepare` that this view fills."""
        return frozenset(filter(None, (self.tokens, self.pooled)))


@dataclass(frozen=True)
class ArchitectureRecord:
    """Which network this is, for whoever builds it again from its weights; the runtime never looks inside."""

    name: str
    config: Mapping[str, Any]
    """Any JSON: what its keys mean is the architecture's own affair."""

    def __post_init__(self) -> None:
        checked_json(self.config, "config")


@dataclass(frozen=True)
class Check:
    """One comparison of an output against the torch model: its relative error, and how much was allowed."""

    component: str
    output: str
    error: float
    allowed: float


@dataclass(frozen=True)
class Provenance:
    """Where the bundle came from: its checkpoint, the libraries and the command that made it."""

    checkpoint: Mapping[str, str]
    versions: Mapping[str, str]
    command: str


@dataclass(frozen=True)
class LighterStep:
    """A component that answers as `step` does, with less work, where part of the network is not heard."""

    component: str
    where_zero: str
    """The output of `prepare`, made for each step, that is zero there."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that ``manifest.json`` says, in the order in which it says it."""

    schema: int
    model: ModelCard
    architecture: ArchitectureRecord | None = None
    """None in bundles of schema version 1."""
    components: Mapping[str, Component]
    text_encoders: tuple[str, ...] = ()
    """The components that read prompts, in the order in which their answers are joined."""
    image_encoders: tuple[str, ...] = ()
    """The components that are shown the picture, in the order in which their answers are joined."""
    views: tuple[View, ...] = ()
    """What they are shown of it for each tile."""
    lighter_step: LighterStep | None = None
    provenance: Provenance
    engines: tuple[Engine, ...] = ()
    embeddings: Mapping[str, tuple[FileRecord, ...]] = field(default_factory=dict)
    tokenizers: tuple[FileRecord, ...] = ()
    verification: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        for article, kind, names in (
            ("a", "text encoder", self.text_encoders),
            ("an", "image encoder", self.image_encoders),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"{article} {kind} is listed twice")
            if unknown := [name for name in names if name not in self.components]:
                raise ValueError(f"{kind} {unknown[0]!r} is no component")
        if bool(self.views) != bool(self.image_encoders):
            raise ValueError("image encoders and views are not without one another")
        if self.lighter_step and self.lighter_step.component not in self.components:
            raise ValueError(f"the lighter step {self.lighter_step.component!r} is no component")

    @property
    def seen_inputs(self) -> frozenset[str]:
        """The inputs of `prepare` that image encoders fill."""
        return frozenset().union(*(view.tensors for view in self.views))

    def files(self) -> list[FileRecord]:
        """List every file of the bundle but the manifest, in the order of the manifest."""
        parts = [component.files for component in self.components.values()]
        parts += [engine.files for engine in self.engines] + list(self.embeddings.values())
        # Engines may share a file.
        return list(dict.fromkeys(record for part in [*parts, self.tokenizers] for record in part))

    def to_text(self) -> str:
        """Return the text of ``manifest.json``, the same for the same content.

        Without presets, image encoders or a lighter step it says nothing of them, as readers of before there
        were any expect.
        """
        values = to_json(self)
        for name in ("image_encoders", "views"):
            if not values[name]:
                del values[name]
        if not self.model.presets:
            del values["model"]["presets"]
        if self.lighter_step is None:
            del values["lighter_step"]
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def network_components(manifest: Manifest) -> tuple[str, ...]:
    """The components that the network is cut into."""
    lighter = manifest.lighter_step
    return ("prepare", "step", *([lighter.component] if lighter else []))


def read_manifest(file: Path) -> Manifest:
    """Parse a manifest and check every field of it."""
    if not file.exists():
        raise BadInputError(
            f"{file.parent} holds no {MANIFEST}", expected="a folder that dit4sr-export wrote"
        )
    values = read_json(file, failure=IntegrityError)
    version = values.get("schema") if isinstance(values, dict) else None
    if type(version) is int and version not in {1, SCHEMA_VERSION}:
        raise IncompatibleError(
            f"{file} has schema version {version}",
            expected=f"1 or {SCHEMA_VERSION}",
            fix="export the bundle with this version, or install the one that wrote it",
        )
    try:
        return from_json(Manifest, upgraded(values) if version == 1 else values)
    except (SchemaError, RecursionError) as error:
        raise IntegrityError(f"{file}: {error}", fix="export the bundle anew") from None


def record_of(path: Path, root: Path) -> FileRecord:
    """Describe a file that has just been written into the bundle at ``root``."""
    return FileRecord(path.relative_to(root).as_posix(), path.stat().st_size, sha256_of(path))
