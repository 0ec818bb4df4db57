"""A backend whose engines compute nothing: what time remains is the loop's own."""

from __future__ import annotations

import numpy as np

from dit4sr.runtime.backends.onnxruntime.backend import host_array


class NullBackend:
    name, device = "null", "cpu"

    def open(self, bundle, component):
        return NullEngine(bundle.components[component])

    def empty(self, shape):
        return host_array(np.zeros(shape, dtype=np.float32))

    def upload(self, values):
        return host_array(np.ascontiguousarray(values))

    def write(self, target, values):
        np.copyto(target.owner, values)

    def download(self, array):
        return array.owner


class NullEngine:
    """Hands the input latent on, as a network with no velocity would."""

    def __init__(self, component, sizes=None):
        self.inputs, self.outputs = component.inputs, component.outputs
        self._sizes = sizes or {}

    def context(self):
        return self

    def run(self, inputs, outputs=None):
        if outputs is None:
            sizes = {"h": 8, "w": 8, "tokens": 16, "text": 5, "images": 1, "rows": 2, **self._sizes}
            if "timesteps" in inputs:
                sizes["steps"] = inputs["timesteps"].shape[0]
            return {
                spec.name: host_array(
                    np.zeros([sizes.get(axis, axis) for axis in spec.shape], dtype=np.float32)
                )
                for spec in self.outputs
            }
        outputs["next_latent"].owner[...] = inputs["latent"].owner
        return dict(outputs)
