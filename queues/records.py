"""The third part of the storage contract: records, small documents that change in one step.

Whatever is neither a queue nor a message is a record: subscriptions and what is on its way
to them, cursors, signals, redrives. Their rules are in `queues/operations`, once for all
drivers; a driver only keeps documents, compares versions and knows what is due.

The rules of `queues/storage.py` hold here as well: `project` first and without default, time
from the caller, `StorageUnavailable` in bounded time, and one call is one atomic step.
`tests/conformance` is the executable form.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from queues.errors import StorageUnavailable
from queues.model import Record, RecordKind, Taken

#: What every encrypted document begins with, and no other: JSON never does.
SEALED = b"\0"


def legible(record: Record) -> bytes:
    """Return the document of a record that may have been stored encrypted.

    Whoever reads such documents asks here for them. A storage that `encrypts` has decrypted
    them. Any other hands out what it has stored.

    Raises: StorageUnavailable when that is encrypted.
    """
    if record.document.startswith(SEALED):
        raise StorageUnavailable(
            f"{record.kind} {record.key!r} in {record.scope!r} is encrypted, and the file in"
            " the setting keys_file has no key for that"
        )
    return record.document


class RecordStore(ABC):
    """Documents of projects, found by kind, scope and key.

    `scope` is the name of the queue that a record belongs to, or empty. Deleting the queue
    changes nothing for its records. All records of one project and scope can be changed in
    one step with messages of the queue of that name; keys are text of any characters, 1 to 512
    bytes in UTF-8.

    Drivers keep any document. Whoever stores one sees to it that it does not begin with
    `SEALED`: by that it is known, also without keys, which are encrypted.

    A record whose `expires_ms` is at or before `now_ms` does not exist, swept or not.

    Each change gives a record another version. So of concurrent changes from one version
    exactly one succeeds, and whoever took a record and was too slow changes nothing.
    """

    @abstractmethod
    async def create(self, project: str, record: Record, *, now_ms: int) -> bool:
        """Store a record under its own version, and say whether it was stored.

        False, and nothing changes, when a record of that kind, scope and key exists. When
        this returns, the record is as durable as a message would be.
        """

    @abstractmethod
    async def get(
        self, project: str, kind: RecordKind, scope: str, key: str, *, now_ms: int
    ) -> Record | None:
        """Return the record, or None if it does not exist."""

    @abstractmethod
    async def replace(self, project: str, record: Record, *, now_ms: int) -> bool:
        """Put document, due time and expiry in place of those of the record.

        Only if it exists at the version `record.version`; the next version is one higher.
        Returns whether it did; False changes nothing.
        """

    @abstractmethod
    async def delete(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        key: str,
        *,
        version: int | None,
        now_ms: int,
    ) -> bool:
        """Remove the record, if it exists at `version` (None: at any); say if it did."""

    @abstractmethod
    async def list(
        self,
        project: str,
        kind: RecordKind,
        scope: str,
        *,
        prefix: str,
        marker: str,
        limit: int,
        now_ms: int,
    ) -> Sequence[Record]:
        """Return up to `limit` records whose keys begin with `prefix` and come after `marker`.

        Ascending by code point. `marker` need not exist; an empty one starts at the
        beginning. Fewer than `limit` means that there are no more. The cost depends on
        `limit`, not on how many records there are.
        """

    @abstractmethod
    async def take(self, *, limit: int, lease_ms: int, now_ms: int) -> Sequence[Taken]:
        """Take up to `limit` records, of all projects and kinds, that are due.

        Due is what has a `due_ms` at or before `now_ms`. Those that were due first come
        first, roughly: a driver may serve scopes in turn. The `due_ms` of each becomes
        `now_ms` + `lease_ms` and its version one higher, in one step for each record; what is
        returned is how it stands then. So no two calls take a record at the same version,
        and what its taker does not finish is due again when the lease ends.

        Misses nothing: a record that is due and was stored before the call is taken by it
        or by one of the calls of the next second, unless it is changed first. The cost
        depends on `limit`, not on how many records wait.
        """
