"""Signs of life: whoever waits for an answer hears that it is being worked on, and how much of it is done."""

import threading

from .channel import Closed

ALIVE_S = 5.0
# These are short, or say themselves how it goes.
_QUICK = ("clock", "tail", "wait")


class Heart:
    """A context around one request, which says every ALIVE_S that it is being worked on.

    How much of it is done never falls: units that are counted by did(), or seen by what watch() is given.
    """

    def __init__(self, send, does):
        self._send = send
        self._does = does
        self._did = 0
        self._look = None
        self._over = threading.Event()
        self._thread = None if does in _QUICK else threading.Thread(target=self._beat, daemon=True)

    def __enter__(self):
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        if self._thread:
            self._thread.join()

    def did(self, units):
        self._did += units

    def watch(self, look):
        """look(): how much is done by now."""
        self._look = look

    def _beat(self):
        try:
            while not self._over.wait(ALIVE_S):
                self._say()
        except Closed:
            pass

    def _say(self):
        if self._look:
            self._did = max(self._did, int(self._look()))
        self._send({"alive": {"doing": self._does, "did": self._did}})
