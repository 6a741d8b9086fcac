"""Drivers of the storage contract, chosen by the scheme of a URL."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from urllib.parse import urlsplit

from queues.errors import ConfigurationError
from queues.storage import Storage

#: URL scheme -> (module of the driver, extra of the distribution that installs its library).
_DRIVERS = {
    "sqlite": ("storage_drivers.sqlite", None),
    "redis": ("storage_drivers.redis", "redis"),
    "rediss": ("storage_drivers.redis", "redis"),
    "redis+cluster": ("storage_drivers.redis", "redis"),
    "rediss+cluster": ("storage_drivers.redis", "redis"),
    "redis+sentinel": ("storage_drivers.redis", "redis"),
    "rediss+sentinel": ("storage_drivers.redis", "redis"),
    "mongodb": ("storage_drivers.mongodb", "mongodb"),
    "mongodb+srv": ("storage_drivers.mongodb", "mongodb"),
}


def open_storage(url: str, *, timeout_ms: int) -> Storage:
    """Return the driver for `url`, not yet opened.

    Every call on it answers or raises `StorageUnavailable` within about `timeout_ms`.

    Raises: ConfigurationError for an unknown scheme, a URL that the driver cannot use, or a
    driver whose library is not installed.
    """
    scheme = urlsplit(url).scheme
    if scheme not in _DRIVERS:
        # SECURITY: nothing of the URL is shown, any part of a mistyped one may be a password.
        known = ", ".join(f"{name}://" for name in _DRIVERS)
        raise ConfigurationError(f"the storage URL must begin with one of {known}")
    storage: Storage = _load(scheme).Driver(url, timeout_ms=timeout_ms)
    return storage


def seal_storage(inner: Storage, keys: Mapping[str, bytes]) -> Storage:
    """Return a storage that keeps messages in `inner` and encrypts those that ask for it.

    `keys` are the master keys by id, the current one first; without any, it is `inner`.
    """
    if not keys:
        return inner
    # NOTE: imported when it is needed, as most servers can do without its memory.
    sealed = import_module("storage_drivers.sealed")
    storage: Storage = sealed.SealedStorage(inner, keys)
    return storage


def _load(scheme: str) -> ModuleType:
    module, extra = _DRIVERS[scheme]
    try:
        return import_module(module)
    except ModuleNotFoundError as ex:
        raise ConfigurationError(
            f"storage {scheme}:// needs a package that is not installed ({ex.name}): "
            f"install nusku with its extra '{extra}'"
        ) from ex
