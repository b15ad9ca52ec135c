"""One option of `edgebench compare` for each report format, that is for each file in `analysis/report`."""

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
    """Passes these options to the command as `reports`, {format: path}; they appear where `reports` stands."""
    forms = plugins.names(_PACKAGE)

    @functools.wraps(command)
    def wrapped(**typed: object) -> None:
        given = {form: path for form in forms if (path := typed.pop(form.replace("-", "_"))) is not None}
        command(reports=given, **typed)

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        parameters += [_option(form) for form in forms] if parameter.name == "reports" else [parameter]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {one.name: one.annotation for one in parameters}
    return wrapped


def _option(form: str) -> inspect.Parameter:
    help_ = plugins.summary(_PACKAGE, form)
    return inspect.Parameter(
        form.replace("-", "_"),
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[Path | None, typer.Option(f"--{form}", help=help_, show_default=False)],
    )
