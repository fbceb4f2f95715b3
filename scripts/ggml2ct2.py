#!/usr/bin/env python3
"""Converts a whisper.cpp model file (legacy ggml, f16 or f32) to a CTranslate2 model folder.

Needs: pip install ctranslate2 numpy
"""

import argparse
import json
import os
import shutil
import struct
import sys

import numpy as np
from ctranslate2.specs import whisper_spec

MAGIC = 0x67676D6C
HEADER = (
    "n_vocab n_audio_ctx n_audio_state n_audio_head n_audio_layer "
    "n_text_ctx n_text_state n_text_head n_text_layer n_mels ftype"
).split()

# Decoder heads whose attention follows the audio, as OpenAI published them.
ALIGNMENT_HEADS = {
    "tiny.en": [[1, 0], [2, 0], [2, 5], [3, 0], [3, 1], [3, 2], [3, 3], [3, 4]],
    "tiny": [[2, 2], [3, 0], [3, 2], [3, 3], [3, 4], [3, 5]],
    "base.en": [[3, 3], [4, 7], [5, 1], [5, 5], [5, 7]],
    "base": [[3, 1], [4, 2], [4, 3], [4, 7], [5, 1], [5, 2], [5, 4], [5, 6]],
    "small": [[5, 3], [5, 9], [8, 0], [8, 4], [8, 7], [8, 8], [9, 0], [9, 7], [9, 9], [10, 5]],
}


def read_ggml(path):
    """Returns the header's numbers and the tensors by their OpenAI names."""
    with open(path, "rb") as file:

        def read(fmt):
            return struct.unpack("<" + fmt, file.read(struct.calcsize("<" + fmt)))

        if read("I")[0] != MAGIC:
            sys.exit(f"{path}: not a whisper.cpp model in the ggml format")
        header = dict(zip(HEADER, read("11i")))
        mels, bins = read("2i")
        file.seek(4 * mels * bins, os.SEEK_CUR)
        for _ in range(read("i")[0]):
            file.seek(read("I")[0], os.SEEK_CUR)
        tensors = {}
        while len(start := file.read(12)) == 12:
            dimensions, name_length, kind = struct.unpack("<3i", start)
            shape = read(f"{dimensions}i")[::-1]
            name = file.read(name_length).decode()
            if kind not in (0, 1):
                sys.exit(f"{path}: tensor {name} is quantised (type {kind}); only f16 and f32 are read")
            dtype = np.dtype(np.float16 if kind else np.float32)
            count = int(np.prod(shape))
            data = np.frombuffer(file.read(count * dtype.itemsize), dtype)
            tensors[name] = data.reshape(shape).astype(np.float32)
        return header, tensors


def contiguous(array):
    return np.ascontiguousarray(array, dtype=np.float32)


class Filler:
    """Copies tensors by OpenAI name into a CTranslate2 specification."""

    def __init__(self, tensors):
        self.tensors = tensors

    def norm(self, spec, name):
        spec.gamma = contiguous(self.tensors[name + ".weight"])
        spec.beta = contiguous(self.tensors[name + ".bias"])

    def linear(self, spec, name):
        spec.weight = contiguous(self.tensors[name + ".weight"])
        spec.bias = contiguous(self.tensors[name + ".bias"])

    def fused(self, spec, name, parts):
        """Several projections in one; keys have no bias in Whisper."""
        weights = [self.tensors[f"{name}.{part}.weight"] for part in parts]
        zeros = np.zeros(weights[0].shape[0])
        spec.weight = contiguous(np.concatenate(weights))
        spec.bias = contiguous(np.concatenate([self.tensors.get(f"{name}.{part}.bias", zeros) for part in parts]))

    def block(self, spec, name, has_cross):
        self.fused(spec.self_attention.linear[0], name + ".attn", ["query", "key", "value"])
        self.linear(spec.self_attention.linear[1], name + ".attn.out")
        self.norm(spec.self_attention.layer_norm, name + ".attn_ln")
        if has_cross:
            self.linear(spec.attention.linear[0], name + ".cross_attn.query")
            self.fused(spec.attention.linear[1], name + ".cross_attn", ["key", "value"])
            self.linear(spec.attention.linear[2], name + ".cross_attn.out")
            self.norm(spec.attention.layer_norm, name + ".cross_attn_ln")
        self.linear(spec.ffn.linear_0, name + ".mlp.0")
        self.linear(spec.ffn.linear_1, name + ".mlp.2")
        self.norm(spec.ffn.layer_norm, name + ".mlp_ln")


