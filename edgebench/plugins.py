"""A plugin is one file; its name is what users type; the folder is the registry.

`fashion_mnist_mini.py` is typed `fashion-mnist-mini`. Names that start with an underscore, and folders, are helpers.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from edgebench.errors import UnknownName


def names(package: str) -> list[str]:
    """Every name that `load` accepts, as users type it, sorted. Imports the package, not the plugins."""
    folder = importlib.import_module(package)
    return sorted(
        module.name.replace("_", "-")
        for module in pkgutil.iter_modules(folder.__path__)
        if not module.ispkg and not module.name.startswith("_")
    )


def summary(package: str, name: str) -> str:
    """The first sentence of a plugin's docstring, read without importing it."""
    (folder,) = importlib.import_module(package).__path__
    tree = ast.parse((Path(folder) / f"{name.replace('-', '_')}.py").read_text())
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def load(package: str, name: str, *, kind: str) -> ModuleType:
    """Import one plugin; `kind` names it in the error ("model", "data set", ...)."""
    known = names(package)
    if name not in known:
        raise UnknownName(kind, name, known)
    return importlib.import_module(f"{package}.{name.replace('-', '_')}")
