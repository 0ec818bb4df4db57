"""One run of ``dit4sr-export``: a bundle from a checkpoint, engines into a bundle, or both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dit4sr.export import architectures
from dit4sr.export.architectures.protocol import Choices
from dit4sr.export.engines.registry import EngineRequests
from dit4sr.export.exporter import PRECISIONS, ExportConfig, export_bundle
from dit4sr.export.pipeline import Pipeline, checkpoint_pipeline, full_size_pipeline
from dit4sr.export.tiny import CHECKPOINT
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Manifest
from dit4sr.runtime.console.table import format_bytes
from dit4sr.runtime.doctor.accounts import format_accounts
from dit4sr.runtime.errors import BadInputError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """A bundle that was written or added to, and what is to be said of it."""

    bundle: Path
    manifest: Manifest
    words: str


@dataclass(frozen=True)
class ExportRequest:
    """What to export, from where, and which engines to build of it."""

    checkpoint: Path | None = None
    """A checkpoint, or a bundle to add engines to; the built-in model where there is none."""
    output: Path | None = None
    random_weights: int | None = None
    """Seed of a full-size network, in place of a checkpoint."""
    architecture: str | None = None
    """Name of the network; told by a checkpoint's tensors, or the default one, where it is not given."""
    choices: Choices = field(default_factory=dict)
    """Values of the options that the architecture adds to the command line."""
    text_tokens: int | None = None
    """Rows of text that the network reads; as released where it is not given."""
    precision: str = "fp16"
    is_precision_typed: bool = False
    static: bool = False
    replace: bool = False
    verify: bool = True
    components: tuple[str, ...] = ()
    engines: EngineRequests | None = None
    command: str = "dit4sr-export"

    def run(self, progress: Progress) -> Outcome:
        """Refuse what cannot succeed, then export and build."""
        if self.checkpoint and (self.checkpoint / MANIFEST).is_file():
            return self._add_engines_to_bundle(self.checkpoint, progress)
        if self.precision not in PRECISIONS:
            raise BadInputError(
                f"a checkpoint cannot be exported in {self.precision}",
                fix="export it in fp16, give that to dit4sr-calibrate, and build engines of what it writes",
            )
        if self.engines:
            self.engines.check(self.precision)
        pipeline, output = self._pipeline(), self.output or Path(f"{self._stem()}-{self.precision}")
        if self.engines and (output / MANIFEST).is_file() and not self.replace:
            self._check_precision(output)
            return _with_engines(output, self.engines.add_to(output, pipeline, progress))
        config = ExportConfig(
            output=output,
            precision=self.precision,
            static=self.static,
            replace=self.replace,
            verify=self.verify,
            components=self.components,
            command=self.command,
        )
        manifest = export_bundle(pipeline, config, progress=progress)
        if self.engines:
            manifest = self.engines.add_to(output, pipeline, progress)
        return _outcome(output, manifest, _sentence(output, manifest))

    def _add_engines_to_bundle(self, bundle: Path, progress: Progress) -> Outcome:
        if self.engines is None:
            raise BadInputError(f"{bundle} is a bundle", expected="a checkpoint, or --engine")
        if self.output:
            raise BadInputError("engines are added to the bundle that is there, not at --output")
        self._check_precision(bundle)
        return _with_engines(bundle, self.engines.add_to(bundle, None, progress))

    def _check_precision(self, bundle: Path) -> None:
        """Refuse a precision that a bundle does not have: whoever names another wants another bundle."""
        found = Bundle.open(bundle).card.precision
        if self.is_precision_typed and self.precision != found:
            way = "name another bundle" if self.precision in PRECISIONS else "make one with dit4sr-calibrate"
            raise BadInputError(f"{bundle} is in {found}", expected=self.precision, fix=way)

    def _pipeline(self) -> Pipeline:
        pipeline = self._whole_pipeline()
        return pipeline.with_text_tokens(self.text_tokens) if self.text_tokens else pipeline

    def _whole_pipeline(self) -> Pipeline:
        if self.random_weights is not None:
            name = self.architecture or architectures.DEFAULT
            return full_size_pipeline(self.random_weights, self.choices, name=name)
        return checkpoint_pipeline(self.checkpoint or CHECKPOINT, self.choices, name=self.architecture)

    def _stem(self) -> str:
        """The beginning of a bundle's name where no output is given."""
        if self.checkpoint:
            return str(self.checkpoint.resolve().stem)
        if self.random_weights is None:
            return "dit4sr-tiny"
        return f"{self.architecture or architectures.DEFAULT}-random"


def _sentence(output: Path, manifest: Manifest) -> str:
    total = sum(record.bytes for record in manifest.files())
    worst = max((check.error / check.allowed for check in manifest.verification), default=None)
    verdict = "not verified" if worst is None else f"verified: worst error {worst:.0%} of what is allowed"
    contents = ", ".join([*manifest.components, *_built(manifest)])
    return f"{output}: {contents} in {manifest.model.precision}, {format_bytes(total)}; {verdict}"


def _with_engines(bundle: Path, manifest: Manifest) -> Outcome:
    return _outcome(bundle, manifest, f"{bundle}: {', '.join(_built(manifest))}")


def _outcome(bundle: Path, manifest: Manifest, sentence: str) -> Outcome:
    return Outcome(bundle, manifest, "\n".join(filter(None, [sentence, format_accounts(manifest.engines)])))


def _built(manifest: Manifest) -> list[str]:
    """The kinds of engines that a bundle holds, and what they were built for."""
    return sorted({f"{engine.backend} for {engine.gpu_architecture}" for engine in manifest.engines})
