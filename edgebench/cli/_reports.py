"""An option of `edgebench compare` for each form of report: the files of `analysis/report` are the list of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from edgebench import plugins

_PACKAGE = "edgebench.analysis.report"


def with_reports(command: Callable[..., None]) -> Callable[..., None]:
    """The command takes what was typed as `reports`, {form: path}; its place among the options is kept."""
    forms = plugins.names(_PACKAGE)

    @functools.wraps(command)
    def wrapped(**typed: object) -> None:
        asked = {form: path for form in forms if (path := typed.pop(form.replace("-", "_"))) is not None}
        command(reports=asked, **typed)

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        parameters += [_option(form) for form in forms] if parameter.name == "reports" else [parameter]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in parameters}
    return wrapped


def _option(form: str) -> inspect.Parameter:
    said = plugins.summary(_PACKAGE, form)
    return inspect.Parameter(
        form.replace("-", "_"),
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[Path | None, typer.Option(f"--{form}", help=said, show_default=False)],
    )
