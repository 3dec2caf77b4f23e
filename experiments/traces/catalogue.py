"""The real traces that this project knows: where they come from, under which terms, and their checksums.

None of them is shipped. Checksums and sizes were computed from a copy of the pinned revision.
"""

from experiments.files.known import Kind, KnownFile, Stated

_COPY = "computed from a copy of the pinned revision"
_RAW = "https://raw.githubusercontent.com"
_MOONCAKE_REVISION = "3b5a594133958449a1feaf1c9e0fc1b553e34a28"
_AZURE_REVISION = "b469a113cedca53ddc3bdea71a143dc4b7d8700c"


def _mooncake(part: str, sha256: str, size: int) -> KnownFile:
    return KnownFile(
        f"mooncake-{part}",
        f"mooncake/{part}_trace.jsonl",
        Stated("Mooncake", "Apache-2.0"),
        f"official Mooncake trace (FAST 2025), {part}, revision {_MOONCAKE_REVISION[:8]}",
        f"{_RAW}/kvcache-ai/Mooncake/{_MOONCAKE_REVISION}/FAST25-release/traces/{part}_trace.jsonl",
        sha256,
        size,
        _COPY,
        Kind.TRACE,
    )


def _azure(part: str, sha256: str, size: int) -> KnownFile:
    return KnownFile(
        f"azure-{part}",
        f"azure/AzureLLMInferenceTrace_{part}.csv",
        Stated("Azure LLM inference", "CC BY 4.0"),
        f"official Azure LLM inference trace 2023, {part}, revision {_AZURE_REVISION[:8]}",
        f"{_RAW}/Azure/AzurePublicDataset/{_AZURE_REVISION}/data/AzureLLMInferenceTrace_{part}.csv",
        sha256,
        size,
        _COPY,
        Kind.TRACE,
    )


TRACES: tuple[KnownFile, ...] = (
    _mooncake("conversation", "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df", 3_029_533),
    _mooncake("synthetic", "bd070915a98fc0ed264d7cfef2ce746002eb3076a695ec31ba2674c0111ec131", 1_136_313),
    _azure("conv", "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8", 719_188),
    _azure("code", "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6", 320_117),
)
"""Files that `iemas data fetch` gets by name."""


def known(sha256: str) -> KnownFile | None:
    """The trace with these bytes, if the catalogue knows it."""
    return next((file for file in TRACES if file.sha256 == sha256), None)
