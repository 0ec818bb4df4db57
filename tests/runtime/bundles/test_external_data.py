"""Weights outside a graph: found wherever a tensor may be, and only where the manifest says that they are."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator

import onnx
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from dit4sr.runtime.bundles import external_data
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.external_data import (
    CHILDREN,
    MalformedGraphError,
    check_external_data,
    external_tensors,
)
from dit4sr.runtime.bundles.manifest import FileRecord
from dit4sr.runtime.errors import IncompatibleError, IntegrityError

GRAPH = FileRecord("onnx/step.onnx", 1, "0" * 64)
DATA = (FileRecord("onnx/step.onnx.data", 64, "0" * 64), FileRecord("onnx/more/w", 64, "0" * 64))


def external(location: str = "unnamed", name: str = "weight", **words: object) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **words}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def check(model: onnx.ModelProto | bytes) -> None:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    check_external_data(content, GRAPH, DATA, DATA[0].path)


def in_initializer(model, tensor):
    model.graph.initializer.append(tensor)


def in_sparse_values(model, tensor):
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)


def in_sparse_indices(model, tensor):
    model.graph.sparse_initializer.add().indices.CopyFrom(tensor)


def in_constant(model, tensor):
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def in_list_of_tensors(model, tensor):
    model.graph.node.add(op_type="Any").attribute.add(name="all").tensors.append(tensor)


def in_sparse_attribute(model, tensor):
    model.graph.node.add(op_type="Any").attribute.add(name="one").sparse_tensor.values.CopyFrom(tensor)


def in_branch(model, tensor):
    branch = helper.make_graph([], "then", [], [], [tensor])
    model.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))


def in_branch_of_branch(model, tensor):
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "inner", [], [])
    outer = helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=inner)], "outer", [], [])
    model.graph.node.append(helper.make_node("Loop", ["n"], ["y"], body=outer))


def in_list_of_graphs(model, tensor):
    model.graph.node.add(op_type="Any").attribute.add(name="all").graphs.add().initializer.append(tensor)


def in_function(model, tensor):
    model.functions.add(name="f").node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def in_default_of_function(model, tensor):
    model.functions.add(name="f").attribute_proto.add(name="a").t.CopyFrom(tensor)


def in_training(model, tensor):
    model.training_info.add().algorithm.initializer.append(tensor)


PLACES: dict[str, Callable] = {
    name[3:]: place for name, place in list(globals().items()) if name[:3] == "in_"
}


@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_the_manifest_does_not_name_is_refused_wherever_it_is_named(place):
    for location, is_named in (("unnamed", False), ("step.onnx.data", True)):
        model = onnx.ModelProto(ir_version=8)
        PLACES[place](model, external(location))
        if is_named:
            check(model)
        else:
            with pytest.raises(IntegrityError, match="takes weights from 'unnamed'"):
                check(model)


def test_the_places_are_all_there_are():
    """Read off onnx's own description of its messages: every field that leads to a tensor is in the table."""
    messages, pending = {}, [onnx.ModelProto.DESCRIPTOR]
    while pending:
        message = pending.pop()
        if message.name not in messages:
            messages[message.name] = {
                field.number: field.message_type.name for field in message.fields if field.message_type
            }
            pending += [field.message_type for field in message.fields if field.message_type]
    leading = {"TensorProto"}
    for _ in messages:
        leading |= {name for name, fields in messages.items() if leading & set(fields.values())}
    table = {
        name: {number: kind for number, kind in messages[name].items() if kind in leading} for name in leading
    }
    place = TensorProto.DESCRIPTOR.fields_by_name["external_data"]
    table["TensorProto"] = {place.number: place.message_type.name}
    assert {name: dict(fields) for name, fields in CHILDREN.items()} == table


@pytest.mark.parametrize(
    "location",
    [
        *("", ".", "/etc/passwd", "../step.onnx.data", "./step.onnx.data", "more/../step.onnx.data"),
        *("step.onnx", "STEP.onnx.data", "step.onnx.data\0", "*/_ORT_MEM_ADDR_/*", "x" * 4000, "\ud7ff"),
    ],
)
def test_only_the_very_names_of_the_files_are_taken(location):
    model = onnx.ModelProto()
    in_initializer(model, external(location))
    with pytest.raises(IntegrityError, match="takes weights from") as refusal:
        check(model)
    assert len(str(refusal.value)) < 400
    assert "\n" not in str(refusal.value)


def test_a_file_in_a_folder_below_is_taken():
    model = onnx.ModelProto()
    in_initializer(model, external("more/w", offset=48, length=16))
    check(model)


@pytest.mark.parametrize(
    "words", [{"offset": 65}, {"length": 65}, {"offset": 60, "length": 8}, {"offset": 2**63, "length": 8}]
)
def test_nothing_is_read_beyond_the_end(words):
    model = onnx.ModelProto()
    in_initializer(model, external("step.onnx.data", **words))
    with pytest.raises(IntegrityError, match=r"beyond the end of 'step\.onnx\.data'"):
        check(model)


