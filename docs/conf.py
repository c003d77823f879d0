"""How the pages are made: ``make docs``."""

import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.nodes import make_refnode

import leyden

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from figures import draw_all  # noqa: E402 - beside this file

project = "leyden"
release = version = leyden.__version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "leyden"
html_show_copyright = False
html_copy_source = False

add_module_names = False
autodoc_inherit_docstrings = False  # a hook that overrides Lightning's is described by Lightning
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False

doctest_test_doctest_blocks = ""  # examples in docstrings run with the tests

# The pages are built without a network, so that other projects' names cannot be linked to.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!leyden)[\w.]+"),
    # Parts of a room that its users get but never make.
    (r"py:.*", r"leyden\.data\.gather\.ShardStore"),
]


def resolve_room(
    app: Sphinx, env: Any, node: nodes.Element, content: nodes.TextElement
) -> nodes.reference | None:
    """Link ``leyden.room.module.Name``, where something is written, to ``leyden.room.Name``."""
    parts = str(node.get("reftarget", "")).split(".")
    if node.get("refdomain") != "py" or parts[0] != "leyden" or len(parts) < 4:
        return None
    objects = env.domains.python_domain.objects
    # Some rooms have folders of modules: ``leyden.room.folder.module.Name``.
    targets = [".".join([*parts[:2], *parts[depth:]]) for depth in (3, 4)]
    target = next((target for target in targets if target in objects), None)
    if target is None:
        return None
    found = objects[target]
    source = node["refdoc"]
    return make_refnode(app.builder, source, found.docname, found.node_id, content, target)


def parse_as_prose(docstring: GoogleDocstring) -> list[str]:
    """Read a property's docstring like a method's: before a colon there is prose, not a type."""
    docstring._what = "method"  # noqa: SLF001 - napoleon has no setting for it
    docstring._parse()  # noqa: SLF001
    return []


def setup(app: Sphinx) -> None:
    """Draw the figures, and join in where names are looked up and docstrings are read."""
    GoogleDocstring._parse_attribute_docstring = parse_as_prose  # noqa: SLF001
    draw_all(HERE / "_build" / "figures")
    app.connect("missing-reference", resolve_room)
