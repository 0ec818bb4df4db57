"""JointAttention: one softmax over the tokens of all streams, from packed projections to one answer each.

A stream's packed projection holds `q | k | v` on its last axis, each `heads * head_dim` wide. Every query and
key is RMS-normalised per head, the image streams (noise, LR) with one pair of weights, text with its own;
then each stream's queries attend to the keys of `[noise | LR | text]`. Three operators share this:

- `joint_attention`: all three streams,
- `joint_attention_final`: the last block, where text is read but asks nothing,
- `joint_attention_dual`: the second attention of the dual-attention layers, without text.

The width of the LR projection tells the flavour: `q | k | v` is `own`; `q | v` is `copied`, whose LR keys are
the normalised noise keys, normalised once more. `reference.py` is the definition; the other modules are the
same operators for torch, Triton, ONNX and TensorRT.
"""
