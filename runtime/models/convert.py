"""A GGUF file becomes a Hugging Face folder: weights dequantised, tokenizer rebuilt, no torch involved."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime.errors import ModelError
from runtime.models import architectures, tokenizer
from runtime.models.weights import (
    STORED,
    Dtype,
    Float32,
    Tensor,
    cast,
    channel_scales,
    to_int8,
    w8a8,
    write_safetensors,
)


@dataclass(frozen=True, slots=True)
class Precision:
    """How weights are stored: `dtype` for all, or int8 (W8A8) for the linear layers and `dtype` for the rest."""

    dtype: Dtype = "float32"
    int8: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in STORED:
            raise ModelError(f"dtype {self.dtype!r} is none of {', '.join(STORED)}")

    def __str__(self) -> str:
        return "int8" if self.int8 and self.dtype == "float32" else self.dtype + ("-int8" if self.int8 else "")


FLOAT32 = Precision()


def convert(
    gguf_file: Path,
    folder: Path,
    precision: Precision = FLOAT32,
    *,
    tied: bool = False,
    chat_template: str | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> None:
    """Write the model of `gguf_file` into the existing, empty `folder`.

    `tied` marks that input and output embedding are one matrix although the file stores both; then the output's
    copy is used for both. `chat_template` stands in where the file has none. `progress` gets 0 to 1. Takes
    10 s for 135 M parameters.

    Raises:
        ModelError: the file is not GGUF, or of an unknown architecture or tokenizer.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(gguf_file)
        fields = {name: field.contents() for name, field in reader.fields.items()}
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise ModelError(f"{gguf_file} is no readable GGUF file ({error}); fetch it again") from None
    both = any(tensor.name == "output.weight" for tensor in reader.tensors)
    template = fields.get("tokenizer.chat_template") or chat_template
    try:
        config = architectures.config_for(fields, precision.dtype, tied=tied or not both)
        documents = {
            "generation_config.json": _generation(config, fields),
            "tokenizer.json": tokenizer.tokenizer_json(fields),
            "tokenizer_config.json": tokenizer.tokenizer_config(fields, template),
        }
    except KeyError as missing:
        raise ModelError(f"{gguf_file} has no field {missing}; it is damaged or of a newer kind") from None
    if precision.int8:
        config["quantization_config"] = w8a8()
    for name, content in {"config.json": config, **documents}.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    if template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    tensors = _tensors(reader.tensors, config, precision, replace_input=tied and both)
    write_safetensors(folder / "model.safetensors", tensors, progress)


def _generation(config: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bos_token_id": config["bos_token_id"],
        "pad_token_id": config["pad_token_id"],
        "eos_token_id": tokenizer.stop_tokens(fields),
    }


def _tensors(
    stored: list[Any], config: Mapping[str, Any], precision: Precision, replace_input: bool
) -> dict[str, Tensor]:
    """The tensors under Hugging Face's names, none of them computed yet."""
    family = "gemma3" if config["model_type"] == "gemma3_text" else str(config["model_type"])
    tensors: dict[str, Tensor] = {}
    for tensor in stored:
        if replace_input and tensor.name == "token_embd.weight":
            continue
        source = "token_embd.weight" if replace_input and tensor.name == "output.weight" else tensor.name
        name = architectures.huggingface_name(source, family)
        if name is not None:
            tensors |= _stored_as(name, tensor, family, config, precision)
    return tensors


def _stored_as(
    name: str, tensor: Any, family: str, config: Mapping[str, Any], precision: Precision
) -> dict[str, Tensor]:
    shape = tuple(int(size) for size in reversed(tensor.shape))

    def values() -> Float32:
        return architectures.huggingface_layout(_dequantised(tensor, shape), name, family, config)

    if precision.int8 and name.endswith("_proj.weight"):
        return {
            name: Tensor(shape, "I8", lambda: to_int8(values())),
            f"{name}_scale": Tensor((shape[0], 1), "F32", lambda: channel_scales(values())),
        }
    return {name: Tensor(shape, STORED[precision.dtype], lambda: cast(values(), precision.dtype))}


def _dequantised(tensor: Any, shape: tuple[int, ...]) -> Float32:
    from gguf.quants import dequantize

    return np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32).reshape(shape)
