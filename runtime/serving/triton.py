"""A model of Triton's Python backend: what ``1/model.py`` of a repository imports."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dit4sr.runtime.errors import (
    BadInputError,
    IncompatibleError,
    OutOfMemoryError,
    RunError,
    in_one_line,
    known_failure,
)
from dit4sr.runtime.machine.host import usable_cores
from dit4sr.runtime.restoration import CancelledError, CancelWhen, Progress
from dit4sr.runtime.serving.letter import Letter
from dit4sr.runtime.serving.meters import Meters
from dit4sr.runtime.serving.parameters import Parameters
from dit4sr.runtime.serving.service import Service
from dit4sr.runtime.serving.tensors import PROGRESS

BUNDLE = "bundle"
"""Folder beside ``model.py``, or a link to one."""


class TritonPythonModel:
    """One instance of the model, in a process of its own; Triton calls its methods, one at a time."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the bundle; what fails here leaves the model unready, with the reason in Triton's log."""
        import triton_python_backend_utils as utils  # noqa: PLC0415 - exists only in Triton's processes

        self._utils = utils
        _refuse_empty_tensors()
        config = json.loads(args["model_config"])
        parameters = Parameters.of(
            {name: each["string_value"] for name, each in config["parameters"].items()}
        )
        is_on_gpu = args["model_instance_kind"] == "GPU"
        if is_on_gpu and args["model_instance_device_id"] != "0":
            # The runtime takes the first GPU that it sees.
            os.environ["CUDA_VISIBLE_DEVICES"] = args["model_instance_device_id"]
        self._is_decoupled = utils.using_decoupled_model_transaction_policy(config)
        self._service = Service(
            (Path(args["model_repository"]) / args["model_version"] / BUNDLE).resolve(),
            parameters,
            device="cuda" if is_on_gpu else "cpu",
            threads=parameters.threads or _share_of_cores(config),
        )
        self._meters = Meters(
            utils,
            {
                "model": args["model_name"],
                "version": args["model_version"],
                "instance": args["model_instance_name"],
            },
        )
        for line in (
            f"{args['model_instance_name']} runs on {self._service.backend}",
            *self._service.notices,
        ):
            utils.Logger.log_info(line)

    def execute(self, requests: Sequence[Any]) -> list[Any] | None:
        """Answer requests: one answer each, or a stream each where the model is decoupled."""
        if not self._is_decoupled:
            return [self._answer(request, request.is_cancelled) for request in requests]
        for request in requests:
            self._stream(request)
        return None

    def is_ready(self) -> bool:
        """Whether the engine is well; newer versions of Triton ask."""
        return self._service.is_well

    def finalize(self) -> None:
        """Free the memory."""
        if hasattr(self, "_service"):  # not where opening the bundle failed
            self._service.close()

    def _stream(self, request: Any) -> None:
        """Send the progress of a picture, and last the picture."""
        sender = request.get_response_sender()

        def tell(progress: Progress) -> None:
            counts = np.array([progress.done, progress.total], np.int32)
            sender.send(self._utils.InferenceResponse([self._utils.Tensor(PROGRESS.name, counts)]))

        answer = self._answer(request, sender.is_cancelled, tell)
        sender.send(answer, flags=self._utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _answer(
        self,
        request: Any,
        is_cancelled: Callable[[], bool],
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> Any:
        """The answer to a request; an error is one too, and the next request meets nothing of it."""
        codes, error_of = self._utils.TritonError, self._failed
        try:
            return self._restored(request, CancelWhen(is_cancelled), tell)
        except CancelledError as error:
            return error_of("cancelled", str(error), codes.CANCELLED)
        except Exception as error:
            known = known_failure(error)
            match known:
                case None:
                    self._utils.Logger.log_error(in_one_line(error))
                    return error_of("failed", in_one_line(error), codes.INTERNAL)
                case BadInputError() | RunError():
                    return error_of("refused", str(known), codes.INVALID_ARG)
                case OutOfMemoryError():
                    return error_of("failed", str(known), codes.UNAVAILABLE)
            self._utils.Logger.log_error(str(known))
            return error_of("failed", str(known), codes.INTERNAL)

    def _failed(self, outcome: str, line: str, code: Any) -> Any:
        self._meters.picture(outcome)
        return self._utils.InferenceResponse(error=self._utils.TritonError(line, code))

    def _restored(self, request: Any, cancel: threading.Event, tell: Callable[[Progress], None]) -> Any:
        letter = Letter(self._utils, self._service.engine, request)

        def progress(state: Progress) -> None:
            if state.stage == "step":
                self._meters.step()
            tell(state)

        restored = self._service.restore(letter.wish(), progress, cancel)
        self._meters.seconds(restored.seconds)
        self._meters.picture("restored")
        return self._utils.InferenceResponse(letter.answered_with(restored))


def _refuse_empty_tensors() -> None:
    """Refuse NumPy 2, whose arrays Triton's Python backend takes for empty, and says nothing of it."""
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        raise IncompatibleError(
            f"NumPy {np.__version__}, whose arrays Triton sends as no bytes",
            expected="1.26",
            fix="pip install 'numpy<2', as NVIDIA's images have it",
        )


def _share_of_cores(config: Mapping[str, Any]) -> int:
    """Threads of one instance, such that all instances together have one a core."""
    count = sum(int(group["count"]) for group in config["instance_group"])
    return max(1, int(usable_cores()) // max(1, count))
