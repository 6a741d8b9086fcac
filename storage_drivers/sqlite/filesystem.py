"""What the file system below a path means for durability, where the system tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")

_VOLATILE = {"tmpfs", "ramfs"}
_NETWORK = {
    "9p", "afs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "lustre", "nfs",
    "nfs4", "smb3", "smbfs",
}  # fmt: skip


def warnings(path: Path) -> Sequence[str]:
    """Return what a user should know; nothing where the system does not tell."""
    kind = _kind(path.resolve())
    if kind in _VOLATILE:
        return [f"{path} is on {kind}: it is lost when the machine restarts"]
    if kind in _NETWORK:
        return [f"{path} is on {kind}: SQLite needs a local file system to be safe"]
    return []


def _kind(path: Path) -> str | None:
    """Return the type of the file system that holds the path (proc(5), mountinfo)."""
    if not _MOUNTS.exists():
        return None
    mounts: dict[Path, str] = {}
    for line in _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        mounted, _, described = line.partition(" - ")
        point = _ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), mounted.split(" ")[4])
        mounts[Path(point)] = described.split(" ")[0]
    return next((mounts[parent] for parent in [path, *path.parents] if parent in mounts), None)
