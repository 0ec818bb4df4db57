"""What smaller weights do to the text encoders, seen in what they make of the default prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.backends.tap import Hook, Outputs, TappedBackend
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.components import Components
from dit4sr.runtime.metrics import relative_errors
from dit4sr.runtime.prompt.text_encoder import TextEncoder
from dit4sr.runtime.prompt.wording import Wording

Embeddings = dict[str, list[NDArray[np.float32]]]
"""What the encoders make of one prompt after the other, by encoder and output."""


def embedding_errors(before: Bundle, after: Bundle, *, threads: int = 0) -> dict[str, float]:
    """Relative error of every encoder's outputs, for the prompt that fares worst."""
    wanted, found = (_embeddings(bundle, threads) for bundle in (before, after))
    return {name: float(relative_errors(found[name], wanted[name]).max()) for name in wanted}


def _embeddings(bundle: Bundle, threads: int) -> Embeddings:
    """The embeddings of the default prompts."""
    embeddings: Embeddings = {}

    def hook(encoder: str) -> Hook:
        def keep(outputs: Outputs) -> None:
            for output, values in outputs.items():
                embeddings.setdefault(f"{encoder} {output}", []).append(values.astype(np.float32))

        return keep

    encoders = bundle.manifest.text_encoders
    backend = TappedBackend(OnnxRuntime(threads=threads), {name: hook(name) for name in encoders})
    components = Components(bundle, backend, keep=False)
    reader = TextEncoder(bundle, backend, components.use, None)
    wording = Wording()
    for words in (wording.positive(""), wording.negative) if encoders else ():
        reader.encode(words)
    return embeddings
