"""A pytest plugin: what a network costs on a device, as tests.

    def test_it_is_fast_enough(edgebench_deploy):
        edgebench_deploy("model.onnx").assert_latency(max_ms=20)

pytest imports this module in every run wherever edgebench is installed: everything else is imported where it is used.
"""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edgebench.analysis.comparison import CheckResult
    from edgebench.gated import Gated

_PERCENTILES = (50, 90, 99)
_UNRESOLVED = ("warn", "fail", "skip")


class NotResolvedWarning(UserWarning):
    """An assertion of edgebench that measuring once more and for longer did not resolve."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("edgebench", "edgebench: latency and accuracy on a device")
    group.addoption("--edgebench-target", metavar="NAME", help="where files are measured; default: desktop-cpu")
    group.addoption("--edgebench-plan", metavar="NAME", help="how hard to measure; default: quick")
    group.addoption("--edgebench-results", metavar="FOLDER", help="keep the records there; default: they are not kept")
    group.addoption("--edgebench-unresolved", choices=_UNRESOLVED, help="assertions not resolved; default: warn")
    parser.addini("edgebench_target", "where files are measured", default="desktop-cpu")
    parser.addini("edgebench_plan", "how hard to measure", default="quick")
    parser.addini("edgebench_unresolved", "assertions that are not resolved: warn, fail or skip", default="warn")


@pytest.fixture(scope="session")
def edgebench_deploy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Deployed]:
    """Called with a file or bundle: measures it when something is first asserted, once in a session."""
    config = request.config
    results = config.getoption("--edgebench-results")
    folder = Path(results) if results else tmp_path_factory.mktemp("edgebench-results")
    unresolved = _setting(config, "unresolved")
    if unresolved not in _UNRESOLVED:
        raise pytest.UsageError(f"edgebench_unresolved: give {', '.join(_UNRESOLVED)}, not '{unresolved}'")
    known: dict[tuple[Any, ...], Deployed] = {}

    def deployed(
        file: str | Path,
        *more: str | Path,
        target: str | None = None,
        plan: str | None = None,
        accuracy: bool = False,
        shape: Sequence[str] = (),
    ) -> Deployed:
        """accuracy: scored on the device, on the bundle's test set; otherwise accuracies are the host's. shape: sizes
        of inputs that a file leaves open, as `deploy --shape` takes them.
        """
        asked = (
            tuple(map(str, (file, *more))), target or _setting(config, "target"), plan or _setting(config, "plan"),
            accuracy, (shape,) if isinstance(shape, str) else tuple(shape),
        )  # fmt: skip
        return known.setdefault(asked, Deployed(*asked, results=folder, unresolved=unresolved))

    return deployed


def _setting(config: pytest.Config, name: str) -> str:
    given = config.getoption(f"--edgebench-{name}")
    return str(given if given is not None else config.getini(f"edgebench_{name}"))


class Deployed:
    """Files on a target. An assertion fails only where the interval excludes chance."""

    def __init__(
        self,
        files: tuple[str, ...],
        target: str,
        plan: str,
        accuracy: bool,
        shape: tuple[str, ...] = (),
        *,
        results: Path,
        unresolved: str,
    ) -> None:
        self.files, self.target, self.plan, self.accuracy, self.shape = files, target, plan, accuracy, shape
        self._results, self._unresolved = results, unresolved
        self._measured: Gated | None = None

    @property
    def records(self) -> tuple[Any, ...]:
        """Measured once in a session."""
        __tracebackhide__ = True
        if self._measured is None:
            self._measured = self._deploy((), None)
        return self._measured.records

    def assert_latency(self, *, max_ms: float, percentile: int = 50) -> None:
        """percentile: 50, 90 or 99. Of every file."""
        __tracebackhide__ = True
        _check("max_ms", max_ms, 0, math.inf)
        if percentile not in _PERCENTILES:
            pytest.fail(f"edgebench: percentile={percentile}: give {_one_of(_PERCENTILES)}", pytrace=False)
        self._hold(f"latency_p{percentile} < {_plain(max_ms)}ms")

    def assert_accuracy(self, *, at_least: float) -> None:
        """at_least: a fraction. On the device if it was scored there, else the host's."""
        __tracebackhide__ = True
        _check("at_least", at_least, 0, 1)
        self._hold(f"accuracy > {_plain(100 * at_least)}%")

    def assert_size(self, *, max_bytes: float) -> None:
        __tracebackhide__ = True
        _check("max_bytes", max_bytes, 0, math.inf)
        self._hold(f"size < {_plain(max_bytes)}B")

    def assert_not_slower_than(self, baseline: str | Path, *, margin: float = 0.05) -> None:
        """baseline: the old file or bundle, or records of it; measured in the same job. margin: a fraction."""
        __tracebackhide__ = True
        _check("margin", margin, -1, math.inf)
        self._hold(f"latency_p50 > {_plain(1 + margin)}", Path(baseline))

    def _hold(self, expression: str, baseline: Path | None = None) -> None:
        """The gate's grammar: what `--fail-if` takes."""
        __tracebackhide__ = True
        from edgebench import compare
        from edgebench.analysis import gate

        with _said():
            checks = (gate.parse(expression),)
            if baseline is not None:
                found = self._deploy(checks, baseline).comparison.checks
            else:
                found = gate.judge(compare.compare(self.records), checks)
                if any(one.longer for one in found):
                    found = self._deploy(checks, None).comparison.checks
        self._say(found)

    def _deploy(self, checks: tuple[Any, ...], baseline: Path | None) -> Gated:
        __tracebackhide__ = True
        from edgebench import deploy, gated
        from edgebench.modelfile import feeding
        from edgebench.schema import plan, targets

        with _said():
            request = feeding.parse_request(self.shape)
            chosen = plan.with_accuracy(plan.named(self.plan)) if self.accuracy else plan.named(self.plan)
            wanted = deploy.artifacts_at(map(Path, self.files), request)
            found = gated.deploy(
                targets.load(self.target, targets.find_file(None)), wanted, chosen, self._results,
                deploy.DeployOptions(wait=True), gated.Gate(baseline, checks),
                request=request,
            )  # fmt: skip
            deploy.check_measured(found.wanted, found.records)
        return found

    def _say(self, found: tuple[CheckResult, ...]) -> None:
        __tracebackhide__ = True
        failed = [_line(one) for one in found if one.state == "failed"]
        if failed:
            pytest.fail("edgebench: " + "\n".join(failed), pytrace=False)
        open_ = [_line(one) for one in found if one.state == "not resolved"]
        if not open_:
            return
        said = "edgebench: " + "\n".join(open_)
        if self._unresolved == "fail":
            pytest.fail(said, pytrace=False)
        if self._unresolved == "skip":
            pytest.skip(said)
        warnings.warn(said, NotResolvedWarning, stacklevel=3)


@contextmanager
def _said() -> Iterator[None]:
    """Makes an error a failed test with its sentence alone."""
    __tracebackhide__ = True
    from edgebench.errors import UserError

    try:
        yield
    except UserError as error:
        raise pytest.fail.Exception(f"edgebench: {error}", pytrace=False) from None  # or it is printed twice


def _check(name: str, value: float, above: float, up_to: float) -> None:
    __tracebackhide__ = True
    if not (above < value <= up_to and math.isfinite(value)):
        limit = f"above {above}, up to {up_to}," if math.isfinite(up_to) else f"above {above}"
        pytest.fail(f"edgebench: {name}={value}: give a number {limit}", pytrace=False)


def _one_of(values: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, values[:-1]))} or {values[-1]}"


def _plain(value: float) -> str:
    """Without an exponent."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _line(one: CheckResult) -> str:
    return f"{one.state}: {one.expression}: {one.artifact} on {one.target}: {one.said}"
