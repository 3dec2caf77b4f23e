"""A real vLLM engine with random weights, run by vLLM's own Python: JSON traces in, what the cache did out.

Reads a JSON list of traces from standard input and prints one list as the last line of standard output:

    [{"block_size": 32, "cache_blocks": 64, "requests": [{"prompt": [3, 4, 5], "max_tokens": 2}]}]
    [{"block_size": 32, "cache_blocks": 64, "requests": [{"cached_tokens": 0, "output": [7, 7], ...}], ...}]

A trace may also say `max_num_seqs` (8) and `max_num_batched_tokens` (2048). A request may also say:

- `after`: it continues request number `after`; that one's prompt and output come before its own `prompt`.
- `keep`: of them only this many tokens.
- `burst`: requests with one number in a row are served together, else each is served alone.
- `step`: within its burst, the engine step before which it arrives (0).

Prompts are token ids below 1024; `ignore_eos` holds, so each request yields `max_tokens` tokens. One of the blocks is
vLLM's own (the null block). Of each request come back its whole `prompt`, and `first_step` and `last_step`, the steps
from its arrival to its first and its last token. `hits` and `queries` are vLLM's counters, in tokens; `preemptions`
counts requests.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from itertools import groupby
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
    from vllm import LLM

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
        max_num_seqs=int(trace.get("max_num_seqs", 8)),
        max_num_batched_tokens=int(trace.get("max_num_batched_tokens", 2048)),
        disable_log_stats=False,
        distributed_executor_backend="uni",
    )
    served: list[dict[str, Any]] = []
    for burst in bursts(trace):
        prompts = [prompt_of(request, served) for request in burst]
        served += serve_burst(engine.llm_engine, burst, prompts)
    counted = {metric.name: getattr(metric, "value", None) for metric in engine.get_metrics()}
    cache = engine.llm_engine.vllm_config.cache_config
    return {
        "block_size": cache.block_size,
        "cache_blocks": cache.num_gpu_blocks,
        "queries": counted["vllm:prefix_cache_queries"],
        "hits": counted["vllm:prefix_cache_hits"],
        "preemptions": counted["vllm:num_preemptions"],
        "requests": served,
    }


def bursts(trace: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The trace's requests, grouped into those served together."""
    numbered = enumerate(trace["requests"])
    groups = groupby(numbered, key=lambda pair: (pair[1]["burst"],) if "burst" in pair[1] else pair[0])
    return [[request for _, request in group] for _, group in groups]


def prompt_of(request: dict[str, Any], served: list[dict[str, Any]]) -> list[int]:
    before: list[int] = []
    if request.get("after") is not None:
        past = served[request["after"]]
        before = [*past["prompt"], *past["output"]][: request.get("keep")]
    return [*before, *request["prompt"]]


def serve_burst(engine: Any, burst: list[dict[str, Any]], prompts: list[list[int]]) -> list[dict[str, Any]]:
    from vllm import SamplingParams

    waiting = deque(sorted(range(len(burst)), key=lambda k: burst[k].get("step", 0)))
    found: list[dict[str, Any]] = [{} for _ in burst]
    step = 0
    while waiting or engine.has_unfinished_requests():
        while waiting and burst[waiting[0]].get("step", 0) <= step:
            k = waiting.popleft()
            tokens = int(burst[k]["max_tokens"])
            greedy = SamplingParams(
                temperature=0, max_tokens=tokens, min_tokens=tokens, ignore_eos=True, detokenize=False
            )
            engine.add_request(str(k), {"prompt_token_ids": prompts[k]}, greedy)
        step += 1
        for answer in engine.step():
            k = int(answer.request_id)
            took = step - burst[k].get("step", 0)
            found[k].setdefault("first_step", took)
            found[k] |= {
                "prompt": prompts[k],
                "cached_tokens": answer.num_cached_tokens,
                "output": list(answer.outputs[0].token_ids),
                "last_step": took,
            }
    return found


def replay(python: Path, trace: dict[str, Any]) -> dict[str, Any]:
    """Run one trace; half a minute, most of it imports."""
    return replay_all(python, [trace])[0]


def replay_all(python: Path, traces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run this file by vLLM's Python on traces, each on an engine of its own, one after the other."""
    done = subprocess.run([str(python), __file__], input=json.dumps(traces), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the dummy engine failed:\n{done.stderr[-2000:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps([serve(trace, Path(folder)) for trace in json.load(sys.stdin)]))
