"""A checkpoint's tokenizers, made to say for themselves how long a prompt is and what pads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dit4sr.export.weights.checkpoint import read_json
from dit4sr.runtime.errors import BadInputError

FILE = "tokenizer.json"
SLOW_FILES = ("vocab.json", "merges.txt", "spiece.model")
"""Files of a slow tokenizer, which a runtime without transformers cannot read."""
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer's folder, and the number of tokens that its encoder is given."""

    folder: Path
    tokens: int

    def cut_to(self, tokens: int) -> Tokenizer:
        """The same for prompts of another length."""
        return replace(self, tokens=tokens)

    def to_text(self) -> str:
        """The bundle's ``tokenizer.json``: the checkpoint's, cut and padded to length.

        Published files leave both to whoever calls them. SD3.5 always cuts and always pads, and padding is
        part of what the network has learnt to read.
        """
        values = self._read()
        token = self._padding()
        values["truncation"] = {
            "direction": "Right",
            "max_length": self.tokens,
            "strategy": "LongestFirst",
            "stride": 0,
        }
        values["padding"] = {
            "strategy": {"Fixed": self.tokens},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": self._number_of(token, values),
            "pad_type_id": 0,
            "pad_token": token,
        }
        return json.dumps(values, ensure_ascii=False, indent=1) + "\n"

    def _read(self) -> dict[str, Any]:
        if (self.folder / FILE).exists():
            return read_json(self.folder / FILE)
        found = [name for name in SLOW_FILES if (self.folder / name).is_file()]
        raise BadInputError(
            f"{self.folder} holds no {FILE}" + (f", only {', '.join(found)}" if found else ""),
            expected="the form that a runtime without transformers can read",
            fix="write it with transformers' AutoTokenizer.from_pretrained(folder).save_pretrained(folder), "
            "or name the other --components to leave this text encoder out",
        )

    def _padding(self) -> str:
        """The token that pads a prompt, which the files beside the tokenizer name."""
        for name in SETTINGS:
            if (self.folder / name).exists():
                token = read_json(self.folder / name).get("pad_token")
                token = token.get("content") if isinstance(token, Mapping) else token
                if isinstance(token, str):
                    return token
        raise BadInputError(
            f"{self.folder} names no pad_token",
            expected=f"one in {' or '.join(SETTINGS)}",
            fix="copy or download the folder again",
        )

    def _number_of(self, token: str, values: Mapping[str, Any]) -> int:
        try:
            added = {entry["content"]: entry["id"] for entry in values.get("added_tokens") or []}
            vocabulary = values["model"]["vocab"]
            if isinstance(vocabulary, list):  # a unigram model lists tokens with their scores
                vocabulary = {entry[0]: place for place, entry in enumerate(vocabulary)}
            return int({**vocabulary, **added}[token])
        except (KeyError, IndexError, TypeError, ValueError):
            raise BadInputError(
                f"{self.folder / FILE} does not know the padding token {token!r}",
                expected="a tokenizer that the settings beside it belong to",
            ) from None
