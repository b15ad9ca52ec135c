"""The phone's page is lost, hidden, doubled, and comes back; `deploy` is killed, stopped, or started twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from edgebench.analysis import verdict
from edgebench.errors import UserError
from edgebench.schema import record_files
from edgebench.schema.plan import Plan
from edgebench.schema.record import Record
from tests.support.browser import Browser, Person, browser, needs_chromium, url_in
from tests.support.phone_jobs import BUNDLE, PHONE, assert_right, measure
from tests.support.phone_jobs import person as person

pytestmark = [pytest.mark.phone, needs_chromium, pytest.mark.usefixtures("page_assets")]
_DEPLOY = """
import contextlib, msgspec, sys
from pathlib import Path
from edgebench import deploy
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target

class Aloud:
    def step(self, label, total=None):
        return contextlib.nullcontext(self)
    def advance(self, amount=1.0, note=""):
        print(note, flush=True)
    def say(self, line):
        print(line, flush=True)

target, plan, bundle, results = sys.argv[1:]
target, plan = msgspec.json.decode(target, type=Target), msgspec.json.decode(plan, type=Plan)
sources = [one for one in deploy.artifacts_at([Path(bundle)]) if one.artifact.precision == "int8"]
deploy.deploy(target, sources, plan, Path(results), progress=Aloud())
"""
# The screen is locked, and unlocked again, while the next values are taken.
_LOCKED_WHILE_TIMING = """
{
  const ask = WebWorker.prototype.ask;
  WebWorker.prototype.ask = function (request) {
    const asked = ask.call(this, request);
    if (request.do === "time") {
      WebWorker.prototype.ask = ask;
      for (const value of ["hidden", "visible"]) {
        Object.defineProperty(document, "visibilityState", {value, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
      }
    }
    return asked;
  };
}
"""


def test_a_reload_in_the_middle_is_marked_and_nothing_is_lost(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    person.when["round 2"] = Browser.reload
    measured = measure(person, plan, tmp_path)
    assert_right(measured, rounds_min=6)
    marked = [r.interrupted for one in measured.values() for r in one.rounds if r.interrupted]
    assert 1 <= len(marked) <= 4 and set(marked) == {"the page was reloaded"}
    # The clock of the rounds continues over the reload.
    for one in measured.values():
        starts = [r.start_ns for r in one.rounds]
        assert starts == sorted(starts)


def test_a_round_that_nobody_saw_is_measured_again(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)

    person.when["round 2"] = lambda phone: phone.run(_LOCKED_WHILE_TIMING)
    measured = measure(person, plan, tmp_path)
    assert_right(measured, rounds_min=6)
    marked = [r.interrupted for one in measured.values() for r in one.rounds if r.interrupted]
    assert marked == ["the page was hidden"]


_SHOWN_OR_HIDDEN = """
Object.defineProperty(document, "visibilityState", {value: "%s", configurable: true});
document.dispatchEvent(new Event("visibilitychange"));
"""


def test_a_page_in_the_background_is_asked_to_the_front(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)

    def show_again() -> None:
        assert person.phone is not None
        person.phone.run(_SHOWN_OR_HIDDEN % "visible")

    person.when["round 2"] = lambda phone: phone.run(_SHOWN_OR_HIDDEN % "hidden")
    person.on_said["in the background, where nothing is measured"] = show_again
    assert_right(measure(person, plan, tmp_path), rounds_min=6)
    assert "phone is back; the job continues where it was" in person.said and not person.on_said


def test_a_lost_network_is_waited_for(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    headlines = []

    def lose_it_for_a_while(phone: Browser) -> None:
        phone.set_offline(True)
        give_up = time.monotonic() + 10
        while "No connection" not in phone.headline() and time.monotonic() < give_up:
            time.sleep(0.05)
        headlines.append(phone.headline())
        phone.set_offline(False)

    person.when["round 2"] = lose_it_for_a_while
    assert_right(measure(person, plan, tmp_path), rounds_min=6)
    assert headlines == ["No connection to the computer"]


def test_a_link_that_is_cut_is_taken_up_again(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    person.behind_a_proxy()
    before = []

    def cut(_: Browser) -> None:
        assert person.proxy is not None
        before.append(person.proxy.connections)
        person.proxy.cut()

    person.when["round 2"] = cut
    assert_goes_on(measure(person, plan, tmp_path))
    assert person.proxy is not None and person.proxy.connections > before[0] > 0


def test_a_link_that_falls_silent_is_said_and_waited_for(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    """Connections stay, and carry nothing: a phone at the edge of its network."""
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    person.behind_a_proxy()

    def fall_silent(_: Browser) -> None:
        assert person.proxy is not None
        person.proxy.stall()
        person.on_said["No sign of the page on phone"] = person.proxy.heal

    person.when["round 2"] = fall_silent
    assert_goes_on(measure(person, plan, tmp_path))
    assert "phone is back; the job continues where it was" in person.said and not person.on_said


def assert_goes_on(measured: dict[str, Record]) -> None:
    """To its end, and no round is missing."""
    assert_right(measured, rounds_min=6)
    for one in measured.values():
        assert [round_.number for round_ in one.rounds] == list(range(len(one.rounds)))


def test_a_phone_that_goes_away_leaves_what_it_measured(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=60, seconds_max=60.0, precision=10.0, worker_timeout_s=3.0)
    person.when["round 3"] = lambda phone: phone.open("about:blank")
    measured = measure(person, plan, tmp_path)
    for one in measured.values():
        assert (one.outcome.status, one.outcome.kind) == ("failed", "timeout")
        assert "the phone is gone" in one.outcome.reason and "open the page again" in one.outcome.reason
        assert len(one.rounds) >= 2
        assert verdict.judge(one).level == "invalid"


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_tab_that_is_lost_is_opened_anew_and_the_job_goes_on(
    person: Person, tiny_plan: Plan, tmp_path: Path, how: str
) -> None:
    """The terminal says that it is gone, where to open it again, and that it is back; no value is lost."""
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    url = []

    def lose(phone: Browser) -> None:
        url.append(phone.run("location.origin + '/#t=' + token"))
        phone.open("about:blank") if how == "closed" else phone.kill()
        person.on_said["No sign of the page on phone"] = lambda: person.open_again(url[0])

    person.when["round 2"] = lose
    measured = measure(person, plan, tmp_path)
    assert_right(measured, rounds_min=6)
    for one in measured.values():
        assert [round_.number for round_ in one.rounds] == list(range(len(one.rounds)))
    marked = {r.interrupted for one in measured.values() for r in one.rounds if r.interrupted}
    assert marked == {"the page was opened again"}
    (gone,) = [line for line in person.said if "No sign of the page" in line]
    assert url[0] in gone and "the job waits for two minutes" in gone
    assert any("phone is back; the job continues where it was" in line for line in person.said)


def test_ctrl_c_ends_a_job_whose_phone_is_gone(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    """At once, and not when the phone is back; what was measured is saved."""
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    person.when["round 3"] = Browser.kill
    person.on_said["No sign of the page"] = lambda: os.kill(os.getpid(), signal.SIGINT)
    measured = measure(person, plan, tmp_path)
    assert any("Stopping after this round" in line for line in person.said)
    assert {one.outcome.status for one in measured.values()} <= {"failed", "stopped"}
    assert all(len(one.rounds) >= 2 for one in measured.values())


def test_a_second_phone_with_the_same_code_is_turned_away(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    headlines = []

    def bring_another(_: Browser) -> None:
        url = url_in(person.said[0])
        assert url is not None
        with browser() as other:
            other.open(url)
            give_up = time.monotonic() + 20
            while other.headline() in ("", "Connecting …") and time.monotonic() < give_up:
                time.sleep(0.05)
            headlines.append(other.headline())

    person.when["round 2"] = bring_another
    assert_right(measure(person, plan, tmp_path), rounds_min=6)
    assert headlines == ["Another phone or tab has this code"]


def test_a_killed_deploy_is_gone_on_with(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    """The phone's job outlives the `deploy` that started it, as a board's does."""
    plan = msgspec.structs.replace(tiny_plan, rounds_min=8, seconds_max=60.0, precision=10.0)
    arguments = [msgspec.json.encode(PHONE).decode(), msgspec.json.encode(plan).decode(), BUNDLE, tmp_path / "results"]
    first = subprocess.Popen([sys.executable, "-c", _DEPLOY, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    with first, first.stdout:
        for line in first.stdout:
            person.say(line)
            if line.startswith("round 1"):
                break
        os.kill(first.pid, signal.SIGKILL)
    measured = measure(person, plan, tmp_path)
    assert any("which an earlier deploy left behind" in line for line in person.said)
    assert_right(measured, rounds_min=8)


# The next timings that are sent are of 10^4000 ns; no browser makes such a number by itself.
_LIES = """
{
  const written = JSON.stringify;
  JSON.stringify = (what) => {
    const text = written(what);
    if (!(what.answer && what.answer.ok && what.answer.ok.values_ns)) return text;
    JSON.stringify = written;
    return text.replace(/"values_ns":\\[\\d+/, '"values_ns":[1' + "0".repeat(4000));
  };
}
"""


def test_a_phone_that_lies_fails_one_artifact(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    person.when["round 2"] = lambda phone: phone.run(_LIES)
    measured = measure(person, plan, tmp_path)
    by_status = {one.outcome.status: one for one in measured.values()}
    assert sorted(by_status) == ["complete", "failed"]
    assert "values that are not times" in by_status["failed"].outcome.reason and by_status["failed"].rounds
    assert len(by_status["complete"].rounds) >= 6


def test_a_second_deploy_is_told_who_follows_the_job(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    """... and the first one continues and saves its results."""
    plan = msgspec.structs.replace(tiny_plan, rounds_min=8, seconds_max=60.0, precision=10.0)
    arguments = [msgspec.json.encode(PHONE).decode(), msgspec.json.encode(plan).decode(), BUNDLE, tmp_path / "results"]
    first = subprocess.Popen([sys.executable, "-c", _DEPLOY, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    said = ""
    with first, first.stdout:
        for line in first.stdout:
            person.say(line)
            if line.startswith("round 1") and not said:
                with pytest.raises(UserError) as told:
                    measure(person, tiny_plan, tmp_path)
                said = str(told.value)
    assert f"which another edgebench on this machine (process {first.pid}) follows" in said and "Ctrl-C" in said
    assert first.returncode == 0
    records = [record_files.load(path) for path in (tmp_path / "results").glob("phone/*.json")]
    assert len(records) == 2 and all(one.outcome.status == "complete" for one in records)


def test_a_phone_that_was_killed_does_not_hold_up_the_next_deploy(
    person: Person, tiny_plan: Plan, tmp_path: Path
) -> None:
    """The terminal says that it gives no sign, and shows the address again."""
    measure(person, tiny_plan, tmp_path)
    assert person.phone is not None
    person.phone.kill()
    person.phone, person.said = None, []
    assert_right(measure(person, tiny_plan, tmp_path))
    assert "had the page open but does not answer now" in person.said[0] and url_in(person.said[1])
