"""Exact simplification: a smaller network that computes the same thing.

These are the recipes for every weight of the deployed network. What is no weight fold is in the shape of that
network itself (``deployed``): the parts hoisted out of the step loop, the LR keys copied inside the attention
operator, the final block's text that asks nothing.
"""

from __future__ import annotations

from torch import Tensor

from dit4sr.export.architectures.dit4sr.config import Flavour, Injection, TransformerConfig
from dit4sr.export.architectures.dit4sr.released.feed_forward import INJECTION_SCALE
from dit4sr.export.architectures.mmdit.recipes import embedder, linear
from dit4sr.export.weights.folds import Fold, Recipes, compose_biases, compose_weights, stack_rows, stacked

# --- The folds -----------------------------------------------------------------------------------


def absorb_injection_scale(weight: Tensor) -> Tensor:
    """Fold the injection's constant factor into a weight or bias of the layer before it."""
    return (weight.double() * INJECTION_SCALE).to(weight.dtype)


def channels_last_taps(weight: Tensor) -> Tensor:
    """Lay out a depthwise kernel ``[C, 1, 3, 3]`` as ``[3, 3, C]``, like the tokens it filters."""
    return weight.squeeze(1).permute(1, 2, 0).contiguous()


# --- The recipes, in the order of the network ----------------------------------------------------


def prepare_recipes(config: TransformerConfig) -> Recipes:
    """Recipes for the weights of `Prepare`: what was hoisted out of the step loop."""
    recipes = linear("patch", "pos_embed.proj") | linear("context", "context_embedder")
    for each in ("timestep_embedder", "text_embedder"):
        recipes |= embedder(f"steering.{each}", f"time_text_embed.{each}")
    return recipes | stacked("modulation", modulation_keys(config))


def modulation_keys(config: TransformerConfig) -> list[str]:
    """Keys of the AdaLN layers, in the order in which the denoiser takes their modulations."""
    blocks = [f"transformer_blocks.{layer}" for layer in range(config.num_layers)]
    norms = [f"{block}.{norm}.linear" for block in blocks for norm in ("norm1", "norm1_context")]
    return [*norms, "norm_out.linear"]


def denoiser_recipes(config: TransformerConfig) -> Recipes:
    """Recipes for the weights of `Denoiser`: what runs at every step."""
    recipes = linear("patch", "pos_embed.proj") | linear("output", "proj_out")
    for layer in range(config.num_layers):
        released, block = f"transformer_blocks.{layer}", f"blocks.{layer}"
        recipes |= image_attention(f"{block}.attn", f"{released}.attn", config.flavour)
        recipes |= text_attention(f"{block}.attn", f"{released}.attn", final=config.is_final(layer))
        if config.is_dual(layer):
            recipes |= image_attention(f"{block}.attn2", f"{released}.attn2", config.flavour)
        recipes |= image_feed_forward(f"{block}.ff", f"{released}.ff", config.injection)
        if not config.is_final(layer):
            recipes |= linear(f"{block}.text_expand", f"{released}.ff_context.net.0.proj")
            recipes |= linear(f"{block}.text_contract", f"{released}.ff_context.net.2")
    return recipes


def image_attention(name: str, released: str, flavour: Flavour) -> Recipes:
    """Recipes for noise and LR projections: each stream's stacked, the LR stream's composed with their bases.

    In flavour ``copied`` the LR keys are thrown away as released, so their two matrices are not even read.
    """
    lr_parts = ("q", "v") if flavour is Flavour.COPIED else ("q", "k", "v")
    return {
        **stacked(f"{name}.noise_qkv", [f"{released}.to_{part}" for part in ("q", "k", "v")]),
        f"{name}.lr_qkv.weight": Fold(
            stack_rows, tuple(composed_weight(f"{released}.to_{part}") for part in lr_parts)
        ),
        f"{name}.lr_qkv.bias": Fold(
            stack_rows, tuple(composed_bias(f"{released}.to_{part}") for part in lr_parts)
        ),
        **linear(f"{name}.noise_out", f"{released}.to_out.0"),
        **linear(f"{name}.lr_out", f"{released}.to_out_control"),
        f"{name}.norm_q": f"{released}.norm_q.weight",
        f"{name}.norm_k": f"{released}.norm_k.weight",
    }


def composed_weight(base: str) -> Fold:
    """Recipe for the weight of a base projection followed by its control projection."""
    return Fold(compose_weights, (f"{base}_control.weight", f"{base}.weight"))


def composed_bias(base: str) -> Fold:
    """Recipe for the bias of a base projection followed by its control projection."""
    return Fold(compose_biases, (f"{base}_control.weight", f"{base}.bias", f"{base}_control.bias"))


def text_attention(name: str, released: str, *, final: bool) -> Recipes:
    """Recipes for text projections, stacked; the final block's text is only read, so it has no queries."""
    if final:
        return {
            **stacked(f"{name}.text_kv", [f"{released}.add_{part}_proj" for part in ("k", "v")]),
            f"{name}.text_norm_k": f"{released}.norm_added_k.weight",
        }
    return {
        **stacked(f"{name}.text_qkv", [f"{released}.add_{part}_proj" for part in ("q", "k", "v")]),
        **linear(f"{name}.text_out", f"{released}.to_add_out"),
        f"{name}.text_norm_q": f"{released}.norm_added_q.weight",
        f"{name}.text_norm_k": f"{released}.norm_added_k.weight",
    }


def image_feed_forward(name: str, released: str, injection: Injection) -> Recipes:
    """Recipes for the image streams' MLP, the injection's factor absorbed."""
    recipes = linear(f"{name}.expand", f"{released}.net.0.proj")
    recipes |= linear(f"{name}.contract", f"{released}.net.2")

    def absorbed(key: str) -> Fold:
        return Fold(absorb_injection_scale, (f"{released}.{key}",))

    match injection:
        case Injection.CONVOLUTION:
            recipes[f"{name}.taps"] = Fold(channels_last_taps, (absorbed("control_conv.weight"),))
            recipes[f"{name}.tap_bias"] = absorbed("control_conv.bias")
        case Injection.LINEAR:
            recipes[f"{name}.injected.weight"] = absorbed("control_linear.weight")
            recipes[f"{name}.injected.bias"] = absorbed("control_linear.bias")
        case Injection.CHANNEL:
            recipes[f"{name}.factor"] = absorbed("control_scale")
        case Injection.NONE:
            pass
    return recipes
