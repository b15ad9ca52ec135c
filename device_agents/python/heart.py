"""Signs of life: whoever waits for an answer hears that it is being worked on."""

import threading

from .channel import Closed

ALIVE_S = 5.0
# These are short, or say themselves how it goes.
_QUICK = ("clock", "tail", "wait")


class Heart:
    """A context around one request, which says every ALIVE_S that it is being worked on."""

    def __init__(self, send, does):
        self._send = send
        self._does = does
        self._over = threading.Event()
        self._thread = None if does in _QUICK else threading.Thread(target=self._beat, daemon=True)

    def __enter__(self):
        if self._thread:
            self._thread.start()

    def __exit__(self, *_):
        self._over.set()
        if self._thread:
            self._thread.join()

    def _beat(self):
        try:
            while not self._over.wait(ALIVE_S):
                self._send({"alive": {"doing": self._does}})
        except Closed:
            pass
