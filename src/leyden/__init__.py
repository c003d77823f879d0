"""An extension pack for PyTorch Lightning for people who train few models thoroughly."""

from leyden._version import __version__
from leyden.shards import Catalog, discover

__all__ = ["Catalog", "__version__", "discover"]
