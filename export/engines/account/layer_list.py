"""The list of layers that NVIDIA's compiler prints as it builds, one line for each.

A plan itself can only be looked into where there is a driver; the list can be had anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dit4sr.runtime.errors import IntegrityError

Entry = dict[str, Any]
"""One layer: its ``Name``, ``LayerType``, ``Inputs``, ``Constants``, ``Outputs`` and ``Metadata``."""

_LINE = re.compile(
    r"^Name: (?P<Name>.*?), LayerType: (?P<LayerType>\w*), Inputs: \[(?P<Inputs>.*?)\], "
    r"Constants: \[(?P<Constants>.*?)\], Outputs: \[(?P<Outputs>.*?)\], TacticName: (?P<TacticName>.*?), "
    r"StreamId: .*?Metadata: ?(?P<Metadata>.*)$"
)
_TENSOR = re.compile(r"\{ Name: (.*?), Dimensions: \[([-\d,]*)\].*?Datatype: (\w+)")


def is_layer_list(message: str) -> bool:
    """True for the one message of a compiler's log that lists the layers."""
    return message.lstrip().startswith("Layers:") and "LayerType: " in message


def parse_layer_list(message: str) -> list[Entry]:
    """Read the message; every line that speaks of a layer must be understood, or the count would be wrong."""
    # Not `splitlines`: a record separator, at which that splits as well, stands between the names of nodes.
    lines = [line for line in message.split("\n") if "LayerType: " in line]
    return [_entry(line) for line in lines]


def write_layer_list(entries: Sequence[Entry], path: Path) -> None:
    """Write a list as JSON, a line for each layer."""
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def read_layer_list(content: bytes, name: str) -> list[Entry]:
    """Read what `write_layer_list` wrote, or the same from another hand."""
    try:
        entries = json.loads(content)
        if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
            raise ValueError("it is no array of layers")
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{name} is no list of layers ({error})", fix="build the engine anew") from None
    return entries


def _entry(line: str) -> Entry:
    found = _LINE.match(line.strip())
    if found is None:
        raise RuntimeError(f"the compiler's list of layers has a line of a new kind: {line[:200]}")
    entry: Entry = found.groupdict()
    for key in ("Inputs", "Constants", "Outputs"):
        entry[key] = _tensors(entry[key])
    return entry


def _tensors(text: str) -> list[Entry]:
    return [
        {"Name": name, "Dimensions": [int(size) for size in sizes.split(",") if size], "Datatype": kind}
        for name, sizes, kind in _TENSOR.findall(text)
    ]


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and all(isinstance(entry.get(key), str) for key in ("Name", "LayerType", "Metadata"))
        and all(isinstance(entry.get(key), list) for key in ("Inputs", "Constants", "Outputs"))
        and all(_is_tensor(each) for key in ("Inputs", "Constants", "Outputs") for each in entry[key])
    )


def _is_tensor(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("Datatype"), str)
        and isinstance(entry.get("Dimensions"), list)
        and all(type(size) is int for size in entry["Dimensions"])
    )
