"""What lies on disk: numbered files of rows, and what can be inferred from them."""

from leyden.shards.catalog import Catalog, OpenPiece, Piece, Shard
from leyden.shards.discovery import Labels, discover
from leyden.shards.formats import known_extensions, register_format
from leyden.shards.pack import write_shards
from leyden.shards.splits import hold_out

__all__ = [
    "Catalog",
    "Labels",
    "OpenPiece",
    "Piece",
    "Shard",
    "discover",
    "hold_out",
    "known_extensions",
    "register_format",
    "write_shards",
]