@pytest.mark.parametrize("offset", ["-8", "1e3", "0x10", "", " 8", "9" * 30, "٣"])
def test_an_offset_that_is_no_number_is_refused(offset):
    model = onnx.ModelProto()
    in_initializer(model, external("step.onnx.data", offset=offset))
    with pytest.raises(IncompatibleError, match="no number"):
        check(model)


def test_external_data_counts_even_if_the_tensor_denies_it():
    """A message that occurs twice is merged: one half has the place, and the other says that it counts."""
    one = external()
    one.data_location = TensorProto.DEFAULT
    model = onnx.ModelProto()
    in_initializer(model, one)
    with pytest.raises(IntegrityError):
        check(model)


# -------------------------------------------------------------------------------------------------- bytes


def key(number: int, wire_type: int) -> bytes:
    return bytes([number << 3 | wire_type])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (key(7, 2) + b"\x05abcd", "longer than its message"),
        (key(7, 2) + b"\xff" * 9 + b"\x01", "longer than its message"),
        (key(7, 2) + b"\xff" * 11, "no end"),
        (key(7, 2) + b"\x80", "no end"),
        (b"\x80", "no end"),
        (key(1, 0), "no end"),
        (key(1, 1) + b"1234567", "longer than its message"),
        (key(1, 5) + b"123", "longer than its message"),
        (key(7, 3) + key(7, 4), "of kind"),
        (key(0, 0) + b"\0", "no number"),
        (b"\xba\x80\x80\x80\x80\x01" + b"\0", "no number"),
        (b"no graph at all", "of kind"),
    ],
)
def test_what_is_no_message_is_refused_in_one_line(content, words):
    with pytest.raises(IncompatibleError, match=rf"it is no ONNX graph \(.*{words}"):
        check(content)


def nested(depth: int) -> bytes:
    """A graph in a node in a graph, and so on, from the inside out."""
    content = b""
    for level in range(depth):
        number = (7, 1, 5, 6)[0 if level == depth - 1 else 1 + (depth - 2 - level) % 3]
        length, count = b"", len(content)
        while count > 0x7F:
            length, count = length + bytes([count & 0x7F | 0x80]), count >> 7
        content = key(number, 2) + length + bytes([count]) + content
    return content


def test_depth_and_number_of_parts_are_bounded(monkeypatch):
    check(nested(90))
    with pytest.raises(IncompatibleError, match="nested too deeply"):
        check(nested(3000))
    monkeypatch.setattr(external_data, "MOST_FIELDS", 1000)
    with pytest.raises(IncompatibleError, match="too many parts"):
        check(b"\x08\x01" * 1001)


def test_unknown_fields_are_stepped_over():
    model = onnx.ModelProto()
    in_initializer(model, external())
    unknown = key(15, 0) + b"\x01" + key(14, 2) + b"\x03abc" + key(13, 1) + bytes(8) + key(12, 5) + bytes(4)
    assert list(external_tensors(unknown + model.SerializeToString() + unknown)) == [
        {b"location": b"unnamed"}
    ]


def small_model() -> bytes:
    model = onnx.ModelProto(ir_version=8)
    for place in PLACES.values():
        place(model, external("w", offset=8, length=8))
    return model.SerializeToString()


SMALL, STEP = small_model(), (tiny_bundle() / "onnx" / "step.onnx").read_bytes()


def tensors_by_onnx(message: Message) -> Iterator[TensorProto]:
    if isinstance(message, TensorProto):
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
                if isinstance(child, Message):
                    yield from tensors_by_onnx(child)


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**48))
def test_mutated_graphs_are_refused_or_read_as_onnx_reads_them(seed):
    rng = random.Random(seed)
    content = bytearray(rng.choice([SMALL, SMALL, STEP[:4000]]))
    for _ in range(rng.randint(0, 4)):
        position = rng.randrange(len(content))
        action = rng.randrange(4)
        if action == 0:
            content[position] = rng.randrange(256)
        elif action == 1:
            del content[position : position + rng.randint(1, 9)]
        elif action == 2:
            content[position:position] = rng.randbytes(rng.randint(1, 9))
        else:
            start = rng.randrange(len(content))
            content[position:position] = content[start : start + rng.randint(1, 60)]
    try:
        ours = [words.get(b"location") for words in external_tensors(bytes(content))]
    except MalformedGraphError:
        return
    try:
        model = onnx.load_from_string(bytes(content))
    except DecodeError:
        return
    theirs = [
        # What is no text, onnx gives as bytes.
        entry.value if isinstance(entry.value, bytes) else entry.value.encode()
        for tensor in tensors_by_onnx(model)
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    ]
    assert set(theirs) <= set(ours)


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200))
def test_no_bytes_lead_to_anything_but_an_answer(content):
    with contextlib.suppress(MalformedGraphError):
        list(external_tensors(content))
