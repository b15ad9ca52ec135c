"""The process between a phone's browser and `deploy`: `python -m`, the settings on its stdin.

    a private socket        one session for each connected `deploy` or `check`
    http or https           the page, its files, and its requests
    main thread             one job after another

It ends by itself when no host is connected and no job runs.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import TextIO, cast

from device_agents.python import PROTOCOL
from device_agents.python.channel import Channel, Closed
from edgebench.device.phone import http
from edgebench.device.phone.guard import ShortLog
from edgebench.device.phone.session import PhoneSession
from edgebench.device.phone.station import Station


def accept_hosts(station: Station, listening: socket.socket) -> None:
    while True:
        connection, _ = listening.accept()
        station.host_came()
        threading.Thread(target=_serve_host, args=(station, connection), daemon=True).start()


def _serve_host(station: Station, connection: socket.socket) -> None:
    with connection:
        channel = Channel(connection.fileno(), connection.fileno())
        session = PhoneSession(channel, station, _peer(connection))
        try:
            channel.send({"hello": PROTOCOL, "python": sys.version.split()[0], "pid": os.getpid()})
            while True:
                session.answer(channel.receive())
        except (Closed, ConnectionError, ValueError):
            pass
        finally:
            session.close()
            station.host_left()


def _peer(connection: socket.socket) -> int:
    """The pid of the process at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def main() -> None:
    # Not an argument: it contains the code, and every user of this machine can read a process's arguments.
    config = json.loads(sys.stdin.readline())
    if os.fork():  # the child outlives the process that started it, which need not wait for it
        return
    os.setsid()
    sys.stderr = cast("TextIO", ShortLog(sys.stderr))
    station = Station(config)
    signal.signal(signal.SIGTERM, lambda *_: station.stop.set())
    path = Path(config["socket"])
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        try:
            web = http.serve(station)
        except OSError as error:
            path.unlink()
            sys.exit(f"port {config['port']}: {error.strerror}")
        threading.Thread(target=accept_hosts, args=(station, listening), daemon=True).start()
        threading.Thread(target=web.serve_forever, daemon=True).start()
        print(json.dumps({"port": web.server_port}), flush=True)
        station.run_jobs()
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
