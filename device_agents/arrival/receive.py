"""Receive a file from stdin: PATH SIZE SHA256. It gets its name when it is complete; else nothing is left of it."""

import hashlib
import os
import sys

path, size, wanted = sys.argv[1], int(sys.argv[2]), sys.argv[3]
folder = os.path.dirname(path)
if not os.path.isdir(folder):
    os.makedirs(folder)
about = os.statvfs(folder)
free = about.f_bavail * about.f_frsize
if free < size + (1 << 16):
    sys.exit("full %d" % free)
partial = "%s.part-%d" % (path, os.getpid())
source = getattr(sys.stdin, "buffer", sys.stdin)
digest = hashlib.sha256()
try:
    with open(partial, "wb") as stream:
        while size:
            piece = source.read(min(size, 1 << 16))
            if not piece:
                sys.exit("the link ended %d bytes early" % size)
            digest.update(piece)
            stream.write(piece)
            size -= len(piece)
        stream.flush()
        os.fsync(stream.fileno())
    if digest.hexdigest() != wanted:
        sys.exit("it was damaged on the way")
    os.rename(partial, path)
finally:
    if os.path.exists(partial):
        os.unlink(partial)
