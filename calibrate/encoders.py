"""What smaller weights do to the text encoders, seen in what they make of the default prompts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.metrics import relative_errors
from dit4sr.calibrate.observe.tap import Results, WatchedRuntime
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.components import Components
from dit4sr.runtime.prompt.text_encoder import TextEncoder
from dit4sr.runtime.prompt.wording import Wording

Made = dict[str, list[NDArray[np.float32]]]


def embedding_errors(before: Bundle, after: Bundle, *, threads: int = 0) -> dict[str, float]:
    """Relative error of every encoder's outputs, for the prompt that fares worst."""
    wanted, found = (_made(bundle, threads) for bundle in (before, after))
    return {name: float(relative_errors(found[name], wanted[name]).max()) for name in wanted}


def _made(bundle: Bundle, threads: int) -> Made:
    """What the encoders make of the default prompts, by encoder and output."""
    made: Made = {}

    def watcher(encoder: str) -> Callable[[Results], None]:
        def see(results: Results) -> None:
            for output, values in results.items():
                made.setdefault(f"{encoder} {output}", []).append(values.astype(np.float32))

        return see

    encoders = bundle.manifest.text_encoders
    backend = WatchedRuntime({name: watcher(name) for name in encoders}, threads)
    components = Components(bundle, backend, keep=False)
    reader = TextEncoder(bundle, backend, components.use, None)
    wording = Wording()
    for words in (wording.positive(""), wording.negative) if encoders else ():
        reader.encode(words)
    return made
