"""From words to what the network reads: context rows, and a pooled vector where an encoder has one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.contract import FIX
from dit4sr.runtime.backends.protocol import Backend, Engine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import FileRecord
from dit4sr.runtime.errors import BadInputError, IncompatibleError, IntegrityError
from dit4sr.runtime.extremes import refuse_infinite
from dit4sr.runtime.files.json_file import parse_json
from dit4sr.runtime.prompt.embedding import Embedding, EmbeddingCache
from dit4sr.runtime.prompt.tokenizing import token_ids

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

    def stored(self, name: str, rows: int | None = None) -> Embedding:
        """Read the prompt that the bundle stores as ``positive`` or ``negative``; it has the rows it has."""
        if name not in self._known:
            self._known[name] = self._bundle.embedding(name)
        known = self._known[name]
        if rows is not None and "text" in known and len(known["text"]) != rows:
            raise BadInputError(
                f"{rows} rows of text", expected=f"{len(known['text'])}: this bundle's prompts are stored"
            )
        return known

    def encode(self, prompt: str, rows: int | None = None) -> Embedding:
        """Turn a prompt into numbers, with the cache's help if it has passed before.

        With ``rows`` it is cut and padded to another length than the bundle's.
        """
        if not self._names:
            raise BadInputError(
                f"{self._bundle.path} has no text encoders, so it cannot read a prompt",
                fix="leave prompts and captions out, or export a bundle with text encoders",
            )
        try:
            prompt.encode()
        except UnicodeEncodeError:
            raise BadInputError(f"the prompt {prompt[:80]!a} is no Unicode text") from None
        key = self._key(prompt, rows)
        embedding = self._cache.get(key) if self._cache else None
        if embedding is None:
            embedding = self._compute(prompt, rows)
            if self._cache:
                self._cache.put(key, embedding)
        return embedding

    def _key(self, prompt: str, rows: int | None = None) -> str:
        digest = hashlib.sha256()
        records = [record for name in self._names for record in self._bundle.components[name].files]
        for record in (*records, *self._bundle.manifest.tokenizers):
            digest.update(record.sha256.encode())
        digest.update(prompt.encode())
        if rows not in {None, self._bundle.card.text_tokens}:
            digest.update(f"\0{rows} rows".encode())
        return digest.hexdigest()

    def _compute(self, prompt: str, rows: int | None) -> Embedding:
        tokens_of_all = self._tokens(prompt, rows)
        answers = [self._run(name, tokens) for name, tokens in zip(self._names, tokens_of_all, strict=True)]
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
            results = engine.context().run({_token_input(name, engine): self._backend.upload(tokens[None])})
            answers = {key: self._backend.download(array) for key, array in results.items()}
        if any(values.shape[:1] != (1,) for values in answers.values()):
            raise IncompatibleError(f"{name} answers one prompt with more rows, or with none", fix=FIX)
        tensors = {key: values[0] for key, values in answers.items()}
        refuse_infinite(name, tensors)  # before the cache keeps it
        return tensors

    def _tokens(self, prompt: str, rows: int | None) -> list[NDArray[np.int64]]:
        """The prompt's tokens for each encoder."""
        texts, left = {}, None if rows is None else self._left_of(rows)
        for name in self._names:
            record = self._tokenizer_file(name)
            text = _text(record.path, self._bundle.content(record))
            is_free = self._fixed_length(name) is None
            texts[record.path] = text if left is None or not is_free else cut_to(text, left, record.path)
        return token_ids(texts, prompt)

    def _left_of(self, rows: int) -> int:
        """How many of a prompt's rows are left for encoders that read any number of tokens."""
        lengths = [self._fixed_length(name) for name in self._names]
        fixed = max((length for length in lengths if length is not None), default=0)
        if rows <= fixed or None not in lengths:
            expected = (
                f"more than {fixed}" if None in lengths else f"{fixed}, which its encoders are fixed to"
            )
            raise BadInputError(f"{rows} rows of text", expected=expected)
        return rows - fixed

    def _fixed_length(self, name: str) -> int | None:
        """How many tokens an encoder reads, or None where that is free."""
        axis = self._bundle.components[name].inputs[0].shape[-1]
        return axis if isinstance(axis, int) else None

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


def _token_input(name: str, engine: Engine) -> str:
    if len(engine.inputs) != 1:
        raise IncompatibleError(
            f"{name} reads {len(engine.inputs)} tensors", expected="the tokens of a prompt and nothing else"
        )
    return engine.inputs[0].name


def cut_to(tokenizer: str, tokens: int, path: str) -> str:
    """A ``tokenizer.json`` that cuts and pads prompts to another length than it was written with."""
    try:
        values = parse_json(tokenizer.encode())
        values["truncation"]["max_length"] = tokens
        values["padding"]["strategy"] = {"Fixed": tokens}
    except (ValueError, LookupError, TypeError) as error:
        raise IncompatibleError(
            f"{path} cuts and pads no prompts ({error})", expected="both", fix="export the bundle anew"
        ) from None
    return json.dumps(values, ensure_ascii=False)


def _text(path: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path} is no tokenizer ({error})", fix="export the bundle anew") from None


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
