"""Reads a storage URL.

Errors name the part that is wrong and never show the URL: it may hold a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from queues.errors import ConfigurationError

_SCHEME = re.compile(r"redi(?P<tls>s?)s(?:\+(?P<kind>cluster|sentinel))?")
_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]@/?#\s]+)(?::(?P<port>\d{1,5}))?")
_NAMESPACE = re.compile(r"[0-9A-Za-z_.-]{1,64}", re.ASCII)
_DEFAULT_NAMESPACE = "nusku"

Address = tuple[str, int]


class Kind(StrEnum):
    """How servers are found."""

    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the store is and how to log in. `addresses` are those of Sentinels, if any."""

    kind: Kind
    tls: bool
    addresses: tuple[Address, ...]
    username: str | None
    password: str | None = field(repr=False)
    db: int
    master_name: str
    namespace: str


def parse(url: str) -> Target:
    """Return what a storage URL says.

    Raises: ConfigurationError.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("Redis URL: it cannot be read") from None
    scheme = _SCHEME.fullmatch(parts.scheme)
    if scheme is None:
        raise ConfigurationError(f"Redis URL: unknown scheme {parts.scheme!r}")
    kind = Kind(scheme["kind"] or "standalone")
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    master_name, db = _path(kind, parts.path)
    return Target(
        kind=kind,
        tls=bool(scheme["tls"]),
        addresses=_addresses(kind, hosts),
        username=unquote(username) or None,
        password=unquote(password) or None,
        db=db,
        master_name=master_name,
        namespace=_namespace(parts),
    )


def _addresses(kind: Kind, hosts: str) -> tuple[Address, ...]:
    default_port = 26379 if kind is Kind.SENTINEL else 6379
    found = [_HOST.fullmatch(host) for host in hosts.split(",")]
    if kind is Kind.STANDALONE and len(found) > 1:
        raise ConfigurationError(
            "Redis URL: several hosts need redis+cluster or redis+sentinel"
        )
    addresses = [
        (host["host"].strip("[]"), int(host["port"] or default_port)) for host in found if host
    ]
    if len(addresses) < len(found) or any(not 0 < port < 65536 for _, port in addresses):
        raise ConfigurationError("Redis URL: a host or port is missing or wrong")
    return tuple(addresses)


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """Return the name of the master, if any, and the number of the database."""
    names = [unquote(name) for name in path.strip("/").split("/")]
    master_name = names.pop(0) if kind is Kind.SENTINEL else ""
    if kind is Kind.SENTINEL and not master_name:
        raise ConfigurationError("Redis URL: the path must name the master of the Sentinels")
    db = names.pop(0) if names else ""
    if names or not re.fullmatch(r"\d{0,5}", db, re.ASCII):
        raise ConfigurationError("Redis URL: the path must end in the number of a database")
    if kind is Kind.CLUSTER and int(db or 0) != 0:
        raise ConfigurationError("Redis URL: a cluster has no database but 0")
    return master_name, int(db or 0)


def _namespace(parts: SplitResult) -> str:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    namespace = options.pop("namespace", _DEFAULT_NAMESPACE)
    if options or parts.fragment:
        # SECURITY: not named, since a password with an unquoted "?" or "#" ends up here.
        raise ConfigurationError("Redis URL: the only parameter is namespace")
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigurationError("Redis URL: namespace takes letters, digits and _ . - only")
    return namespace
