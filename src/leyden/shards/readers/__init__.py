"""Formats of arrays and tables: from a file to an open array."""

from leyden.shards.readers.base import (
    LARGE,
    ArrayReader,
    FileState,
    is_too_long,
    reading,
    state_of,
    unload,
)
from leyden.shards.readers.compressed import Lz4Reader, ZstdReader
from leyden.shards.readers.first_line import (
    EMPTY,
    count_heading,
    csv_columns,
    find_delimiter,
    is_header,
)
from leyden.shards.readers.hdf5 import Hdf5Reader, hdf5_keys
from leyden.shards.readers.lines import BLOCK_BYTES, count_blank_end, parsing, without_blank_end
from leyden.shards.readers.lost import refusing_lost_pages
from leyden.shards.readers.npy import NpyReader
from leyden.shards.readers.npz import NpzReader, npz_keys
from leyden.shards.readers.safetensors import SafetensorsReader, safetensors_keys
from leyden.shards.readers.tables import CsvReader, ParquetReader, parquet_columns
from leyden.shards.readers.words import TEXT, as_words

__all__ = [
    "BLOCK_BYTES",
    "EMPTY",
    "LARGE",
    "TEXT",
    "ArrayReader",
    "CsvReader",
    "FileState",
    "Hdf5Reader",
    "Lz4Reader",
    "NpyReader",
    "NpzReader",
    "ParquetReader",
    "SafetensorsReader",
    "ZstdReader",
    "as_words",
    "count_blank_end",
    "count_heading",
    "csv_columns",
    "find_delimiter",
    "hdf5_keys",
    "is_header",
    "is_too_long",
    "npz_keys",
    "parquet_columns",
    "parsing",
    "reading",
    "refusing_lost_pages",
    "safetensors_keys",
    "state_of",
    "unload",
    "without_blank_end",
]
