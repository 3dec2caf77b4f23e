"""The real tables of answers that this project knows: where they come from, under which terms, and their checksums.

None of them is shipped. Checksums and sizes were computed from a copy of the pinned revision.
"""

from experiments.files.known import Kind, KnownFile, Stated

_COPY = "computed from a copy of the pinned revision"
_RAW = "https://raw.githubusercontent.com"
_LLMROUTER_REVISION = "4e7a796942ce26e9d5f2b93191c7c2585c99c2e3"
_LLMROUTER = f"{_RAW}/ulab-uiuc/LLMRouter/{_LLMROUTER_REVISION}/data"
_ROUTELLM_REVISION = "0b64fdafe049e596a3f5657c219329f24af24198"
_ROUTELLM = f"{_RAW}/lm-sys/RouteLLM/{_ROUTELLM_REVISION}/routellm/evals"

_PRICES = KnownFile(
    "llmrouter-prices",
    "llmrouter/default_llm.json",
    Stated("LLMRouter, prices", "MIT"),
    f"list prices of LLMRouter's models, revision {_LLMROUTER_REVISION[:8]}",
    f"{_LLMROUTER}/example_data/llm_candidates/default_llm.json",
    "278f790564efd758ab28a9b6ce141d3fa057219de9bad40b31562c4286549552",
    6_904,
    _COPY,
    Kind.PRICES,
)


def _llmrouter(split: str, sha256: str, size: int) -> KnownFile:
    return KnownFile(
        f"llmrouter-{split}",
        f"llmrouter/dcrouter_{split}.json",
        Stated("LLMRouter", "MIT"),
        f"LLMRouter's preparation for RouterDC, {split} split, revision {_LLMROUTER_REVISION[:8]}",
        f"{_LLMROUTER}/dcrouter_preprocessed/{split}.json",
        sha256,
        size,
        _COPY,
        Kind.ANSWERS,
        beside=(_PRICES,),
    )


