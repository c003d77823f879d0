"""How fast leyden's data path is, beside its peers: ``python benchmarks/data.py``.

All contestants run in one process, one after another in every round, so that their ratios hold
where the speed of the machine drifts; medians are quoted, those of ratios pair by pair. Rows come
from a warm page cache, tensors are copied by one thread, and nothing is decoded or transformed:
formats that exist for compressed or remote samples lose most here.

* An epoch that takes longer than about a second is measured by a part of it, whose clock starts at
  the first batch: what beginning an epoch costs is left out then, in favour of that contestant.
* ``leyden`` shuffles by ``window:8``, ``leyden rows`` by ``rows``, the peers in their own ways.
* ``maps`` is a ``Dataset`` of single rows on memory maps as one writes it by hand, behind torch's
  ``DataLoader``; ``maps lean`` the same with arrays and lists that cost less to index;
  ``stateful`` the first behind torchdata's ``StatefulDataLoader``.
* ``memory`` selects the rows of a batch from tensors in memory, in order as well as shuffled.
* ``mapped`` gathers the same rows as ``leyden`` from files that stay mapped, and does nothing else.
* All three datasets are below 1 GiB, the images with 960 MiB only just. So much stays mapped in
  leyden; of larger data it gives pages back and maps them anew, which these figures do not show.
* ``copy`` copies the same bytes from memory into a ring of eight batches, ``copy 1.5 MB`` in pieces
  of that size, so that the ring does not stay in the cache of a core.

Takes about ten minutes on two cores. Prints tables, and writes ``benchmarks/results/data.json``, or
what ``--output`` names. The peers are no dependencies of the project; those that are not installed
are left out. To have them, in a folder of their own, since LitData asks for a package that would
replace torch::

    .venv/bin/python -m pip install --no-deps --target build/peers -r benchmarks/requirements.txt
    PYTHONPATH=build/peers .venv/bin/python benchmarks/data.py
"""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])  # where this folder is a package
    import_module("benchmarks.suite").main(__doc__)
