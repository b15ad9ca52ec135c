"""The documentation site (`make docs`): these pages, README, CONTRIBUTING and CHANGELOG, and the docstrings."""

from __future__ import annotations

import edgebench

project = "edgebench"
release = version = edgebench.__version__
author = "edgebench"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"edgebench {edgebench.__version__}"
html_show_copyright = False
html_copy_source = False

myst_heading_anchors = 3
# Sources outside this folder are linked as they are on a forge.
suppress_warnings = ["myst.xref_missing", "myst.header"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
autodoc_default_options = {"exclude-members": "__init__, __new__"}
