"""Every layout of traces, read from the smallest file that has its shape, and every way to break it."""

import json
from pathlib import Path

import pytest

from experiments.errors import DatasetError
from experiments.traces import RequestTrace, load_trace

MOONCAKE = [
    {"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]},
    {"timestamp": 1500, "input_length": 512, "output_length": 6, "hash_ids": [0]},
]
AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.6805900,396,9\n"
)
OWN = "at_s,prompt_tokens,output_tokens,conversation,bidder,worth,delay_cost\n0.5,40,3,a,x,10,.5\n2,60,4,a,y,20,0\n"


def mooncake(*changes: dict[str, object]) -> str:
    return "".join(json.dumps({**each, **change}) + "\n" for each, change in zip(MOONCAKE, changes, strict=True))


def read(folder: Path, content: str) -> RequestTrace:
    path = folder / "misleading-azure.csv"
    path.write_text(content)
    return load_trace(path)


def test_mooncake_has_milliseconds_and_blocks(tmp_path: Path) -> None:
    trace = read(tmp_path, mooncake({}, {}))
    assert (trace.layout, trace.block, trace.at_s.tolist()) == ("Mooncake", 512, [0.0, 1.5])
    assert (trace.prompt_tokens.tolist(), trace.output_tokens.tolist()) == ([600, 512], [5, 6])
    assert trace.hit_ceiling() == pytest.approx(512 / 1112)
    assert trace.title == f"{tmp_path.name}/misleading-azure.csv (2 requests)"


def test_azure_begins_at_its_first_time_stamp(tmp_path: Path) -> None:
    for content in (AZURE, AZURE.replace("900,", "900+00:00,"), AZURE.replace("\n", "\r\n")):
        trace = read(tmp_path, content)
        assert (trace.layout, trace.at_s.tolist(), trace.blocks) == ("Azure LLM inference", [0.0, 4.0], None)
        assert trace.prompt_tokens.tolist() == [374, 396]


def test_ones_own_csv_and_json_lines_are_the_same(tmp_path: Path) -> None:
    table = read(tmp_path, OWN)
    head, *rows = (line.split(",") for line in OWN.splitlines())
    numbers = {"conversation": str, "bidder": str, "prompt_tokens": int, "output_tokens": int}
    made = [{key: numbers.get(key, float)(cell) for key, cell in zip(head, row, strict=True)} for row in rows]
    lines = read(tmp_path, "".join(json.dumps(each) + "\n" for each in made))
    for trace in (table, lines):
        assert (trace.at_s.tolist(), trace.conversation, trace.bidder) == ([0.5, 2.0], ("a", "a"), ("x", "y"))
        assert trace.worth is not None and trace.worth.tolist() == [10.0, 20.0]
        assert trace.delay_cost is not None and trace.delay_cost.tolist() == [0.5, 0.0]
        # Two whole blocks of 16 lie in both prompts.
        assert trace.hit_ceiling() == pytest.approx(32 / 100)


