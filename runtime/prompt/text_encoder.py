"""From words to what the network reads: context rows and a pooled vector."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Backend, Engine
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, IncompatibleError, MissingDependencyError
from dit4sr.runtime.manifest import FileRecord
from dit4sr.runtime.prompt.embedding import Embedding, EmbeddingCache

Floats = NDArray[np.float32]
PREFIX = "text_"
ENCODERS = ("text_clip_l", "text_clip_g", "text_t5")
"""In the order in which SD3.5 joins them; a manifest keeps no order."""


class TextEncoder:
    """Prompts through the bundle's encoders, or the prompts that the bundle stores instead.

    Encoders with a pooled output, the CLIPs, stand side by side on the channels, padded to the network's
    width; the others follow on further rows. Each has its tokenizer in ``tokenizers/<name>/tokenizer.json``,
    which holds its own padding and truncation.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        use: Callable[[str], AbstractContextManager[Engine]],
        cache: EmbeddingCache | None,
    ) -> None:
        self._bundle, self._backend, self._use, self._cache = bundle, backend, use, cache
        self._names = [name for name in ENCODERS if name in bundle.components]
        self._tokenizers = {record.path: record for record in bundle.manifest.tokenizers}
        self._known: dict[str, Embedding] = {}

    @property
    def reads_words(self) -> bool:
        """Whether the bundle has text encoders, and tokenizers for all of them."""
        return bool(self._names) and all(
            self._tokenizer_path(name) in self._tokenizers for name in self._names
        )

    def stored(self, name: str) -> Embedding:
        """The prompt that the bundle stores as ``positive`` or ``negative``."""
        if name not in self._known:
            self._known[name] = Embedding(*self._bundle.embedding(name))
        return self._known[name]

    def encode(self, prompt: str) -> Embedding:
        """A prompt as numbers, from the cache if it has passed before."""
        if not self._names:
            raise BadInputError(
                f"{self._bundle.path} has no text encoders, so it cannot read a prompt",
                fix="leave prompts and captions out, or export a bundle with text encoders",
            )
        key = self._key(prompt)
        embedding = self._cache.get(key) if self._cache else None
        if embedding is None:
            embedding = self._compute(prompt)
            if self._cache:
                self._cache.put(key, embedding)
        return embedding

    def _key(self, prompt: str) -> str:
        digest = hashlib.sha256()
        records = [record for name in self._names for record in self._bundle.components[name].files]
        for record in (*records, *self._bundle.manifest.tokenizers):
            digest.update(record.sha256.encode())
        digest.update(prompt.encode())
        return digest.hexdigest()

    def _compute(self, prompt: str) -> Embedding:
        side_by_side, rows, pooled = [], [], []
        for name in self._names:
            results = self._run(name, self._tokens(name, prompt))
            if "pooled" in results:
                side_by_side.append(results["text"][0])
                pooled.append(results["pooled"][0])
            else:
                rows.append(results["text"][0])
        if side_by_side:
            joined = np.concatenate(side_by_side, axis=1)
            width = self._bundle.card.text_channels
            rows.insert(0, np.pad(joined, ((0, 0), (0, width - joined.shape[1]))))
        if not pooled:
            raise IncompatibleError(f"{self._bundle.path}: no text encoder has a pooled output")
        return Embedding(np.concatenate(rows), np.concatenate(pooled))

    def _run(self, name: str, tokens: NDArray[np.int64]) -> Mapping[str, Floats]:
        with self._use(name) as engine:
            results = engine.context().run({engine.inputs[0].name: self._backend.upload(tokens)})
            return {key: self._backend.download(array) for key, array in results.items()}

    def _tokens(self, name: str, prompt: str) -> NDArray[np.int64]:
        if importlib.util.find_spec("tokenizers") is None:
            raise MissingDependencyError(
                "reading a prompt needs the tokenizers library", fix="pip install 'dit4sr[text]'"
            )
        import tokenizers  # noqa: PLC0415 - only bundles with text encoders need it

        [path] = self._bundle.checked((self._tokenizer_file(name),))
        tokenizer: Any = tokenizers.Tokenizer.from_file(str(path))
        return np.array([tokenizer.encode(prompt).ids], dtype=np.int64)

    def _tokenizer_file(self, name: str) -> FileRecord:
        wanted = self._tokenizer_path(name)
        if wanted not in self._tokenizers:
            raise IncompatibleError(
                f"{self._bundle.path} has {name} but no {wanted}",
                fix="export the bundle anew from a checkpoint with tokenizers",
            )
        return self._tokenizers[wanted]

    @staticmethod
    def _tokenizer_path(name: str) -> str:
        return f"tokenizers/{name.removeprefix(PREFIX)}/tokenizer.json"
