"""What lies on disk: numbered files of rows, and what can be inferred from them."""

from leyden.shards.catalog import Catalog, Shard
from leyden.shards.dataset_file import LeadingAxis
from leyden.shards.discovery import Labels, discover
from leyden.shards.fields import Inputs, name_inputs
from leyden.shards.formats import OpenFile, known_extensions, register_format
from leyden.shards.manifest import FileFacts, Manifest, find_manifest, read_manifest, verify_pack
from leyden.shards.packing import pack
from leyden.shards.pieces import OpenPiece, Piece
from leyden.shards.sources import Block, ImageFolder, Source, Table
from leyden.shards.splits import hold_out
from leyden.shards.write import write_shards

__all__ = [
    "Block",
    "Catalog",
    "FileFacts",
    "ImageFolder",
    "Inputs",
    "Labels",
    "LeadingAxis",
    "Manifest",
    "OpenFile",
    "OpenPiece",
    "Piece",
    "Shard",
    "Source",
    "Table",
    "discover",
    "find_manifest",
    "hold_out",
    "known_extensions",
    "name_inputs",
    "pack",
    "read_manifest",
    "register_format",
    "verify_pack",
    "write_shards",
]
