"""The real files that this project knows: where they come from, under which terms, and their checksums.

Dialogues are listed here; tables of answers and traces in the rooms that read them.

None of them is shipped. A checksum and a size say which bytes a published result was measured on; for every file they
were taken from public lists or from a copy, as `checksum_from` records. Where nobody publishes one,
`sha256` is None: the first download is trusted, recorded beside the file, and enforced from then on.
"""

from dataclasses import replace

from experiments.answers import TABLES
from experiments.data.layouts.coqa import COQA
from experiments.data.layouts.hotpotqa import HOTPOTQA, HOTPOTQA_COLUMNS
from experiments.data.layouts.inscit import INSCIT
from experiments.data.layouts.mt_bench import MT_BENCH
from experiments.data.layouts.mtrag import MTRAG
from experiments.data.layouts.oasst import OASST
from experiments.data.layouts.quac import QUAC
from experiments.data.layouts.sgd import SGD
from experiments.data.layouts.taskmaster import TASKMASTER
from experiments.errors import DatasetError
from experiments.files import KnownFile
from experiments.traces import TRACES

_LISTS = "agreeing lists of ParlAI (tasks/*/build.py) and Hugging Face datasets (dataset_infos.json)"
_COPY = "computed from a copy of the pinned revision, same size as there"

_STANFORD = "https://nlp.stanford.edu/data/coqa"
_QUAC = "https://s3.amazonaws.com/my89public/quac"
_HOTPOT = "http://curtis.ml.cmu.edu/datasets/hotpot"
_RAW = "https://raw.githubusercontent.com"
_INSCIT_REVISION = "a9b5645781ad7615e3043726b1421fae20e26a0e"
_MTRAG_REVISION = "cc5b1d481b391181b89f7ced860308482e785463"
_TASKMASTER_REVISION = "d92cb6af3005f1dc09c39e75e7daf4a04905e00b"
_OASST_REVISION = "f1e6ed9526f5817531f3ab85441a40b3671ddccb"
_FASTCHAT_REVISION = "0e6d3e4beaab66f4d3f93db72541a4abab8af28d"
_SGD_REVISION = "83015913ce89528de6fd8a47f076298be0d59c84"
_SGD = f"{_RAW}/google-research-datasets/dstc8-schema-guided-dialogue/{_SGD_REVISION}"


def _sgd(split: str, part: int, sha256: str | None = None, size: int | None = None) -> KnownFile:
    path = f"{split}/dialogues_{part:03}.json"
    file = KnownFile(
        name=f"sgd-{split}-{part:03}",
        path=f"sgd/{path}",
        layout=SGD,
        origin=f"official Schema-Guided Dialogue, file {part} of its {split} split, revision {_SGD_REVISION[:8]}",
        url=f"{_SGD}/{path}",
    )
    if sha256 is None:
        return file
    return replace(file, sha256=sha256, size=size, checksum_from=_COPY)


