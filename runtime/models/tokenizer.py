"""The tokenizer of a GGUF file as Hugging Face's `tokenizer.json`.

Two kinds occur: byte-level pair encoding with its merges (GPT-2's, Radford et al. 2019), and a sentencepiece
vocabulary with scores (Kudo and Richardson 2018), whose merges are found again from the scores.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runtime.errors import ModelError

Fields = Mapping[str, Any]

# Kinds of token in the file.
_CONTROL, _USER_DEFINED, _BYTE = 3, 4, 6
_TURN_ENDS = ("<|im_end|>", "<|endoftext|>", "<end_of_turn>")

# How Qwen2 splits text before merging: contractions, words, single digits, punctuation, line ends, spaces.
_QWEN2_SPLIT = "|".join(
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


def tokenizer_json(fields: Fields) -> dict[str, Any]:
    """The content of tokenizer.json; `ModelError` for a kind of tokenizer this module does not know."""
    kind = fields.get("tokenizer.ggml.model")
    if kind == "gpt2":
        parts = _byte_level(fields)
    elif kind == "llama":
        parts = _sentencepiece(fields)
    else:
        raise ModelError(f"the file's tokenizer {kind!r} is neither 'gpt2' nor 'llama'; convert it elsewhere")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(_added_tokens(fields)),
        "post_processor": _begin_with_bos(fields),
        **parts,
    }


def tokenizer_config(fields: Fields, chat_template: str | None) -> dict[str, Any]:
    """The content of tokenizer_config.json, without what the file leaves open."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": special(fields, "bos"),
        "eos_token": special(fields, "eos"),
        "pad_token": special(fields, "padding"),
        "unk_token": special(fields, "unknown"),
        "add_bos_token": bool(fields.get("tokenizer.ggml.add_bos_token", False)),
        "model_max_length": fields.get(f"{fields['general.architecture']}.context_length"),
        "clean_up_tokenization_spaces": False,
        "chat_template": chat_template,
    }
    return {key: value for key, value in config.items() if value is not None}


def stop_tokens(fields: Fields) -> list[int]:
    """Ids that end an answer: the file's own, then the ends of a turn that the vocabulary knows."""
    tokens: Sequence[str] = fields["tokenizer.ggml.tokens"]
    own = fields.get("tokenizer.ggml.eos_token_id")
    ends = [identity for identity, token in enumerate(tokens) if token in _TURN_ENDS]
    return list(dict.fromkeys(([] if own is None else [int(own)]) + ends))


def special(fields: Fields, role: str) -> str | None:
    """The text of the special token with this role (bos, eos, padding, unknown)."""
    identity = fields.get(f"tokenizer.ggml.{role}_token_id")
    return None if identity is None else str(fields["tokenizer.ggml.tokens"][identity])


def merges_from_scores(tokens: Sequence[str], scores: Sequence[float], kinds: Sequence[int]) -> list[list[str]]:
    """Every way to join two tokens into a third, the better-scored third first.

    Sentencepiece merges the pair whose union scores best; a list in that order makes rank and score agree.
    """
    identity = {token: number for number, token in enumerate(tokens)}
    joinable = [n for n, token in enumerate(tokens) if len(token) > 1 and kinds[n] not in (_CONTROL, _BYTE)]
    joinable.sort(key=lambda number: (-scores[number], number))
    merges: list[list[str]] = []
    for number in joinable:
        token = tokens[number]
        halves = [
            (left, right, cut)
            for cut in range(1, len(token))
            if (left := identity.get(token[:cut])) is not None and (right := identity.get(token[cut:])) is not None
        ]
        merges += [[token[:cut], token[cut:]] for _, _, cut in sorted(halves)]
    return merges


def _byte_level(fields: Fields) -> dict[str, Any]:
    flavour = fields.get("tokenizer.ggml.pre")
    merges = [merge.split(" ", 1) for merge in fields["tokenizer.ggml.merges"]]
    return {
        "normalizer": {"type": "NFC"} if flavour == "qwen2" else None,
        "pre_tokenizer": _splitting(flavour),
        "decoder": _byte_step(own_split=True),
        "model": _pair_encoding(fields, merges, unknown=None, byte_fallback=False),
    }


def _splitting(flavour: object) -> dict[str, Any]:
    if flavour == "qwen2":
        split = {"type": "Split", "pattern": {"Regex": _QWEN2_SPLIT}, "behavior": "Isolated", "invert": False}
        return _sequence(split, _byte_step(own_split=False))
    if flavour == "smollm":
        return _sequence({"type": "Digits", "individual_digits": True}, _byte_step(own_split=True))
    raise ModelError(f"the text splitting {flavour!r} is neither 'qwen2' nor 'smollm'; convert the file elsewhere")


def _sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


def _byte_step(own_split: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": own_split}


def _sentencepiece(fields: Fields) -> dict[str, Any]:
    merges = merges_from_scores(
        fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.scores"], fields["tokenizer.ggml.token_type"]
    )
    space, mark = {"String": " "}, {"String": "\u2581"}
    return {
        "normalizer": {"type": "Replace", "pattern": space, "content": "\u2581"},
        "pre_tokenizer": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": mark, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": _pair_encoding(fields, merges, unknown=special(fields, "unknown"), byte_fallback=True),
    }


def _pair_encoding(fields: Fields, merges: list[list[str]], unknown: str | None, byte_fallback: bool) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": byte_fallback,
        "byte_fallback": byte_fallback,
        "ignore_merges": False,
        "vocab": {token: number for number, token in enumerate(fields["tokenizer.ggml.tokens"])},
        "merges": merges,
    }


def _added_tokens(fields: Fields) -> Iterator[dict[str, Any]]:
    kinds = fields["tokenizer.ggml.token_type"]
    for number, token in enumerate(fields["tokenizer.ggml.tokens"]):
        if kinds[number] in (_CONTROL, _USER_DEFINED):
            yield {
                "id": number,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": kinds[number] == _CONTROL,
            }


def _begin_with_bos(fields: Fields) -> dict[str, Any] | None:
    text = special(fields, "bos")
    if text is None or not fields.get("tokenizer.ggml.add_bos_token", False):
        return None
    first: list[dict[str, Any]] = [{"SpecialToken": {"id": text, "type_id": 0}}]
    one = [*first, {"Sequence": {"id": "A", "type_id": 0}}]
    identity = int(fields["tokenizer.ggml.bos_token_id"])
    return {
        "type": "TemplateProcessing",
        "single": one,
        "pair": [*one, *first, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {text: {"id": text, "ids": [identity], "tokens": [text]}},
    }