def fill(spec, tensors):
    filler = Filler(tensors)
    encoder, decoder = spec.encoder, spec.decoder
    for number, convolution in ((1, encoder.conv1), (2, encoder.conv2)):
        convolution.weight = contiguous(tensors[f"encoder.conv{number}.weight"])
        convolution.bias = contiguous(tensors[f"encoder.conv{number}.bias"].reshape(-1))
    encoder.position_encodings.encodings = contiguous(tensors["encoder.positional_embedding"])
    filler.norm(encoder.layer_norm, "encoder.ln_post")
    for number, layer in enumerate(encoder.layer):
        filler.block(layer, f"encoder.blocks.{number}", has_cross=False)
    embedding = contiguous(tensors["decoder.token_embedding.weight"])
    decoder.embeddings.weight = embedding
    decoder.projection.weight = embedding
    decoder.position_encodings.encodings = contiguous(tensors["decoder.positional_embedding"])
    filler.norm(decoder.layer_norm, "decoder.ln")
    for number, layer in enumerate(decoder.layer):
        filler.block(layer, f"decoder.blocks.{number}", has_cross=True)


def read_json(path):
    if not path:
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def vocabulary(tokenizer, listed, size):
    """The tokens by number: from a list, or from the tokenizer with Whisper's time marks behind."""
    if listed:
        with open(listed, encoding="utf-8") as file:
            tokens = [line.rstrip("\n") for line in file]
    else:
        known = read_json(os.path.join(tokenizer, "tokenizer.json"))
        numbers = dict(known["model"]["vocab"])
        numbers.update({token["content"]: token["id"] for token in known["added_tokens"]})
        by_number = {number: token for token, number in numbers.items()}
        tokens = [by_number[number] for number in range(max(by_number) + 1)]
        tokens += [f"<|{number * 0.02:.2f}|>" for number in range(size - len(tokens))]
        tokens = tokens[:size]
    if len(tokens) != size:
        sys.exit(f"the vocabulary has {len(tokens)} tokens, the model {size}")
    return tokens


def save(spec, args, vocabulary_size):
    """`args`: out, name, quantization, tokenizer, vocab, gen, base_config."""
    spec.register_vocabulary(vocabulary(args.tokenizer, args.vocab, vocabulary_size))
    settings, base = read_json(args.gen), read_json(args.base_config)
    spec.config.suppress_ids = settings.get("suppress_tokens") or base.get("suppress_ids")
    spec.config.suppress_ids_begin = settings.get("begin_suppress_tokens") or base.get("suppress_ids_begin")
    languages = settings.get("lang_to_id")
    spec.config.lang_ids = sorted(languages.values()) if languages else base.get("lang_ids")
    spec.config.alignment_heads = settings.get("alignment_heads") or ALIGNMENT_HEADS[args.name]
    spec.validate()
    spec.optimize(quantization=args.quantization)
    os.makedirs(args.out, exist_ok=True)
    spec.save(args.out)
    shutil.copy(os.path.join(args.tokenizer, "tokenizer.json"), args.out)


def common_arguments(parser):
    parser.add_argument("out", help="folder to write")
    parser.add_argument("--name", required=True, choices=sorted(ALIGNMENT_HEADS), help="which Whisper it is")
    parser.add_argument("--quantization", default="int8_float32", help="int8_float32 (default), float16, float32")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="example: ggml2ct2.py ggml-base.en.bin models/base.en --name base.en --tokenizer models/tiny.en "
        "--vocab models/tiny.en/vocabulary.txt --base-config models/tiny.en/config.json",
    )
    parser.add_argument("source", help="the ggml file")
    common_arguments(parser)
    parser.add_argument("--tokenizer", required=True, help="folder with tokenizer.json")
    parser.add_argument("--vocab", help="vocabulary.txt, where the tokenizer lacks tokens")
    parser.add_argument("--gen", help="generation_config.json: suppressed tokens, languages")
    parser.add_argument("--base-config", help="config.json of a converted model to take the same from")
    args = parser.parse_args()
    header, tensors = read_ggml(args.source)
    spec = whisper_spec.WhisperSpec(
        header["n_audio_layer"], header["n_audio_head"], header["n_text_layer"], header["n_text_head"]
    )
    fill(spec, tensors)
    save(spec, args, header["n_vocab"])


if __name__ == "__main__":
    main()
