"""Looks at the settings of the servers: which would lose data, which promise what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import ResponseError

from queues.errors import ConfigurationError
from storage_drivers.redis.scripts import command
from storage_drivers.redis.servers import Servers

_OLDEST = (6, 2)
_NAMES = (b"maxmemory-policy", b"appendonly", b"appendfsync", b"save")
_VERSION = re.compile(rb"^redis_version:(\d+)\.(\d+)", re.MULTILINE)

_UNKNOWN = "not known: the server does not let its settings be read"
_SYNCED = "append-only file, synced to disk before every answer"
_EVERY_SECOND = "append-only file, synced to disk every second: a crash loses up to a second"
_UNSYNCED = "append-only file, synced when the operating system likes to"
_SNAPSHOTS = "snapshots: a crash loses everything since the last one"
_MEMORY = "memory only: a restart loses everything"

#: From the weakest to the strongest; of several masters the weakest counts.
_PROMISES = (_MEMORY, _SNAPSHOTS, _UNKNOWN, _UNSYNCED, _EVERY_SECOND, _SYNCED)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the masters promise: the weakest of them counts."""

    durability: str
    warnings: Sequence[str]


async def inspect(servers: Servers) -> Findings:
    """Look at all masters.

    Raises: ConfigurationError for a server that is too old or may evict data to free memory;
    StorageUnavailable.
    """
    try:
        await _refuse_old(servers)
        settings = [await _settings(servers, name) for name in _NAMES]
    except ResponseError:
        return Findings(_UNKNOWN, [f"Redis: durability and eviction are {_UNKNOWN}"])
    masters = [dict(zip(_NAMES, values, strict=True)) for values in zip(*settings, strict=True)]
    for master in masters:
        _refuse_eviction(master)
    durability = min((_promise(master) for master in masters), key=_PROMISES.index)
    weak = durability in {_MEMORY, _SNAPSHOTS}
    return Findings(durability, [f"Redis: no append-only file; {durability}"] if weak else [])


async def _refuse_old(servers: Servers) -> None:
    for info in await servers.on_every_master(command(b"INFO", b"server")):
        found = _VERSION.search(info)
        if found and (int(found[1]), int(found[2])) < _OLDEST:
            version = b".".join(found.groups()).decode()
            raise ConfigurationError(f"Redis 6.2 or later is needed, this is {version}")


async def _settings(servers: Servers, name: bytes) -> list[bytes]:
    """Return the value of one setting on every master; empty where it is not known."""
    answers = await servers.on_every_master(command(b"CONFIG", b"GET", name))
    return [answer[1] if answer else b"" for answer in answers]


def _refuse_eviction(master: Mapping[bytes, bytes]) -> None:
    policy = master[b"maxmemory-policy"].decode()
    if policy not in {"noeviction", ""}:
        raise ConfigurationError(
            f"Redis may evict messages: set maxmemory-policy to noeviction, not {policy}"
        )


def _promise(master: Mapping[bytes, bytes]) -> str:
    if master[b"appendonly"] == b"yes":
        synced = {b"always": _SYNCED, b"everysec": _EVERY_SECOND}
        return synced.get(master[b"appendfsync"], _UNSYNCED)
    return _SNAPSHOTS if master[b"save"] else _MEMORY