OFFICIAL: tuple[KnownFile, ...] = (
    KnownFile(
        "coqa-dev",
        "coqa/coqa-dev-v1.0.json",
        COQA,
        "official CoQA v1.0 development set",
        f"{_STANFORD}/coqa-dev-v1.0.json",
        "dfa367a9733ce53222918d0231d9b3bedc2b8ee831a2845f62dfc70701f2540a",
        9_090_845,
        _LISTS,
    ),
    KnownFile(
        "coqa-train",
        "coqa/coqa-train-v1.0.json",
        COQA,
        "official CoQA v1.0 training set",
        f"{_STANFORD}/coqa-train-v1.0.json",
        "b0fdb2bc1bd38dd3ca2ce5fa2ac3e02c6288ac914f241ac409a655ffb6619fa6",
        49_001_836,
        _LISTS,
    ),
    KnownFile(
        "quac-val",
        "quac/val_v0.2.json",
        QUAC,
        "official QuAC v0.2 validation set",
        f"{_QUAC}/val_v0.2.json",
        "09e622916280ba04c9352acb1bc5bbe80f11a2598f6f34e934c51d9e6570f378",
        8_929_167,
        _LISTS,
    ),
    KnownFile(
        "quac-train",
        "quac/train_v0.2.json",
        QUAC,
        "official QuAC v0.2 training set",
        f"{_QUAC}/train_v0.2.json",
        "ff5cca5a2e4b4d1cb5b5ced68b9fce88394ef6d93117426d6d4baafbcc05c56a",
        68_114_819,
        _LISTS,
    ),
    KnownFile(
        "hotpotqa-dev-distractor",
        "hotpotqa/hotpot_dev_distractor_v1.json",
        HOTPOTQA,
        "official HotpotQA v1 development set, distractor setting",
        f"{_HOTPOT}/hotpot_dev_distractor_v1.json",
        "4e9ecb5c8d3b719f624d66b60f8d56bf227f03914f5f0753d6fa1b359d7104ea",
        46_320_117,
        _LISTS,
    ),
    KnownFile(
        "hotpotqa-train",
        "hotpotqa/hotpot_train_v1.1.json",
        HOTPOTQA,
        "official HotpotQA v1.1 training set",
        f"{_HOTPOT}/hotpot_train_v1.1.json",
        "26650cf50234ef5fb2e664ed70bbecdfd87815e6bffc257e068efea5cf7cd316",
        566_426_227,
        _LISTS,
    ),
    KnownFile(
        "inscit-dev",
        "inscit/dev.json",
        INSCIT,
        f"official INSCIT development set, revision {_INSCIT_REVISION[:8]}",
        f"{_RAW}/ellenmellon/INSCIT/{_INSCIT_REVISION}/data/dev.json",
        "00d8760bbf42637a8628d52af88f32441b3d4cea32e0fe26d5c9dbe7e1aa4243",
        4_176_926,
        _COPY,
    ),
    KnownFile(
        "mtrag-reference",
        "mtrag/mtrag_human_reference_subset.json",
        MTRAG,
        f"official MTRAG, the subset with human evaluations, revision {_MTRAG_REVISION[:8]}",
        f"{_RAW}/IBM/mt-rag-benchmark/{_MTRAG_REVISION}/mtrag-human/evaluations/"
        "reference_subset_with_human_evaluations.json",
        "ba8518617eca8dd31cadfcbbec1e3b38464e3c6cea33d902865e4acd05e8673e",
        2_190_566,
        _COPY,
    ),
    KnownFile(
        "taskmaster-4-07",
        "taskmaster/tm4_data_07.json",
        TASKMASTER,
        f"official Taskmaster-4, file 7, revision {_TASKMASTER_REVISION[:8]}",
        f"{_RAW}/google-research-datasets/Taskmaster/{_TASKMASTER_REVISION}/TM-4-2024/data/data_07.json",
        "b61f11f3c950c330049906ae249e858503ec7c905fcad5b4a7edd851ccf07bbc",
        1_607_931,
        _COPY,
    ),
    KnownFile(
        "oasst-en-100",
        "oasst/en_100_tree.jsonl",
        OASST,
        f"100 English trees that Open-Assistant keeps for evaluation, revision {_OASST_REVISION[:8]}",
        f"{_RAW}/LAION-AI/Open-Assistant/{_OASST_REVISION}/model/model_eval/manual/data/en_100_tree.jsonl",
        "a27639214a5098bf9e1cc62a855c85c630b64ab48ee94655e7f6046438b0aedb",
        979_838,
        _COPY,
    ),
    KnownFile(
        "mt-bench",
        "mt_bench/question.jsonl",
        MT_BENCH,
        f"official MT-bench questions, FastChat revision {_FASTCHAT_REVISION[:8]}",
        f"{_RAW}/lm-sys/FastChat/{_FASTCHAT_REVISION}/fastchat/llm_judge/data/mt_bench/question.jsonl",
        "119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7",
        48_929,
        _COPY,
    ),
    _sgd("dev", 1, "fe3a8ed9e160c15e20e7cfd16d03734b4473df0d3864f2ad687ea9eeee5eea52", 2_225_937),
    _sgd("dev", 2, "fcbc8ba411ed8b3e0b06dff31819dc366f6bc6d228e021053920365e11004b03", 2_507_250),
    _sgd("dev", 3, "5915cea36b77de920fbd66569333db2395626ec465ba23e2f0caa77fba2e5dae", 1_965_028),
    _sgd("train", 1),
    _sgd("train", 2),
    _sgd("train", 3),
)
"""Files that their publishers offer: `fetch` gets them by name."""

SUBSETS: tuple[KnownFile, ...] = (
    KnownFile(
        "hotpotqa-dev-100",
        "hotpotqa/hotpot_dev_distractor_subset_meve.json",
        HOTPOTQA_COLUMNS,
        "100 questions out of HotpotQA's development set, distractor setting, as kept by nakulbh/Meve-framework",
        None,
        "32ed3ffab548f1d57ba65365bd581d17b428980fa7be881ab0c45f79d9fe6827",
        724_770,
        "computed from that repository's file",
    ),
    KnownFile(
        "hotpotqa-train-100",
        "hotpotqa/hotpotqa_train_subset_hipporag.json",
        HOTPOTQA,
        "100 questions out of HotpotQA's training set, as kept by yhshu/HippoRAG",
        None,
        "6c0e2689d03c94b3bb4d5f94ed806ea4f4eb4f46c12132f8e91df774ad5c5a22",
        810_836,
        "computed from that repository's file",
    ),
)
"""Parts of official files that others have published: real data, but too small to stand for the whole."""

KNOWN: tuple[KnownFile, ...] = (*OFFICIAL, *SUBSETS)
"""Dialogues: what `--data` takes."""

OFFERED: tuple[KnownFile, ...] = (*OFFICIAL, *TABLES, *TRACES)
"""Whatever `iemas data fetch` gets by name: dialogues, tables of answers, traces."""


def known(sha256: str) -> KnownFile | None:
    """The dialogues with these bytes, if the catalogue knows them."""
    return next((file for file in KNOWN if file.sha256 == sha256), None)


def named(name: str) -> KnownFile:
    """The file called `name`.

    Raises:
        DatasetError: there is none; the message lists the names there are.
    """
    every = (*OFFERED, *SUBSETS)
    for file in every:
        if file.name == name:
            return file
    names = ", ".join(file.name for file in every)
    raise DatasetError(f"no data file is called {name!r}; choose one of {names}")
