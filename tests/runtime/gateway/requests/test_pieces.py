"""Where a prompt is found, and what of it counts."""

import json

from runtime.gateway.requests.pieces import pieces
from runtime.gateway.requests.splice import read


def test_a_prompt_is_found_where_its_path_has_it() -> None:
    long = "x" * 4000
    hidden = json.dumps({"model": "m", "messages": [], "prompt": long, "input": long}).encode()
    assert len(pieces(read(hidden, asks="prompt"))) > 900 and len(pieces(read(hidden, asks="input"))) > 900
    text = json.dumps({"model": "m", "messages": [{"role": "user", "content": "data:" + long}]}).encode()
    assert len(pieces(read(text))) > 900
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40000}}
    seen = json.dumps({"model": "m", "messages": [{"role": "user", "content": [image]}]}).encode()
    assert len(pieces(read(seen))) < 400
