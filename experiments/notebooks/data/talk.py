"""Records the trace beside it: real vLLM behind `iemas serve`, and six bidders who hold the shipped dialogues with it.

    python experiments/notebooks/data/talk.py --record trace.jsonl

Needs `make vllm`, and a few minutes on two cores. Dialogues begin as a Poisson process has it, a turn is asked four
seconds after the last was answered, and each bidder's worth and cost of delay are drawn as the preset `differing` does.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import numpy as np

from experiments.data import Dialogue, arrivals, load, locate
from experiments.worlds.presets import PRESETS
from mechanisms import Preferences

FLEET = Path(__file__).with_name("fleet.toml")
BIDDERS = ("ann", "ben", "cleo", "dai", "eve", "fay")
THINK_S = 4.0


def keys() -> dict[str, str]:
    """Of each bidder, as the fleet file asks for them."""
    return {f"TALK_{name.upper()}": f"sk-of-{name}-who-is-nobody" for name in BIDDERS}


async def hold(
    client: httpx.AsyncClient, start_s: float, dialogue: Dialogue, turns: int, bidder: str, bid: Preferences
) -> None:
    """One dialogue, turn by turn, with the answers that the models gave."""
    await asyncio.sleep(start_s)
    said = [{"role": "system", "content": dialogue.context}] if dialogue.context else []
    for turn in dialogue.turns[:turns]:
        said.append({"role": "user", "content": turn.question})
        body = {
            "model": "auto",
            "messages": said,
            "max_tokens": 32,
            "temperature": 0,
            "stream": True,
            "iemas": {"worth": round(bid.worth, 3), "delay_cost": round(bid.delay_cost, 3)},
        }
        answer = ""
        key = {"authorization": f"Bearer {keys()[f'TALK_{bidder.upper()}']}"}
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=key) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    choices = json.loads(line[6:]).get("choices") or [{}]
                    answer += choices[0].get("delta", {}).get("content") or ""
        if response.status_code != 200:
            # Declined: nobody is worth it to them now. They go on with what comes next.
            said.pop()
        else:
            said.append({"role": "assistant", "content": answer})
        await asyncio.sleep(THINK_S)


async def hold_all(address: str, dialogues: int, turns: int, rate: float) -> None:
    """Every dialogue, at its time."""
    rng = np.random.default_rng(0)
    bids = {name: PRESETS["differing"].draw(rng) for name in BIDDERS}
    held = load(locate("shipped")).dialogues[:dialogues]
    starts = arrivals(len(held), rate_per_s=rate, think_time_s=THINK_S, seed=0).starts_s
    async with httpx.AsyncClient(base_url=address, timeout=600) as client, asyncio.TaskGroup() as asking:
        for k, (start_s, one) in enumerate(zip(starts, held, strict=True)):
            bidder = BIDDERS[k % len(BIDDERS)]
            asking.create_task(hold(client, float(start_s), one, turns, bidder, bids[bidder]))


def main() -> None:
    """Serve, ask, stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--dialogues", type=int, default=14)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.15, help="dialogues that begin a second")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fleet = Path(folder) / "fleet.toml"
        fleet.write_text(FLEET.read_text())
        served = [sys.executable, "-m", "experiments.cli", "serve", str(fleet), "--json", "--logs", folder]
        process = subprocess.Popen(
            [*served, "--record", str(asked.record)], stdout=subprocess.PIPE, env=os.environ | keys(), text=True
        )
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            if not told:
                sys.exit("the gateway did not start; its own words are above")
            print(told, end="")
            asyncio.run(hold_all(json.loads(told)["url"].removesuffix("/v1"), asked.dialogues, asked.turns, asked.rate))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


if __name__ == "__main__":
    main()
