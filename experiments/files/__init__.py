"""Files of data as such: read or refused, known by their bytes, found where they lie. Imports `errors`."""

from experiments.files.content import Record, json_records, read_bytes, read_text, table_rows, tokens_of
from experiments.files.known import KnownFile, Terms
from experiments.files.place import (
    cache_folder,
    checksum,
    find_known,
    given_folders,
    located,
    named_folder,
    record_beside,
    recorded,
)

__all__ = [
    "KnownFile",
    "Record",
    "Terms",
    "cache_folder",
    "checksum",
    "find_known",
    "given_folders",
    "json_records",
    "located",
    "named_folder",
    "read_bytes",
    "read_text",
    "record_beside",
    "recorded",
    "table_rows",
    "tokens_of",
]