_MMLU = {
    "abstract_algebra": ("67e564eea42e71fbfcaf616972df952c316e5538376da1c16d691177458b96b9", 20003),
    "anatomy": ("53ebea8257805eeecc25713728264b8235cffad7b720962a3eafc92fd27ef537", 33922),
    "astronomy": ("49915ece9dfe8aadbd351f221ada2ea86b6f832ce49fa64d1622a0f066c19794", 47647),
    "business_ethics": ("13a45bed754ffe8f0e7f0348e69085c648a1ae0e91aa76cd5e6906fa45f7ec8e", 33854),
    "clinical_knowledge": ("5ea37709bfbad4df7a3fcbd8973413f7645a2adfef9772490f09d3f293ffe882", 64226),
    "college_biology": ("c38620db5b9f6f1b0fde7bc8d8299b8e2305c4dacbb1567c904cd51618d627d5", 49612),
    "college_chemistry": ("78ca6ba22ff25c8fdb93e1c6e84384e72522106c73ed5ee9fed620928ce395ce", 25362),
    "college_computer_science": ("8a7b2a87a36b428c9d1a8f12ce3b01cf7920f0a7146d6f8a111da6749c332da3", 43299),
    "college_mathematics": ("3f22f42779c48509c66e21d7d1fc3054eb0256c1b5b772bb6d9a3af1b253238b", 25385),
    "college_medicine": ("63d71d29e630fc6538e1705a51f4267bdbbdea0fa7ee85056ad7d6f8f10d3987", 83407),
    "college_physics": ("8162a0660d4ef7b963088e0a176d4b8630096127a0d0b5ed003f649cbad34455", 30851),
    "computer_security": ("26446faf7460f03aa2d82a05c170faedb5cbf6d7bdda133b1146229107097d1c", 27712),
    "conceptual_physics": ("ea40473704b64cb60d564ffe91962848ec6fc3106b40089d08cebc98d5c7226d", 42034),
    "econometrics": ("927b4d877cec8697f3b8378bb7e7c7a279babaea2edacf350ea50908701907b9", 47278),
    "electrical_engineering": ("de2fb7c2e9addb4808f5b3f7c79efbfdfb86216235bb7dc28ab70bc53664f11e", 26003),
    "elementary_mathematics": ("88697ff0d238b5852c7a959379dc8b0b45c3554ed4b2ee7cbb7ffc34e06c7cf5", 72419),
    "formal_logic": ("094a462626468569ad595c03e66e73a299188cfa175248b499dba94e005506e6", 50588),
    "global_facts": ("6f75ddf7d6eb94ac0471529a85ff7f8b738c9f4055185b3114eed26393222d06", 19055),
    "high_school_biology": ("444982fc2c750ab8cbc6942a0c0267040aa5023c1d2364247d20e2a28b4e325d", 111417),
    "high_school_chemistry": ("ae5e62479365dcd056354c568f60da65b1df9f1de57dda3953a8e9933a6f12e4", 59694),
    "high_school_computer_science": ("d156d9448a6e899f7f976a0afac148a928bf709a2baa573f0c407854a25bdb11", 45133),
    "high_school_european_history": ("c64afd6c5e30ef0cd5c10beab961ac05e7ba55d6b48cd93bf6ad0a45f90515bf", 271527),
    "high_school_geography": ("21b12044be4a6b9813880ad46372006dc0846e7f85fa46883bb73dbd90fba30a", 43125),
    "high_school_government_and_politics": ("2791689acc61775a5857f4f3a5fd248d30552553c3a96f6ee63dc28285437259", 67164),
    "high_school_macroeconomics": ("73b931a2a06ba74a5c9f1e005d45a25004e36be5d075d98f8ebcf89b3fda367b", 119896),
    "high_school_mathematics": ("151b2a736981b7b20f3bad99de6a573e4692d68cf87020e943b601b70bb37390", 56703),
    "high_school_microeconomics": ("f7ea151efb4c9d96374db3358ac7e97e4d8349e26715f61dac98bc9d854ca046", 77019),
    "high_school_physics": ("1e2103fc8f7f1cfac7c00952b26db2418acab092486af78a9c51c551ae2ff9be", 60489),
    "high_school_psychology": ("d11604f2c7a2425258d5b9a285ef71737c011cc3a91456890f088a0ee4c55212", 162370),
    "high_school_statistics": ("de6642bcd93d7a80e7bbd73d987a44d67b6e537b47749ddc518122fd582703bb", 112040),
    "high_school_us_history": ("a71186d143363e203b2f216d78c9d21f10cca51de455ef176c9c01b77f546592", 298464),
    "high_school_world_history": ("e9c52305977dc37b3e48eee727ad933b2d24d96ca3a06aec865a8900b1e87d2c", 380424),
    "human_aging": ("0d6c4109b4f61f138781ce50bbc60ff2e90dd451694d3926a088be5a5bd88aa8", 47361),
    "human_sexuality": ("20916037e3012731883f926738daf47ed994f74ba25518fdb7f0df72a81143fd", 32866),
    "international_law": ("e389b886e3e1570bfdf798f6f56dc3c675350200c5baf0f41a0766294ff312eb", 54224),
    "jurisprudence": ("7e94c3849231be7b2654db11e44ee51531f8474e300fe83b1e05438df3038f0b", 34614),
    "logical_fallacies": ("fa2d94cd2e901621aaebd0a7e64560b5dbbe4249086795398533eed2561c0c1e", 51102),
    "machine_learning": ("9301e928481be6e20b3541e1ac112b25a4a71338b21592978c0d219cb6240020", 34575),
    "management": ("a00b12ab0265918f9335a85ce02303ddaea0491a7b099f88a05986eeac4aa4fb", 20594),
    "marketing": ("3ee0b6560ebe0eb4f14ce63227d6f6ec8cb8b6e57e345eae9460be742672f36c", 64281),
    "medical_genetics": ("7c830f87dcbc0029137b3400cf361931831cb57dda55717a64e72ad74663d5df", 21444),
    "miscellaneous": ("c2e1a5b0394a8429f55b6340e1865166ac17ec6b3571523005e413b3b2843b9f", 151860),
    "moral_disputes": ("8b2b973b1987b724f39fd10970604d7f1150747a0db9ce766c193bd978c9d0c4", 109870),
    "moral_scenarios": ("78ded6fdca1cd0d5c4ed16a5ed4aebf2e98401b9c00b20e565e6cce5bf1153c7", 379235),
    "nutrition": ("ba197fbf4b6c5034414d66ea7747211056cf5f709f83d919d2d856245720cc51", 94113),
    "philosophy": ("2f30ad01ab529ddea00dff4ff87e950fef838a78754c94f6884120628a7d0591", 81836),
    "prehistory": ("afc816d4b78814627bae9b8c3730a9bb72bd958ff6259fd36c981777cfe83753", 91362),
    "professional_accounting": ("fe5ee976a625832ecf624086103619523d063a3a728c60681b6a53c55b638a37", 126233),
    "professional_medicine": ("6fda30b523e4e2ce8b1f18e871a0722190a4ac81ec377a75fbba4a63e0b510f7", 219104),
    "professional_psychology": ("bfb3a7fb653e2b195d3fa258894af64d3f1c3dbd4059c1e0feb728131d20f9b3", 229411),
    "public_relations": ("2196279ea2535fbda62509c3156209b764459a3d515a9ba84b69cf16bb4c27d0", 29421),
    "security_studies": ("1354bb17649f95b7dd8ef3179e22329abe6bef84e639d63370ae9e80b2509905", 206239),
    "sociology": ("903ba6259b13f2877607abef22b7b19cb575104268d4ced615e3129d3caafb47", 67343),
    "us_foreign_policy": ("f1c1d266753a3f161e2018c16c6948fb78c7f5e506a10b4fc0441049962a6c69", 29024),
    "virology": ("d525f1ba88982befd42140e73822fe940e73db82bbdcdd569d95f26c3dd41e68", 39794),
    "world_religions": ("49dc00d44e069ecaac6a7f7e2188f4a8bce5df56ee91bb15f55519d07f64af8e", 26268),
}
"""Subject, checksum and size; mmlu_professional_law.csv is left out for its size."""

