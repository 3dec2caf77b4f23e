"""Tiny models in GGUF, written the way llama.cpp writes them, with the numbers they were made from."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

WIDTH, HEADS, KV_HEADS, HIDDEN, LAYERS = 32, 4, 2, 64, 1
HEAD_DIM = WIDTH // HEADS
TOKENS = ["<|endoftext|>", "<|im_end|>", "a", "b", "ab", "Ġ"]
KINDS = [3, 3, 1, 1, 1, 1]
SCORES = [0.0, 0.0, -2.0, -3.0, -1.0, -4.0]

Weights = dict[str, NDArray[np.float32]]


def weights(family: str, output: bool = False) -> Weights:
    """Random weights under Hugging Face's names and in its layout."""
    random = np.random.default_rng(3)

    def some(*shape: int) -> NDArray[np.float32]:
        return random.normal(size=shape).astype(np.float32)

    layer = "model.layers.0"
    made = {
        "model.embed_tokens.weight": some(len(TOKENS), WIDTH),
        "model.norm.weight": some(WIDTH),
        f"{layer}.self_attn.q_proj.weight": some(WIDTH, WIDTH),
        f"{layer}.self_attn.k_proj.weight": some(KV_HEADS * HEAD_DIM, WIDTH),
        f"{layer}.mlp.up_proj.weight": some(HIDDEN, WIDTH),
        f"{layer}.input_layernorm.weight": some(WIDTH),
    }
    if family == "gemma3":
        made[f"{layer}.post_feedforward_layernorm.weight"] = some(WIDTH)
    if family == "qwen2":
        made[f"{layer}.self_attn.q_proj.bias"] = some(WIDTH)
    if output:
        made["lm_head.weight"] = some(len(TOKENS), WIDTH)
    return made


LLAMA_CPP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "model.layers.0.self_attn.q_proj.weight": "blk.0.attn_q.weight",
    "model.layers.0.self_attn.q_proj.bias": "blk.0.attn_q.bias",
    "model.layers.0.self_attn.k_proj.weight": "blk.0.attn_k.weight",
    "model.layers.0.mlp.up_proj.weight": "blk.0.ffn_up.weight",
    "model.layers.0.input_layernorm.weight": "blk.0.attn_norm.weight",
    "model.layers.0.post_feedforward_layernorm.weight": "blk.0.post_ffw_norm.weight",
}


def interleaved(matrix: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """llama.cpp's order of rotary rows: for each head 0, d/2, 1, d/2 + 1, ..."""
    half = matrix.shape[0] // heads // 2
    rows = [head * 2 * half + part * half + row for head in range(heads) for row in range(half) for part in (0, 1)]
    return matrix[rows]


def write_gguf(path: Path, family: str, made: Weights, fields: dict[str, Any] | None = None) -> Path:
    """The weights as a GGUF file; the matrix `up_proj` in Q8_0, the rest in float32."""
    writer = gguf.GGUFWriter(path, family)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    if family == "gemma3":
        writer.add_sliding_window(16)
    writer.add_token_list(TOKENS)
    writer.add_token_types(KINDS)
    writer.add_eos_token_id(1)
    writer.add_bos_token_id(0)
    if family == "gemma3":
        writer.add_tokenizer_model("llama")
        writer.add_token_scores(SCORES)
        writer.add_add_bos_token(True)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm" if family == "llama" else "qwen2")
        writer.add_token_merges(["a b"])
    for key, value in (fields or {}).items():
        writer.add_string(key, value)
    for name, values in made.items():
        if family == "llama" and "q_proj" in name:
            values = interleaved(values, HEADS)
        if family == "llama" and "k_proj" in name:
            values = interleaved(values, KV_HEADS)
        if family == "gemma3" and name.endswith("norm.weight"):
            values = values + np.float32(1)
        if "up_proj" in name:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(LLAMA_CPP[name], gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(LLAMA_CPP[name], values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
