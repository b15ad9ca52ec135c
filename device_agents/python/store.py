"""What the agent keeps on the device, all below one folder:

blobs/<sha256>          artifacts, golden files and wheels, by content
models/<key>/           an artifact of several files, under the names that they know one another by
runtimes/<name>-<key>/  unpacked wheels of one runtime, private to the agent
jobs/<id>/              job.json, journal.jsonl, pid, stderr files
lock                    held by the job that is measuring
"""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path


class Store:
    def __init__(self, root):
        self.root = Path(root)
        for name in ("blobs", "models", "runtimes", "jobs"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def blob(self, sha256):
        return self.root / "blobs" / _hex(sha256)

    def missing(self, blobs):
        """Those of {sha256: size} that are not here whole."""
        return [sha for sha, size in blobs.items() if not self._has(sha, size)]

    def _has(self, sha256, size):
        try:
            return self.blob(sha256).stat().st_size == size
        except FileNotFoundError:
            return False

    def receive(self, sha256, pieces):
        """Write a blob as it arrives; it gets its name only if its content is what was announced."""
        partial = self.blob(sha256).with_suffix(".part-%d" % os.getpid())
        digest = hashlib.sha256()
        with partial.open("wb") as stream:
            for piece in pieces:
                digest.update(piece)
                stream.write(piece)
        if digest.hexdigest() != sha256:
            partial.unlink()
            raise ValueError("blob %s arrived with another content" % sha256[:12])
        partial.replace(self.blob(sha256))

    def lay_out(self, sha256, suffix, companions):
        """The path of a model whose weights are in other files, beside which it looks for them.

        companions: [(name, sha256)]. Linked, not copied, where the device's file system can: weights are large. No
        symbolic links: ONNX Runtime refuses those that lead out of the folder.
        """
        wanted = [(sha256 + suffix, sha256)] + [(_relative(name), other) for name, other in companions]
        key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()
        folder = self.root / "models" / key
        if not folder.is_dir():
            partial = folder.with_name(key + ".part-%d" % os.getpid())
            shutil.rmtree(str(partial), ignore_errors=True)
            for name, content in wanted:
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                _link(self.blob(content), partial / name)
            partial.replace(folder)
        return folder / (sha256 + suffix)

    def runtime_folder(self, name, wheels):
        key = hashlib.sha256(" ".join(sorted(wheels)).encode()).hexdigest()[:16]
        return self.root / "runtimes" / ("%s-%s" % (_name(name), key))

    def install(self, name, wheels):
        """Unpack wheels (zip files) into a private folder; renamed into place when whole."""
        folder = self.runtime_folder(name, wheels)
        if not folder.exists():
            partial = folder.with_name(folder.name + ".part-%d" % os.getpid())
            shutil.rmtree(partial, ignore_errors=True)
            for sha256 in wheels:
                with zipfile.ZipFile(self.blob(sha256)) as wheel:
                    wheel.extractall(partial)  # drops absolute names and '..'
            partial.replace(folder)
        os.utime(folder)  # what the host brought last is the newest, also if it was here already
        return folder

    def installed(self, name):
        """The folders of one runtime, newest first."""
        found = [f for f in (self.root / "runtimes").glob(_name(name) + "-*") if ".part-" not in f.name]
        return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)

    def job_folder(self, job_id):
        return self.root / "jobs" / _name(job_id)

    def create_job(self, job):
        """Make the job's folder; False if it is there already, so that a job is never started twice."""
        folder = self.job_folder(job["id"])
        if folder.exists():
            return False
        partial = folder.with_name(".part-%d" % os.getpid())
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        (partial / "job.json").write_text(json.dumps(job))
        partial.replace(folder)
        return True


def _link(source, target):
    try:
        os.link(str(source), str(target))
    except OSError:
        shutil.copyfile(str(source), str(target))


def _relative(name):
    """A path below a folder, as a model file names it."""
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or ".." in parts or not name.isprintable():
        raise ValueError("not a name of a file beside a model: %r" % name[:80])
    return name


def _hex(text):
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise ValueError("not a sha256: %r" % text[:80])
    return text


def _name(text):
    """A single path component: what comes from the host is still never joined unchecked."""
    if (
        not text
        or text.startswith(".")
        or set(text) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    ):
        raise ValueError("not a plain name: %r" % text[:80])
    return text