def test_texts_share_what_they_begin_with(tmp_path: Path) -> None:
    rows = [("2026-01-31T10:00:00Z", "x" * 128 + "a"), ("2026-01-31T10:00:01.5Z", "x" * 128 + "bcde")]
    trace = read(tmp_path, "".join(json.dumps({"time": t, "prompt": p, "output_tokens": 1}) + "\n" for t, p in rows))
    assert (trace.at_s.tolist(), trace.prompt_tokens.tolist()) == ([0.0, 1.5], [33, 33])
    assert trace.blocks is not None and [ids.tolist() for ids in trace.blocks] == [[0, 1, 2], [0, 1, 3]]
    assert trace.conversation is None
    other = read(tmp_path, 'at_s,prompt,output_tokens\n0,"y\nz",1\n1,"y\nz",1\n')
    assert other.hit_ceiling() == 0.5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (mooncake({"timestamp": 2000}, {}), "line 2: timestamp goes backwards, from 2000 to 1500"),
        (mooncake({}, {"input_length": -5}), "line 2: input_length is '-5'"),
        (mooncake({}, {"output_length": None}), "line 2: output_length is 'None'"),
        (mooncake({}, {"timestamp": None}), "line 2: timestamp is 'None'"),
        (mooncake({}, {"hash_ids": [0, 1]}), "line 2: 2 hash_ids for a prompt of 512 tokens"),
        (mooncake({}, {"hash_ids": ["x"]}), "line 2: hash_ids is"),
        (mooncake({}, {}) + "{", "line 3: no whole JSON"),
        ('{"at_s": 0,\n"prompt_tokens" 3}', r"line 1: no whole JSON \(Expecting ':' delimiter, at line 2, column 17\)"),
        (mooncake({}, {}) + "3", "line 3: expected an object"),
        (AZURE.replace("374", "-1"), "line 2: ContextTokens is '-1'"),
        (AZURE.replace("396", ""), "line 3: ContextTokens is ''"),
        (AZURE.replace("18:15:50", "18:15:40"), "line 3: TIMESTAMP goes backwards"),
        (AZURE.replace("2023-11-16 18:15:50.6805900", "soon"), "line 3: TIMESTAMP is 'soon'"),
        (AZURE.replace("2023-11-16 18:15:50.6805900", ""), "line 3: TIMESTAMP is missing"),
        (AZURE.replace("TIMESTAMP", "WHEN"), "no column TIMESTAMP; its columns: WHEN"),
        (AZURE.partition("\n")[0] + "\n", "has a header and no request"),
        (
            OWN.replace(",", ";"),
            r"; it begins 'at_s;prompt_tokens.*' \(part columns by commas\)\. Known",
        ),
        ("arrival,tokens\n0,1\n", r"line 1: no trace in a known layout; it begins 'arrival,tokens'\. Known layouts"),
        (OWN.replace("2,60", ".1,60"), "line 3: at_s goes backwards, from 0.5 to .1"),
        (OWN.replace("2,60", "nan,60"), "line 3: at_s is 'nan'"),
        (OWN.replace("2,60", "2,6.5"), "line 3: prompt_tokens is '6.5'"),
        (OWN.replace("2,60", "2,0"), "line 3: prompt_tokens is '0'"),
        (OWN.replace("bidder", "bider"), "line 1: bider: nothing is called so"),
        (OWN.replace("output_tokens", "prompt"), "the file has prompt and prompt_tokens of"),
        (OWN.replace("at_s", "worth2"), "worth2: nothing is called so"),
        ("prompt_tokens,output_tokens\n1,2\n", "the file has neither of at_s and time"),
        ("at_s,prompt_tokens\n1,2\n", "there is no output_tokens"),
        ("at_s,prompt,output_tokens\n1,,2\n", "line 2: prompt is ''"),
        (
            '{"at_s": 0, "prompt": "x", "output_tokens": 1}\n{"at_s": 1, "prompt": 3, "output_tokens": 1}',
            "line 2: prompt",
        ),
        ('{"at_s": 0, "prompt": "x", "output_tokens": 1, "user": "u"}', "line 1: user: nothing is called so"),
        ("", "is empty"),
        ("a,b\n1,2\n", "line 1: no trace in a known layout"),
        ("[]", "line 1: no trace in a known layout"),
    ],
)
def test_a_broken_trace_says_its_line(content: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=said) as caught:
        read(tmp_path, content)
    assert "misleading-azure.csv" in str(caught.value)


def test_a_name_that_was_not_fetched_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path))
    monkeypatch.delenv("IEMAS_DATASETS", raising=False)
    with pytest.raises(DatasetError, match="iemas data fetch azure-code"):
        load_trace("azure-code")


REAL = {
    "mooncake/conversation_trace.jsonl": ("Apache-2.0", 12031, 3537, 0.3736),
    "mooncake/synthetic_trace.jsonl": ("Apache-2.0", 3993, 1022, 0.6512),
    "azure/AzureLLMInferenceTrace_conv.csv": ("CC BY 4.0", 19366, 3502, None),
    "azure/AzureLLMInferenceTrace_code.csv": ("CC BY 4.0", 8819, 3436, None),
}


@pytest.mark.parametrize("file", REAL)
def test_a_real_trace(file: str, datasets: Path) -> None:
    trace = load_trace(datasets / "traces" / file)
    licence, requests, seconds, ceiling = REAL[file]
    assert (trace.title, trace.licence, len(trace)) == (f"{file} ({requests} requests)", licence, requests)
    assert trace.seconds == pytest.approx(seconds, abs=1)
    assert trace.hit_ceiling() == (None if ceiling is None else pytest.approx(ceiling, abs=5e-5))


def test_mooncakes_ideal_share_of_blocks(datasets: Path) -> None:
    blocks = load_trace(datasets / "traces" / "mooncake" / "conversation_trace.jsonl").blocks
    assert blocks is not None
    ids = [one for each in blocks for one in each.tolist()]
    assert 1 - len(set(ids)) / len(ids) == pytest.approx(0.3664, abs=5e-5)
