"""From words to what the network reads: context rows, and a pooled vector where an encoder has one."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Backend, Engine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import FileRecord
from dit4sr.runtime.errors import BadInputError, IncompatibleError, MissingDependencyError
from dit4sr.runtime.prompt.embedding import Embedding, EmbeddingCache

Floats = NDArray[np.float32]
PREFIX = "text_"
"""Names of encoders begin with this; a tokenizer's folder is named by the rest."""


class TextEncoder:
    """Prompts through the bundle's encoders, or the prompts that the bundle stores instead.

    Each encoder has its tokenizer in ``tokenizers/<name>/tokenizer.json``, which holds its own padding and
    truncation.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        use: Callable[[str], AbstractContextManager[Engine]],
        cache: EmbeddingCache | None,
    ) -> None:
        self._bundle, self._backend, self._use, self._cache = bundle, backend, use, cache
        self._names = bundle.manifest.text_encoders
        self._tokenizers = {record.path: record for record in bundle.manifest.tokenizers}
        self._known: dict[str, Embedding] = {}

    @property
    def reads_words(self) -> bool:
        """True if the bundle has text encoders, and tokenizers for all of them."""
        return bool(self._names) and all(
            self._tokenizer_path(name) in self._tokenizers for name in self._names
        )

    def stored(self, name: str) -> Embedding:
        """Read the prompt that the bundle stores as ``positive`` or ``negative``."""
        if name not in self._known:
            self._known[name] = self._bundle.embedding(name)
        return self._known[name]

    def encode(self, prompt: str) -> Embedding:
        """Turn a prompt into numbers, with the cache's help if it has passed before."""
        if not self._names:
            raise BadInputError(
                f"{self._bundle.path} has no text encoders, so it cannot read a prompt",
                fix="leave prompts and captions out, or export a bundle with text encoders",
            )
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise BadInputError("the prompt holds bytes that are no characters", expected="UTF-8 text")
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
        answers = [self._run(name, self._tokens(name, prompt)) for name in self._names]
        try:
            return joined(answers, self._bundle.card.text_channels)
        except (KeyError, ValueError) as error:
            raise IncompatibleError(
                f"{self._bundle.path}: the text encoders' outputs do not fit together ({error})",
                expected=f"text of up to {self._bundle.card.text_channels} channels from each",
                fix="export the bundle anew",
            ) from None

    def _run(self, name: str, tokens: NDArray[np.int64]) -> Mapping[str, Floats]:
        """Run one encoder on one prompt."""
        with self._use(name) as engine:
            results = engine.context().run({engine.inputs[0].name: self._backend.upload(tokens)})
            return {key: self._backend.download(array)[0] for key, array in results.items()}

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


def joined(answers: Sequence[Mapping[str, Floats]], width: int) -> Embedding:
    """Join the outputs of several encoders in their order, as SD3.5 does.

    The text of encoders with a pooled output stands side by side on the channels, padded to the network's
    ``width``; the rows of the others follow below. Pooled vectors are put end to end.
    """
    pooling = [answer for answer in answers if "pooled" in answer]
    rows = [answer["text"] for answer in answers if "pooled" not in answer]
    if not pooling:
        return {"text": np.concatenate(rows)}
    text = np.concatenate([answer["text"] for answer in pooling], axis=1)
    padded = np.pad(text, ((0, 0), (0, width - text.shape[1])))
    return {
        "text": np.concatenate([padded, *rows]),
        "pooled": np.concatenate([answer["pooled"] for answer in pooling]),
    }
