"""Ways in which a checkpoint comes to harm. Each takes a sound one and leaves it unfit to load."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Damage = Callable[[Path, random.Random], None]

WEIGHTS = "diffusion_pytorch_model.safetensors"
INDEX = f"{WEIGHTS}.index.json"


def weights_file(folder: Path, rng: random.Random) -> Path:
    return rng.choice(sorted((folder / "transformer").glob("*.safetensors")))


def rewrite(file: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, file)


def edit_json(file: Path, change: Callable[[dict], None]) -> None:
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


# --- Bytes ---------------------------------------------------------------------------------------


def truncate(folder, rng):
    file = weights_file(folder, rng)
    file.write_bytes(file.read_bytes()[: rng.randrange(file.stat().st_size)])


def append(folder, rng):
    with weights_file(folder, rng).open("ab") as file:
        file.write(rng.randbytes(rng.randint(1, 99)))


def lie_about_the_header(folder, rng):
    file = weights_file(folder, rng)
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    other = rng.choice([0, 1, length - 1, length + 8, 2**31, 2**63, rng.getrandbits(64)])
    file.write_bytes(other.to_bytes(8, "little") + data[8:])


def scramble_the_header(folder, rng):
    file = weights_file(folder, rng)
    data = bytearray(file.read_bytes())
    data[8:40] = bytes(rng.choice(b"{}[]\x00\xff") for _ in range(32))
    file.write_bytes(data)


def replace_by_something_else(folder, rng):
    content = rng.choice([b"", b"\x80\x04\x95", b"PK\x03\x04" + bytes(64), b"<html>404</html>", bytes(4096)])
    weights_file(folder, rng).write_bytes(content)


# --- Tensors -------------------------------------------------------------------------------------


def lose_a_tensor(folder, rng):
    rewrite(weights_file(folder, rng), lambda tensors: tensors.pop(rng.choice(sorted(tensors))))


def lose_a_block(folder, rng):
    prefix = f"transformer_blocks.{rng.randint(0, 1)}."
    for file in (folder / "transformer").glob("*.safetensors"):

        def lose(tensors):
            for key in [key for key in tensors if key.startswith(prefix)]:
                del tensors[key]

        rewrite(file, lose)


def lose_every_lr_weight(folder, rng):
    del rng
    for file in (folder / "transformer").glob("*.safetensors"):

        def lose(tensors):
            for key in [key for key in tensors if "control" in key]:
                del tensors[key]

        rewrite(file, lose)


def gain_a_tensor(folder, rng):
    name = rng.choice(["extra", "lora_A.weight", "transformer_blocks.7.attn.to_q.weight", "pos_embed"])
    rewrite(weights_file(folder, rng), lambda tensors: tensors.update({name: torch.ones(3)}))


def rename_a_tensor(folder, rng):
    def rename(tensors):
        key = rng.choice(sorted(tensors))
        tensors[f"model.{key}"] = tensors.pop(key)

    rewrite(weights_file(folder, rng), rename)


def reshape_a_tensor(folder, rng):
    def reshape(tensors):
        key = rng.choice(sorted(tensors))
        tensor = tensors[key]
        tensors[key] = rng.choice([tensor.unsqueeze(0), tensor.flatten()[:1], torch.cat([tensor, tensor])])
        if tensors[key].shape == tensor.shape:
            tensors[key] = tensor.unsqueeze(-1)

    rewrite(weights_file(folder, rng), reshape)


def retype_a_tensor(folder, rng):
    def retype(tensors):
        key = rng.choice(sorted(tensors))
        kind = rng.choice([torch.int32, torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn])
        tensors[key] = tensors[key].to(kind)

    rewrite(weights_file(folder, rng), retype)


def spoil_a_number(folder, rng):
    def spoil(tensors):
        # A tensor that no forward pass reads is not looked at, and spoils nothing.
        keys = [key for key in tensors if not (".attn2." in key and "add" in key)]
        flat = tensors[rng.choice(sorted(keys))].view(-1)
        flat[rng.randrange(len(flat))] = rng.choice([float("nan"), float("inf"), 1e9])

    rewrite(weights_file(folder, rng), spoil)


def train_half_of_the_lr_keys(folder, rng):
    key = f"transformer_blocks.{rng.randint(0, 1)}.attn.to_k_control.weight"
    for file in (folder / "transformer").glob("*.safetensors"):

        def zero(tensors):
            if key in tensors:
                tensors[key].zero_()

        rewrite(file, zero)


# --- Config and index ----------------------------------------------------------------------------


def lose_the_config(folder, rng):
    del rng
    (folder / "transformer" / "config.json").unlink()


def misstate_the_config(folder, rng):
    field = rng.choice(
        ["num_layers", "num_attention_heads", "attention_head_dim", "patch_size", "joint_attention_dim",
         "pooled_projection_dim", "pos_embed_max_size", "in_channels", "dual_attention_layers", "qk_norm",
         "caption_projection_dim"]
    )  # fmt: skip
    other = {"dual_attention_layers": [1], "qk_norm": "layer_norm"}.get(
        field, rng.choice([0, 3, 999_999_999])
    )
    edit_json(folder / "transformer" / "config.json", lambda config: config.update({field: other}))


def garble_the_config(folder, rng):
    field = rng.choice(
        ["num_layers", "dual_attention_layers", "patch_size", "sample_size", "variant", "flavour"]
    )
    other = rng.choice(["many", {"a": 1}, [None], -4, 2.5, True, [[1]]])
    edit_json(folder / "transformer" / "config.json", lambda config: config.update({field: other}))


def break_some_json(folder, rng):
    file = rng.choice(sorted((folder / "transformer").glob("*.json")))
    content = rng.choice([b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000, b"{'a': 1}"])
    file.write_bytes(content)


def lose_a_shard(folder, rng):
    weights_file(folder, rng).unlink()


def misplace_a_tensor(folder, rng):
    def misplace(index):
        weight_map = index["weight_map"]
        key = rng.choice(sorted(weight_map))
        others = sorted(set(weight_map.values()) - {weight_map[key]})
        weight_map[key] = rng.choice(
            [*others, "../stray.safetensors", "/etc/passwd", "a.bin", "gone.safetensors", 7]
        )

    edit_json(folder / "transformer" / INDEX, misplace)


def forget_a_tensor(folder, rng):
    def forget(index):
        del index["weight_map"][rng.choice(sorted(index["weight_map"]))]

    edit_json(folder / "transformer" / INDEX, forget)


def empty_the_index(folder, rng):
    other = rng.choice([{}, [], None, "all of them"])
    edit_json(folder / "transformer" / INDEX, lambda index: index.update(weight_map=other))


# --- Whole folders -------------------------------------------------------------------------------


def leave_only_a_pickle(folder, rng):
    for file in (folder / "transformer").glob("*.safetensors*"):
        file.unlink()
    suffix = rng.choice([".bin", ".pt", ".pth", ".ckpt"])
    (folder / "transformer" / f"diffusion_pytorch_model{suffix}").write_bytes(b"\x80\x04K\x01.")


def leave_nothing(folder, rng):
    if rng.random() < 0.5:
        shutil.rmtree(folder)
    else:
        for file in (folder / "transformer").iterdir():
            file.unlink()


def put_a_folder_where_a_file_was(folder, rng):
    file = rng.choice(sorted((folder / "transformer").iterdir()))
    file.unlink()
    file.mkdir()


ANYWHERE: tuple[Damage, ...] = (
    truncate,
    append,
    lie_about_the_header,
    scramble_the_header,
    replace_by_something_else,
    lose_a_tensor,
    lose_a_block,
    lose_every_lr_weight,
    gain_a_tensor,
    rename_a_tensor,
    reshape_a_tensor,
    retype_a_tensor,
    spoil_a_number,
    train_half_of_the_lr_keys,
    lose_the_config,
    misstate_the_config,
    garble_the_config,
    break_some_json,
    leave_only_a_pickle,
    leave_nothing,
    put_a_folder_where_a_file_was,
)
SHARDED: tuple[Damage, ...] = (lose_a_shard, misplace_a_tensor, forget_a_tensor, empty_the_index)
