"""A real vLLM engine with random weights, run by vLLM's own Python: a JSON trace in, what the cache did out.

Reads one JSON object from standard input and prints one as the last line of standard output:

    {"requests": [{"prompt": [3, 4, 5], "max_tokens": 2}], "block_size": 32, "cache_blocks": 64}
    {"block_size": 32, "cache_blocks": 64, "requests": [{"cached_tokens": 0, "output": [7, 7]}], ...}

Requests are served one after the other, so the order of the trace is the order in the cache; `ignore_eos` holds, so
each yields `max_tokens` tokens. The vocabulary has 1024 tokens. One of the blocks is vLLM's own (the null block).
`hits` and `queries` are vLLM's counters, in tokens.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

VOCABULARY = 1024
LAYERS, KV_HEADS, HEAD_DIM, FLOAT_BYTES = 2, 1, 32, 4

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "dtype": "float32",
}
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


def serve(trace: dict[str, Any], folder: Path) -> dict[str, Any]:
    from vllm import LLM, SamplingParams

    block_size, blocks = int(trace["block_size"]), int(trace["cache_blocks"])
    bytes_a_block = block_size * LAYERS * 2 * KV_HEADS * HEAD_DIM * FLOAT_BYTES
    (folder / "config.json").write_text(json.dumps(CONFIG))
    engine = LLM(
        model=str(folder),
        load_format="dummy",
        skip_tokenizer_init=True,
        dtype="float32",
        seed=0,
        enforce_eager=True,
        enable_prefix_caching=True,
        block_size=block_size,
        kv_cache_memory_bytes=blocks * bytes_a_block,
        max_model_len=min(2048, (blocks - 1) * block_size),
        max_num_seqs=8,
        disable_log_stats=False,
        distributed_executor_backend="uni",
    )
    served = []
    for request in trace["requests"]:
        tokens = int(request["max_tokens"])
        greedy = SamplingParams(temperature=0, max_tokens=tokens, min_tokens=tokens, ignore_eos=True, detokenize=False)
        answer = engine.generate([{"prompt_token_ids": request["prompt"]}], greedy, use_tqdm=False)[0]
        served.append({"cached_tokens": answer.num_cached_tokens, "output": list(answer.outputs[0].token_ids)})
    counted = {metric.name: getattr(metric, "value", None) for metric in engine.get_metrics()}
    cache = engine.llm_engine.vllm_config.cache_config
    return {
        "block_size": cache.block_size,
        "cache_blocks": cache.num_gpu_blocks,
        "queries": counted["vllm:prefix_cache_queries"],
        "hits": counted["vllm:prefix_cache_hits"],
        "requests": served,
    }


def replay(python: Path, trace: dict[str, Any]) -> dict[str, Any]:
    """Run this file by vLLM's Python on a trace; half a minute, most of it imports."""
    done = subprocess.run([str(python), __file__], input=json.dumps(trace), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the dummy engine failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(serve(json.load(sys.stdin), Path(folder))))
