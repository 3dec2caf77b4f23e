"""What the three families call their parts: llama.cpp's names and layout on one side, Hugging Face's on the other.

Llama (Touvron et al. 2023), Qwen2 (Yang et al. 2024), Gemma 3 (Gemma Team 2025).
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from runtime.errors import ModelError
from runtime.models.weights import Float32

Fields = Mapping[str, Any]

_WHOLE_MODEL = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_IN_GEMMA_LAYER = _IN_LAYER | {
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "gemma3": "Gemma3ForCausalLM"}
# Gemma 3: five layers attend within a window, the sixth to everything; the windowed ones rotate more slowly.
_GEMMA_PERIOD = 6
_GEMMA_LOCAL_THETA = 10_000.0


def architecture(fields: Fields) -> str:
    """The family, as `general.architecture` names it; `ModelError` for one this module does not know."""
    family = str(fields.get("general.architecture"))
    if family not in _CLASSES:
        raise ModelError(f"architecture {family!r} is not one of {', '.join(_CLASSES)}; convert the file elsewhere")
    return family


def huggingface_name(name: str, family: str) -> str | None:
    """Hugging Face's name of a tensor; None for what is recomputed on loading (tables of rotations)."""
    if name in _WHOLE_MODEL:
        return _WHOLE_MODEL[name]
    part = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    if part is None:
        return None
    layer, kind, suffix = part.groups()
    names = _IN_GEMMA_LAYER if family == "gemma3" else _IN_LAYER
    if kind not in names:
        raise ModelError(f"the {family} file holds a tensor {name!r} that Hugging Face's {family} has no place for")
    return f"model.layers.{layer}.{names[kind]}.{suffix}"


def huggingface_layout(values: Float32, name: str, family: str, config: Fields) -> Float32:
    """Undo what llama.cpp does to the numbers: Llama's rotary pairs interleaved, one added to Gemma's norms."""
    if family == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
        return _separate_pairs(values, heads)
    if family == "gemma3" and name.endswith("norm.weight"):
        return values - np.float32(1)
    return values


def config_for(fields: Fields, dtype: str, tied: bool) -> dict[str, Any]:
    """The model's config.json; `KeyError` for a field that the file lacks."""
    family = architecture(fields)

    def own(key: str, default: object = None) -> Any:
        name = f"{family}.{key}"
        return fields[name] if default is None else fields.get(name, default)

    heads, width = own("attention.head_count"), own("embedding_length")
    theta = float(own("rope.freq_base", 10_000.0))
    config = {
        "architectures": [_CLASSES[family]],
        "model_type": "gemma3_text" if family == "gemma3" else family,
        "hidden_size": width,
        "intermediate_size": own("feed_forward_length"),
        "num_hidden_layers": own("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": own("attention.head_count_kv", heads),
        "head_dim": own("attention.key_length", width // heads),
        "max_position_embeddings": own("context_length"),
        "rms_norm_eps": _shortest(own("attention.layer_norm_rms_epsilon")),
        "rope_theta": theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": tied,
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": fields.get("tokenizer.ggml.eos_token_id"),
        "pad_token_id": fields.get("tokenizer.ggml.padding_token_id"),
        "attention_dropout": 0.0,
        "use_cache": True,
        "dtype": dtype,
    }
    return config | _particulars(family, config, fields)


def _particulars(family: str, config: Fields, fields: Fields) -> dict[str, Any]:
    if family == "llama":
        return {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}
    if family == "qwen2":
        return {"hidden_act": "silu", "use_sliding_window": False, "sliding_window": None}
    local = {"rope_type": "default", "rope_theta": _GEMMA_LOCAL_THETA}
    layers = range(1, config["num_hidden_layers"] + 1)
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "query_pre_attn_scalar": config["head_dim"],
        "sliding_window": fields["gemma3.attention.sliding_window"],
        "layer_types": ["full_attention" if n % _GEMMA_PERIOD == 0 else "sliding_attention" for n in layers],
        "rope_local_base_freq": _GEMMA_LOCAL_THETA,
        "rope_parameters": {"full_attention": config["rope_parameters"], "sliding_attention": local},
    }


def _separate_pairs(matrix: Float32, heads: int) -> Float32:
    """llama.cpp rotates neighbours (0, 1), Hugging Face halves (0, d/2): put the even rows of a head before the odd."""
    pairs = matrix.reshape(heads, -1, 2, *matrix.shape[1:])
    return pairs.swapaxes(1, 2).reshape(matrix.shape)


def _shortest(epsilon: float) -> float:
    """The decimal that was meant before the file rounded it to a float32."""
    return float(f"{epsilon:.6g}")
