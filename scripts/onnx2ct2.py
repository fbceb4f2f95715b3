#!/usr/bin/env python3
"""Converts a quantised ONNX Whisper (encoder_model_quantized, decoder_model_merged_quantized) to a CTranslate2 folder.

The uint8 weights are made floats again and then quantised as CTranslate2 does it.
Needs: pip install ctranslate2 numpy onnx
"""

import argparse
import os
import re

import numpy as np
import onnx
from ctranslate2.specs import whisper_spec
from onnx import numpy_helper

from ggml2ct2 import common_arguments, fill, read_json, save

QUANTIZED = "_quantized"
ATTENTION = {"self_attn": "attn", "encoder_attn": "cross_attn"}
PROJECTION = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}
IN_BLOCK = {
    "self_attn_layer_norm": "attn_ln",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}


def openai_name(side, name):
    """`layers.0.self_attn.q_proj.bias` of the decoder is `decoder.blocks.0.attn.query.bias`."""
    in_block = re.match(r"layers\.(\d+)\.(.*)", name)
    if not in_block:
        last_norm = "ln_post." if side == "encoder" else "ln."
        name = name.replace("embed_positions.weight", "positional_embedding")
        name = name.replace("embed_tokens.weight", "token_embedding.weight").replace("layer_norm.", last_norm)
        return f"{side}.{name}"
    number, rest = in_block.groups()
    for theirs, ours in IN_BLOCK.items():
        rest = rest.replace(theirs, ours)
    for theirs, ours in ATTENTION.items():
        rest = re.sub(rf"^{theirs}\.", ours + ".", rest)
    for theirs, ours in PROJECTION.items():
        rest = rest.replace(f".{theirs}.", f".{ours}.")
    return f"{side}.blocks.{number}.{rest}"


def graphs(graph):
    """A graph and those within its branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from graphs(attribute.g)


def plain(name):
    return re.sub(r"^model\.(decoder|encoder)\.", "", re.sub(r"_merged_\d+$", "", name))


def load(path, side, tensors):
    initializers, nodes = {}, []
    for graph in graphs(onnx.load(path).graph):
        initializers.update({tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer})
        nodes += graph.node

    def dequantized(name):
        weights = initializers[name + QUANTIZED].astype(np.float32)
        return (weights - initializers[name + "_zero_point"].astype(np.float32)) * initializers[name + "_scale"]

    for name, array in initializers.items():
        if array.dtype == np.float32 and re.search(r"\.(bias|weight)(_merged_\d+)?$", name):
            tensors[openai_name(side, plain(name))] = array
        if re.search(r"embed_(tokens|positions)\.weight(_merged_\d+)?_quantized$", name):
            whole = name[: -len(QUANTIZED)]
            tensors[openai_name(side, plain(whole))] = dequantized(whole)
    for node in nodes:
        if node.op_type not in ("MatMulInteger", "ConvInteger") or not node.input[1].endswith(QUANTIZED):
            continue
        weights = node.input[1][: -len(QUANTIZED)]
        layer = re.sub(r"^/(model/(decoder|encoder)/)?", "", node.name)
        layer = re.sub(r"/(MatMul|Conv)_quant.*$", "", layer).replace("/", ".")
        if weights + QUANTIZED not in initializers or layer.startswith("proj_out"):
            continue
        array = dequantized(weights)
        # ONNX multiplies from the other side.
        array = array if node.op_type == "ConvInteger" else array.T
        tensors[openai_name(side, layer + ".weight")] = np.ascontiguousarray(array)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="example: onnx2ct2.py whisper-base models/base --name base"
    )
    parser.add_argument("source", help="folder with config.json, tokenizer.json, generation_config.json and onnx/")
    common_arguments(parser)
    args = parser.parse_args()
    args.tokenizer, args.vocab, args.base_config = args.source, None, None
    args.gen = os.path.join(args.source, "generation_config.json")
    tensors = {}
    load(os.path.join(args.source, "onnx", "encoder_model_quantized.onnx"), "encoder", tensors)
    load(os.path.join(args.source, "onnx", "decoder_model_merged_quantized.onnx"), "decoder", tensors)
    config = read_json(os.path.join(args.source, "config.json"))
    spec = whisper_spec.WhisperSpec(
        config["encoder_layers"],
        config["encoder_attention_heads"],
        config["decoder_layers"],
        config["decoder_attention_heads"],
    )
    fill(spec, tensors)
    save(spec, args, config["vocab_size"])


if __name__ == "__main__":
    main()
