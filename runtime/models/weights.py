"""Arrays to a safetensors file: bfloat16, int8 per channel, and the file format, with numpy alone."""

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Dtype = Literal["float32", "bfloat16"]
Stored = Literal["F32", "BF16", "I8"]

STORED: Mapping[Dtype, Stored] = {"float32": "F32", "bfloat16": "BF16"}
_BYTES: Mapping[Stored, int] = {"F32": 4, "BF16": 2, "I8": 1}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor to be written; `make` computes its bytes when its turn comes, so one at a time is in memory."""

    shape: tuple[int, ...]
    stored: Stored
    make: Callable[[], NDArray[Any]]


def cast(values: Float32, dtype: Dtype) -> NDArray[Any]:
    """Values in their stored form; bfloat16 is the upper half of a float32, rounded to nearest, ties to even."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    if dtype == "float32":
        return values
    bits = values.view(np.uint32)
    odd = (bits >> 16) & 1
    rounded: NDArray[np.uint16] = ((bits + np.uint32(0x7FFF) + odd) >> 16).astype(np.uint16)
    return rounded


def channel_scales(matrix: Float32) -> Float32:
    """The step of symmetric int8 for each output channel (row), shape (rows, 1); an all-zero row gets a tiny one."""
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    scales: Float32 = np.maximum(largest, np.float32(1e-8)) / np.float32(127)
    return scales


def to_int8(matrix: Float32) -> NDArray[np.int8]:
    """The matrix in steps of `channel_scales`, rounded to nearest."""
    steps: NDArray[np.int8] = np.clip(np.rint(matrix / channel_scales(matrix)), -127, 127).astype(np.int8)
    return steps


def w8a8() -> dict[str, Any]:
    """The `quantization_config` by which vLLM recognises such weights (compressed-tensors, int8 activations)."""
    number = {"num_bits": 8, "type": "int", "symmetric": True, "group_size": None, "actorder": None}
    weights = {**number, "strategy": "channel", "dynamic": False, "observer": "minmax"}
    activations = {**number, "strategy": "token", "dynamic": True, "observer": None}
    return {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": weights,
                "input_activations": activations,
                "output_activations": None,
            }
        },
    }


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], progress: Callable[[float], None] = lambda fraction: None
) -> None:
    """Write the tensors in order: an 8-byte length, a JSON header, then the bytes; `progress` gets 0 to 1."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + math.prod(tensor.shape) * _BYTES[tensor.stored]
        header[name] = {"dtype": tensor.stored, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, tensor in tensors.items():
            file.write(tensor.make().tobytes())
            progress(header[name]["data_offsets"][1] / end)
