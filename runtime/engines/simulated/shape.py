"""Sizes of a simulated engine."""

from dataclasses import dataclass

from runtime.errors import EngineError


@dataclass(frozen=True, slots=True)
class EngineShape:
    """Sizes of an engine, with vLLM's names where it has them."""

    block_size: int = 16
    cache_blocks: int = 2048
    max_num_seqs: int = 16
    max_num_batched_tokens: int = 2048
    max_model_len: int = 4096

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise EngineError(f"{name} = {getattr(self, name)}; expected at least 1")
