"""Does what Debian's maintainer scripts would do; adds the user, keys and init of the emulated board."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from edgebench.device.emulator.boards import EmulatedBoard

GUEST_FILES = Path(__file__).parent / "guest"

_ROOT, _SHADOW_GROUP, _PI = 0, 42, 1000
_NOT_NEEDED = [
    "boot", "usr/lib/modules", "usr/lib/udev", "usr/share/bash-completion", "usr/share/doc", "usr/share/info",
    "usr/share/initramfs-tools", "usr/share/lintian", "usr/share/locale", "usr/share/man",
    "var/cache/apt", "var/lib/apt/lists",
]  # fmt: skip
# Addresses and name of the computer that builds, which the board must not have.
_LEFT_BY_BUILDER = ["etc/resolv.conf", "etc/hostname", "etc/apt/sources.list"]
_GUEST_PLACES = {
    "init": "usr/sbin/edgebench-init",
    "fakepi": "usr/sbin/fakepi",
    "vcgencmd": "usr/bin/vcgencmd",
}


def prune(tree: Path) -> None:
    for name in _NOT_NEEDED:
        shutil.rmtree(tree / name)
    for name in _LEFT_BY_BUILDER:
        (tree / name).unlink(missing_ok=True)
    for device_trees in tree.glob("usr/lib/linux-image-*"):
        shutil.rmtree(device_trees)


def configure(tree: Path, board: EmulatedBoard, *, login_key: str, host_key: Path) -> None:
    """login_key: the public key that may log in as `pi`. host_key: sshd's private key."""
    _add_users(tree)
    _configure_system(tree)
    _configure_pam(tree)
    _configure_sshd(tree, host_key)
    _make_home(tree, login_key)
    _install_guest_files(tree, board)


def compile_stdlib(tree: Path) -> bool:
    """Byte-compile the board's standard library with a Python of this computer, if one has its version.

    Otherwise every `python3` on the board would compile its imports again, which takes emulated seconds. Bytecode
    depends only on the minor version, not on the machine. False: the guest does it before the snapshot.
    """
    (library,) = tree.glob("usr/lib/python3.*")
    python = _python_of_version(library.name.removeprefix("python"))
    if python is None:
        return False
    # The age of sources is not checked at import: the files never change. -s, -p: paths as on the board.
    done = subprocess.run(
        [python, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
        + ["-s", str(tree), "-p", "/", str(library)],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def _python_of_version(version: str) -> str | None:
    for candidate in (sys.executable, shutil.which(f"python{version}")):
        if candidate:
            code = "import sys; print('%d.%d' % sys.version_info[:2])"
            answer = subprocess.run([candidate, "-c", code], text=True, capture_output=True, check=False)
            if answer.stdout.strip() == version:
                return candidate
    return None


def _add_users(tree: Path) -> None:
    users = (tree / "usr/share/base-passwd/passwd.master").read_text()
    users += "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n"
    users += f"pi:x:{_PI}:{_PI}:,,,:/home/pi:/bin/bash\n"
    groups = (tree / "usr/share/base-passwd/group.master").read_text()
    groups = groups.replace("video:*:44:", "video:*:44:pi") + f"pi:x:{_PI}:\n"
    names = [line.split(":")[0] for line in users.splitlines()]
    _write(tree, "etc/passwd", users)
    _write(tree, "etc/group", groups)
    # "*": no password matches; with "!" sshd would refuse keys too.
    _write(tree, "etc/shadow", "".join(f"{name}:*:19700:0:99999:7:::\n" for name in names), 0o640)
    os.chown(tree / "etc/shadow", _ROOT, _SHADOW_GROUP)


def _configure_system(tree: Path) -> None:
    for name in ("nsswitch.conf", "profile"):
        template = tree / "usr/share/base-files" / name
        if template.exists():
            shutil.copy(template, tree / "etc" / name)
    for name, program in (("sh", "dash"), ("awk", "mawk")):
        if not (tree / "usr/bin" / name).is_symlink():
            (tree / "usr/bin" / name).symlink_to(program)
    _write(tree, "etc/hostname", "raspberrypi\n")
    _write(tree, "etc/hosts", "127.0.0.1 localhost\n127.0.1.1 raspberrypi\n")
    _write(tree, "etc/fstab", "/dev/vda / ext4 noatime 0 1\n")
    (tree / "boot").mkdir()


def _configure_pam(tree: Path) -> None:
    """The files that pam-auth-update would write; only sudo uses PAM here."""
    for kind in ("auth", "account", "password", "session"):
        _write(tree, f"etc/pam.d/common-{kind}", f"{kind} required pam_unix.so\n")
    _write(tree, "etc/pam.d/common-session-noninteractive", "session required pam_unix.so\n")
    _write(tree, "etc/sudoers.d/010_pi-nopasswd", "pi ALL=(ALL) NOPASSWD: ALL\n", 0o440)


def _configure_sshd(tree: Path, host_key: Path) -> None:
    shutil.copy(tree / "usr/share/openssh/sshd_config", tree / "etc/ssh/sshd_config")
    # One kind of host key, no PAM, no reverse lookups: a login takes 0.3 s instead of seconds.
    settings = [
        *("UsePAM no", "UseDNS no", "PasswordAuthentication no", "HostKey /etc/ssh/ssh_host_ed25519_key"),
        *("PrintMotd no", "PrintLastLog no", "MaxSessions 50", "MaxStartups 50:30:100"),
    ]
    _write(tree, "etc/ssh/sshd_config.d/00-edgebench.conf", "\n".join(settings) + "\n")
    _write(tree, "etc/ssh/ssh_host_ed25519_key", host_key.read_text(), 0o600)


def _make_home(tree: Path, login_key: str) -> None:
    home = tree / "home/pi"
    shutil.copytree(tree / "etc/skel", home)
    (home / ".ssh").mkdir(mode=0o700)
    _write(tree, "home/pi/.ssh/authorized_keys", login_key, 0o600)
    for path in (home, *home.rglob("*")):
        os.chown(path, _PI, _PI)


def _install_guest_files(tree: Path, board: EmulatedBoard) -> None:
    for name, place in _GUEST_PLACES.items():
        _write(tree, place, (GUEST_FILES / name).read_text(), 0o755)
    lowest, highest = board.clock_khz
    _write(tree, "etc/fakepi.conf", f"REVISION={board.revision}\nMIN_KHZ={lowest}\nMAX_KHZ={highest}\n")


def _write(tree: Path, name: str, text: str, mode: int = 0o644) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
