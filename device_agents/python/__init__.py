"""The Linux agent: standard library only, Python >= 3.9, sent as one zipapp.

    __main__.py   which of the three processes this is
    session.py    answers the host: facts, blobs, runtimes, start a job, tail its journal
    job.py        the measurement, top to bottom; detached, survives the host
    worker.py     holds one runtime and one model, and does nothing else

PROTOCOL.md, one folder up, defines what they say to each other.
"""

PROTOCOL = 3
