"""GGUF to a Hugging Face folder: the numbers come out as they went in."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import ModelError
from runtime.models import Precision, convert, validate_model_folder
from runtime.models.tokenizer import merges_from_scores
from tests.runtime.models.tiny_gguf import WIDTH, weights, write_gguf

FAMILIES = ("llama", "qwen2", "gemma3")


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    kinds = {"F32": np.float32, "BF16": np.uint16, "I8": np.int8}
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        values = np.frombuffer(data[start + first : start + last], kinds[entry["dtype"]])
        if entry["dtype"] == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = values.reshape(entry["shape"])
    assert start % 8 == 0
    return tensors


def converted(
    tmp_path: Path, family: str, output: bool = False, **options: Any
) -> tuple[Path, dict[str, NDArray[Any]]]:
    folder = tmp_path / "model"
    folder.mkdir()
    convert(write_gguf(tmp_path / "model.gguf", family, weights(family, output)), folder, **options)
    return folder, read_safetensors(folder / "model.safetensors")


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_come_out_as_they_went_in(tmp_path: Path, family: str) -> None:
    folder, tensors = converted(tmp_path, family)
    expected = weights(family)
    assert tensors.keys() == expected.keys()
    for name, values in tensors.items():
        # Q8_0 keeps a step of max/127 in each block of 32 numbers; adding and taking one from norms rounds too.
        tolerance = np.abs(expected[name]).max() / 127 if "up_proj" in name else 1e-6
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=tolerance, err_msg=name)
    assert validate_model_folder(folder) == str(folder)


def test_bfloat16_rounds_to_the_nearest(tmp_path: Path) -> None:
    folder, tensors = converted(tmp_path, "llama", precision=Precision("bfloat16"))
    expected = weights("llama")["model.norm.weight"]
    np.testing.assert_allclose(tensors["model.norm.weight"], expected, rtol=2.0**-8)
    assert np.abs(tensors["model.norm.weight"] - expected).max() > 0
    assert read(folder, "config.json")["dtype"] == "bfloat16"


def test_int8_is_within_half_a_step_and_only_in_linear_layers(tmp_path: Path) -> None:
    folder, tensors = converted(tmp_path, "llama", precision=Precision(int8=True))
    name = "model.layers.0.self_attn.q_proj.weight"
    scale, expected = tensors[f"{name}_scale"], weights("llama")[name]
    assert tensors[name].dtype == np.int8
    assert scale.shape == (WIDTH, 1)
    assert (np.abs(tensors[name] * scale - expected) <= scale / 2 + 1e-6).all()
    assert tensors["model.embed_tokens.weight"].dtype == np.float32
    assert read(folder, "config.json")["quantization_config"]["quant_method"] == "compressed-tensors"


def test_a_tied_model_keeps_the_outputs_copy(tmp_path: Path) -> None:
    folder, tensors = converted(tmp_path, "qwen2", output=True, tied=True)
    assert "lm_head.weight" not in tensors
    np.testing.assert_array_equal(tensors["model.embed_tokens.weight"], weights("qwen2", True)["lm_head.weight"])
    assert read(folder, "config.json")["tie_word_embeddings"] is True


def test_an_untied_model_keeps_both(tmp_path: Path) -> None:
    folder, tensors = converted(tmp_path, "qwen2", output=True)
    assert {"lm_head.weight", "model.embed_tokens.weight"} <= tensors.keys()
    assert read(folder, "config.json")["tie_word_embeddings"] is False


def test_the_configuration_is_the_files(tmp_path: Path) -> None:
    config = read(converted(tmp_path, "llama")[0], "config.json")
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]) == (32, 4, 2)
    assert (config["head_dim"], config["rms_norm_eps"], config["max_position_embeddings"]) == (8, 1e-5, 128)


def test_the_tokenizer_knows_tokens_merges_and_stops(tmp_path: Path) -> None:
    folder, _ = converted(tmp_path, "llama", chat_template="{{ messages }}")
    tokenizer = read(folder, "tokenizer.json")
    assert tokenizer["model"]["merges"] == [["a", "b"]]
    assert tokenizer["model"]["vocab"]["ab"] == 4
    assert [token["content"] for token in tokenizer["added_tokens"]] == ["<|endoftext|>", "<|im_end|>"]
    assert tokenizer["post_processor"] is None
    assert read(folder, "generation_config.json")["eos_token_id"] == [1, 0]
    assert read(folder, "tokenizer_config.json")["chat_template"] == "{{ messages }}"
    assert (folder / "chat_template.jinja").read_text() == "{{ messages }}"


def test_the_files_own_chat_template_wins(tmp_path: Path) -> None:
    made = write_gguf(tmp_path / "m.gguf", "llama", weights("llama"), {"tokenizer.chat_template": "own"})
    (tmp_path / "model").mkdir()
    convert(made, tmp_path / "model", chat_template="other")
    assert read(tmp_path / "model", "tokenizer_config.json")["chat_template"] == "own"


def test_a_sentencepiece_tokenizer_begins_with_bos(tmp_path: Path) -> None:
    tokenizer = read(converted(tmp_path, "gemma3")[0], "tokenizer.json")
    assert tokenizer["model"]["byte_fallback"] is True
    assert tokenizer["model"]["merges"] == [["a", "b"]]
    assert tokenizer["post_processor"]["single"][0] == {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}


def test_merges_are_ordered_by_the_score_of_their_union() -> None:
    tokens = ["a", "b", "ab", "ba", "aba", "<a>"]
    scores = [0.0, 0.0, -5.0, -4.0, -9.0, 0.0]
    merges = merges_from_scores(tokens, scores, [1, 1, 1, 1, 1, 3])
    assert merges == [["b", "a"], ["a", "b"], ["a", "ba"], ["ab", "a"]]


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    seen: list[float] = []
    converted(tmp_path, "llama", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_file_that_is_not_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"no such thing" * 10)
    with pytest.raises(ModelError, match=r"x\.gguf"):
        convert(tmp_path / "x.gguf", tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    made = write_gguf(tmp_path / "m.gguf", "llama", weights("llama"))
    made.write_bytes(made.read_bytes()[:900])
    with pytest.raises(ModelError, match=r"m\.gguf"):
        convert(made, tmp_path)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    made = write_gguf(tmp_path / "m.gguf", "llama", weights("llama"))
    made.write_bytes(made.read_bytes().replace(b"llama.block_count", b"llama.block_fewer"))
    with pytest.raises(ModelError, match=r"'llama\.block_count'"):
        convert(made, tmp_path)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    made = write_gguf(tmp_path / "m.gguf", "mamba", weights("llama"))
    with pytest.raises(ModelError, match="'mamba'"):
        convert(made, tmp_path)


def test_an_unknown_tensor_is_named(tmp_path: Path) -> None:
    made = write_gguf(tmp_path / "m.gguf", "llama", weights("gemma3"))
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match="post_ffw_norm"):
        convert(made, tmp_path / "model")


def test_an_unknown_dtype_is_named() -> None:
    with pytest.raises(ModelError, match="'float64'"):
        Precision("float64")  # type: ignore[arg-type]
