"""What clients of the service send and get, over HTTP or gRPC."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

MODEL = "restorer"
PROTOCOLS = ("http", "grpc")
KINDS = {
    "picture": "UINT8",
    "file": "BYTES",
    "seed": "UINT64",
    "prompt": "BYTES",
    "preset": "BYTES",
    "steps": "INT32",
}
TYPES = {"UINT8": np.uint8, "UINT64": np.uint64, "INT32": np.int32, "BYTES": np.object_}


class Client:
    """One client of one server."""

    def __init__(self, address: str, protocol: str, model: str) -> None:
        self.library: Any = importlib.import_module(f"tritonclient.{protocol}")
        self.plain, self._model = self.library.InferenceServerClient(address), model

    def inputs(self, **values: Any) -> list[Any]:
        """The tensors of a request: a picture as an array, the rest as plain values."""
        return [self._input(name, value) for name, value in values.items()]

    def outputs(self, *names: str) -> list[Any]:
        """The tensors to ask for."""
        return [self.library.InferRequestedOutput(name) for name in names]

    def ask(self, *, wanted: tuple[str, ...] = ("picture",), version: str = "", **values: Any) -> Any:
        """Send a request and wait for its answer."""
        return self.plain.infer(
            self._model, self.inputs(**values), outputs=self.outputs(*wanted), model_version=version
        )

    def picture(self, **values: Any) -> np.ndarray:
        """The picture that comes back."""
        return self.ask(**values).as_numpy("picture")

    def refusal(self, **values: Any) -> str:
        """What the server says of a request that it refuses."""
        try:
            self.ask(**values)
        except importlib.import_module("tritonclient.utils").InferenceServerException as error:
            return str(error.message())
        raise AssertionError("the request was answered")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        # A connection that stays open holds up the end of the server.
        self.plain.close()

    def _input(self, name: str, value: Any) -> Any:
        kind = KINDS[name]
        array = value if name == "picture" else np.array([value], TYPES[kind])
        tensor = self.library.InferInput(name, list(array.shape), kind)
        tensor.set_data_from_numpy(array)
        return tensor
