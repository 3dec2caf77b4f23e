"""What a client sends is what an engine gets: nobody between may read numbers, keys or text differently."""

import json

from tests.benchmarks.gateway.conformance.check import Subject, check, equal, holds, refuses

BIG = "123456789012345678901234567890"


def _with(s: Subject, member: str) -> bytes:
    turn = f'{{"role":"user","content":"#{s.tag}#"}}'
    return f'{{"model":"fake","messages":[{turn}],"max_tokens":64,{member}}}'.encode()


async def _arrives(s: Subject, member: str) -> None:
    _, seen = await s.sent(_with(s, member))
    holds(member.encode() in seen.body, f"{member} arrives in {seen.body!r:.400}")


@check("an unknown field arrives")
async def _(s: Subject) -> None:
    _, seen = await s.sent(s.body(never_heard_of={"a": [1, {"b": None}]}))
    equal(json.loads(seen.body).get("never_heard_of"), {"a": [1, {"b": None}]}, "the field")


@check("an integer of 30 digits keeps them")
async def _(s: Subject) -> None:
    await _arrives(s, f'"x_big":{BIG}')


@check("1.10 stays 1.10, 1E+2 stays 1E+2")
async def _(s: Subject) -> None:
    await _arrives(s, '"x_float":[1.10,1E+2,-0.0,0.30000000000000004,0.1000000000000000055511151231257827]')


@check("1e400, which few can read, arrives or is refused")
async def _(s: Subject) -> None:
    reply = await s.ask(_with(s, '"x_huge":1e400'))
    if reply.status == 200:
        holds(b'"x_huge":1e400' in (await s.seen())[0].body, "another number arrives")
    else:
        refuses(reply, 400)


@check("keys keep their order, inside schemas as well")
async def _(s: Subject) -> None:
    await _arrives(s, '"x_order":{"z":1,"a":2,"m":{"y":1,"b":2}}')


@check("white space inside unknown fields stays")
async def _(s: Subject) -> None:
    await _arrives(s, '"x_space":{ "a" :  1 ,\t"b":[ ] }')


@check("escapes stay as they were written")
async def _(s: Subject) -> None:
    await _arrives(s, '"x_escape":"\\u00e9\\/\\ud83d\\ude00\\u2028"')


@check("an empty key, and keys twice inside a field, stay")
async def _(s: Subject) -> None:
    await _arrives(s, '"x_twice":{"":0,"a":1,"a":2}')


@check("deep nesting arrives")
async def _(s: Subject) -> None:
    await _arrives(s, '"x_deep":' + "[" * 60 + "]" * 60)


@check("the whole body arrives byte for byte, but for what a proxy must add")
async def _(s: Subject) -> None:
    sent = b'{ "max_tokens":64, "model" : "fake", "messages":[ {"content":"\\u0041 #%s#","role":"user"} ] ,"b":1.50}'
    body = sent % s.tag.encode()
    _, seen = await s.sent(body)
    equal(seen.body, body, "the body at the engine")


@check("U+2028, U+2029 and U+0085 arrive in prompts")
async def _(s: Subject) -> None:
    text = "a\u2028b\u2029c\u0085d"
    body = json.dumps(s.body(text), ensure_ascii=False).encode()
    _, seen = await s.sent(body)
    holds(text in json.loads(seen.body)["messages"][0]["content"], f"the engine got {seen.body!r:.300}")


@check("emoji, Arabic and zero bytes' escapes arrive in prompts")
async def _(s: Subject) -> None:
    text = "😀 مرحبا \u0000 \ufeff e\u0301"
    _, seen = await s.sent(json.dumps(s.body(text), ensure_ascii=False).encode())
    holds(text in json.loads(seen.body)["messages"][0]["content"], f"the engine got {seen.body!r:.300}")


@check("a lone surrogate's escape is passed on or refused, not broken")
async def _(s: Subject) -> None:
    body = _with(s, '"x_lone":"\\ud800"')
    reply = await s.ask(body)
    holds(reply.status in (200, 400), f"the answer is {reply.status} {reply.body[:200]!r}")
    if reply.status == 200:
        seen = await s.seen()
        holds(b'"\\ud800"' in seen[0].body, f"the engine got {seen[0].body!r:.300}")


@check("a member given twice is refused, or means the same to proxy and engine")
async def _(s: Subject) -> None:
    body = f'{{"model":"nobody","model":"fake","messages":[{{"role":"user","content":"#{s.tag}#"}}]}}'.encode()
    reply = await s.ask(body)
    if reply.status == 200:
        seen = (await s.seen())[0]
        equal(json.loads(seen.body)["model"], "fake", "the model at the engine")
    else:
        holds(reply.status in (400, 422), f"the answer is {reply.status} {reply.body[:200]!r}")


@check("a body of 2 MB arrives whole")
async def _(s: Subject) -> None:
    text = "so it went on, " * 140_000
    _, seen = await s.sent(s.body(text))
    holds(json.loads(seen.body)["messages"][0]["content"].startswith(text), "the text is another")


@check("a conversation of 400 turns arrives whole")
async def _(s: Subject) -> None:
    roles = ("user", "assistant")
    turns = [{"role": roles[i % 2], "content": f"turn {i}"} for i in range(400)]
    turns.append({"role": "user", "content": f"#{s.tag}#"})
    _, seen = await s.sent({"model": "fake", "messages": turns, "max_tokens": 16})
    equal(json.loads(seen.body)["messages"], turns, "messages")


@check("an engine's unknown fields come back as they were")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=extra@"))
    holds(f'"big": {BIG}'.encode() in reply.body, f"30 digits came back in {reply.body[-150:]!r}")
    holds(b'"tenth": 1.10' in reply.body, f"1.10 came back in {reply.body[-150:]!r}")


@check("an engine's unknown fields come back in streams as they were")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=extra@", stream=True))
    holds(f'"big": {BIG}'.encode() in reply.body, f"30 digits came back in {reply.body[:300]!r}")
    holds(b'"tenth": 1.10' in reply.body, "1.10 did not come back")


@check("an engine's U+2028, U+2029 and U+0085 come back")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=u2028@"))
    equal(reply.text, f"{s.tag} a\u2028b\u0085c\u2029d", "text")


@check("an engine's U+2028, U+2029 and U+0085 come back in streams")
async def _(s: Subject) -> None:
    reply = await s.ask(s.body("@fault=u2028@ @tokens=1@", stream=True))
    holds(f"{s.tag} a\u2028b\u0085c\u2029d" in reply.text, f"text is {reply.text!r}")
    holds(reply.done, "it does not end")


@check("with no max_tokens, an engine is told none or a number")
async def _(s: Subject) -> None:
    body = s.body()
    del body["max_tokens"]
    _, seen = await s.sent(body)
    told = json.loads(seen.body).get("max_tokens", 1)
    holds(isinstance(told, int) and told > 0, f"the engine got max_tokens {told!r}")
