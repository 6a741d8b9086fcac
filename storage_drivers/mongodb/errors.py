"""Where the library's exceptions become ours, and where a call's time is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from pymongo.errors import BulkWriteError, PyMongoError

from queues.errors import StorageUnavailable
from storage_drivers.mongodb.layout import Database

_DUPLICATE_KEY = 11000

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _View(Protocol):
    db: Database


_V = TypeVar("_V", bound=_View)


def bounded(
    call: Callable[Concatenate[_V, _P], Coroutine[Any, Any, _R]],
) -> Callable[Concatenate[_V, _P], Coroutine[Any, Any, _R]]:
    """Give the method of a view `timeout_ms` in all; then, and on errors, it is unavailable.

    Raises: StorageUnavailable.
    """

    @wraps(call)
    async def translated(view: _V, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            async with asyncio.timeout(view.db.timeout_ms / 1000):
                return await call(view, *args, **kwargs)
        except TimeoutError as ex:
            raise StorageUnavailable("MongoDB did not answer in time") from ex
        except PyMongoError as ex:
            raise unavailable(ex) from ex

    return translated


def unavailable(ex: PyMongoError) -> StorageUnavailable:
    """Return our error for the library's; its own text may name hosts, never passwords."""
    return StorageUnavailable(f"MongoDB: {type(ex).__name__}")


@contextmanager
def ignoring_duplicates() -> Iterator[None]:
    """Let an unordered insert pass whose only errors are documents that were there already.

    Raises: BulkWriteError when anything else went wrong.
    """
    try:
        yield
    except BulkWriteError as ex:
        codes = {error["code"] for error in ex.details.get("writeErrors") or []}
        if ex.details.get("writeConcernErrors") or codes != {_DUPLICATE_KEY}:
            raise


def stored_before_duplicate(ex: BulkWriteError) -> int:
    """Return how many documents an ordered insert stored before it met a taken `_id`.

    Raises: BulkWriteError, the given one, when anything else went wrong.
    """
    errors = ex.details.get("writeErrors") or []
    if ex.details.get("writeConcernErrors") or [e["code"] for e in errors] != [_DUPLICATE_KEY]:
        raise ex
    return int(errors[0]["index"])