_ROUTELLM_TERMS = Stated("RouteLLM", "Apache-2.0 (GSM8K and MMLU: MIT)")


def _subject(subject: str) -> KnownFile:
    sha256, size = _MMLU[subject]
    return KnownFile(
        f"routellm-mmlu/{subject}",
        f"routellm/mmlu/mmlu_{subject}.csv",
        _ROUTELLM_TERMS,
        f"RouteLLM's evaluation on MMLU, {subject}, revision {_ROUTELLM_REVISION[:8]}",
        f"{_ROUTELLM}/mmlu/responses/mmlu_{subject}.csv",
        sha256,
        size,
        _COPY,
        Kind.ANSWERS,
    )


TABLES: tuple[KnownFile, ...] = (
    _llmrouter("train", "ad3ae70149998f02cbf0dd4557ccb6afcf365ac9391b7371329ffc22201e90e3", 4_018_466),
    _llmrouter("test", "fbb6d3e3f62c7018e5446d3154cc05812d3124381f774738e9f0bac5bff79c79", 361_757),
    KnownFile(
        "routellm-gsm8k",
        "routellm/gsm8k_responses.csv",
        _ROUTELLM_TERMS,
        f"RouteLLM's evaluation on GSM8K, with responses, revision {_ROUTELLM_REVISION[:8]}",
        f"{_ROUTELLM}/gsm8k/gsm8k_responses.csv",
        "1f38ed03db354a020f71e92022383dc3cf37bbf2694dea4daaeea7b6c43fe57b",
        1_291_062,
        _COPY,
        Kind.ANSWERS,
    ),
    KnownFile(
        "routellm-mmlu",
        "routellm/mmlu",
        _ROUTELLM_TERMS,
        f"RouteLLM's evaluation on MMLU, {len(_MMLU)} of 57 subjects, revision {_ROUTELLM_REVISION[:8]}",
        f"{_ROUTELLM}/mmlu/responses",
        "164cbc984159f3bd3b88a6b5a7244270fa80be968abc086199e937358b066929",
        sum(size for _, size in _MMLU.values()),
        _COPY + ", of the list of its files",
        Kind.ANSWERS,
        parts=tuple(map(_subject, _MMLU)),
    ),
)
"""Files that `iemas data fetch` gets by name."""


def known(sha256: str) -> KnownFile | None:
    """The table with these bytes, if the catalogue knows it."""
    every = (*TABLES, *(part for file in TABLES for part in file.parts))
    return next((file for file in every if file.sha256 == sha256), None)
