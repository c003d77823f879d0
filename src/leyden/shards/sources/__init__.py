"""What can be packed into shards."""

from leyden.shards.sources.arrays import ArraySource
from leyden.shards.sources.base import Block, IndexedSource, Shuffled, Source
from leyden.shards.sources.choose import choose_source
from leyden.shards.sources.datasets import DatasetSource, Indexed, StreamSource
from leyden.shards.sources.images import ImageFolder
from leyden.shards.sources.tables import TABLE_EXTENSIONS, Table

__all__ = [
    "TABLE_EXTENSIONS",
    "ArraySource",
    "Block",
    "DatasetSource",
    "ImageFolder",
    "Indexed",
    "IndexedSource",
    "Shuffled",
    "Source",
    "StreamSource",
    "Table",
    "choose_source",
]
