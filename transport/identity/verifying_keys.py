"""Public keys and secrets that prove a JSON Web Token, each for its own algorithm only."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from queues.clock import Clock
from queues.config import is_loopback
from queues.errors import ConfigurationError
from transport.identity.exchange import NoAnswer, Site

_log = logging.getLogger("nusku.identity")

#: A published key set is read again after so long, so that a key taken out stops to work.
REFRESH_MS = 300_000

#: Unknown key ids make us read again no more often than this, whoever invents them.
PAUSE_MS = 10_000

#: Without an answer the last keys go on working for so long.
STALE_MS = 24 * 3600 * 1000

_TIMEOUT_S = 5.0
_MIN_SECRET_BYTES = 32
_MIN_RSA_BITS = 2048
_SYMMETRIC = "HS256"


class VerifyingKey(NamedTuple):
    """A key, the one algorithm it is for, and its id if it has one."""

    key_id: str | None
    algorithm: str
    key: Any


class KeySource(Protocol):
    """Where keys come from."""

    async def find(self, key_id: str | None, algorithm: str) -> VerifyingKey | None:
        """Return the key that has to verify a token with this header, if there is one.

        A token that names no key is verified by the only key for its algorithm.

        Raises: KeysUnavailable when no keys could be had so far.
        """

    @property
    def version(self) -> int:
        """Another number whenever the keys have changed."""

    def are_still(self, version: int) -> bool:
        """Say whether what the keys of this version have proved is still to be believed.

        Sees to it that old keys are read again, also when nobody asks for one of them.
        """


class KeysUnavailable(Exception):
    """The address of the keys gives none, and none are known."""


class FixedKeys:
    """Keys that stay as they are while the process runs."""

    version = 0

    def __init__(self, keys: Sequence[VerifyingKey]) -> None:
        """Serve `keys`."""
        self._keys = keys

    async def find(self, key_id: str | None, algorithm: str) -> VerifyingKey | None:
        """See KeySource."""
        return choose(self._keys, key_id, algorithm)

    def are_still(self, version: int) -> bool:
        """See KeySource."""
        return True


class PublishedKeys:
    """The key set at an address, fetched when it is first needed and again now and then."""

    def __init__(self, url: str, clock: Clock) -> None:
        """Prepare to read from `url`.

        Raises: ConfigurationError.
        """
        self._url = url
        parts = urlsplit(url)
        self._site = Site(f"{parts.scheme}://{parts.netloc}", timeout_s=_TIMEOUT_S)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._clock = clock
        self._keys: Sequence[VerifyingKey] = ()
        self._read_ms: int | None = None
        self._tried_ms: int | None = None
        self._reading: asyncio.Task[None] | None = None
        self.version = 0

    async def find(self, key_id: str | None, algorithm: str) -> VerifyingKey | None:
        """See KeySource. Reads again when the keys are old or do not have what is asked for."""
        if self._older_than(self._read_ms, STALE_MS):
            await self._read_again()
            if self._older_than(self._read_ms, STALE_MS):
                raise KeysUnavailable
        elif self._older_than(self._read_ms, REFRESH_MS):
            self._start_reading()
        found = choose(self._keys, key_id, algorithm)
        if found is None:
            await self._read_again()
            found = choose(self._keys, key_id, algorithm)
        return found

    def are_still(self, version: int) -> bool:
        """See KeySource. Not when they have not been confirmed for too long."""
        # SECURITY: tokens that are remembered look for no key, and would outlive theirs.
        if self._older_than(self._read_ms, REFRESH_MS):
            self._start_reading()
        return version == self.version and not self._older_than(self._read_ms, STALE_MS)

    def _older_than(self, moment_ms: int | None, age_ms: int) -> bool:
        return moment_ms is None or self._clock.now_ms() - moment_ms > age_ms

    async def _read_again(self) -> None:
        self._start_reading()
        if self._reading is not None:
            # NOTE: shielded, as others may wait for the same reading.
            await asyncio.shield(self._reading)

    def _start_reading(self) -> None:
        """Read in the background, unless that goes on already or was tried just now."""
        if self._reading is not None or not self._older_than(self._tried_ms, PAUSE_MS):
            return
        self._tried_ms = self._clock.now_ms()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            keys = from_jwks(await self._fetch(), symmetric=False)
        except (NoAnswer, ValueError) as ex:
            _log.warning("keys for tokens: cannot read %s: %s", self._url, ex)
        else:
            self._read_ms = self._clock.now_ms()
            if keys != self._keys:
                self._keys = keys
                self.version += 1
        finally:
            self._reading = None

    async def _fetch(self) -> bytes:
        """Return what is at the address.

        SECURITY: size and time are bounded, and no redirect is followed, so an address that
        was checked cannot lead to one that was not.

        Raises: NoAnswer, ValueError.
        """
        answer = await self._site.exchange("GET", self._path, {"Accept": "application/json"})
        if answer.status != 200:
            raise ValueError(f"the answer was {answer.status}")
        return answer.body


def source(where: str, clock: Clock) -> KeySource:
    """Return the keys in a file or at a URL.

    Raises: ConfigurationError for a URL that is not `https` (`http` only to this machine),
    a file that cannot be read, or keys that are too weak or of an unknown kind.
    """
    if "://" in where:
        _check_url(where)
        return PublishedKeys(where, clock)
    try:
        return FixedKeys(_from_file(Path(where).read_bytes()))
    except (OSError, ValueError, UnsupportedAlgorithm) as ex:
        # SECURITY: `from None`, as the cause may hold the secret.
        raise ConfigurationError(f"jwt_keys {where}: {_reason(ex)}") from None


def choose(
    keys: Sequence[VerifyingKey], key_id: str | None, algorithm: str
) -> VerifyingKey | None:
    """Return the key for a token header, if it is not ambiguous.

    SECURITY: a key serves its own algorithm alone, so the public half of a pair is never
    taken for a shared secret, whatever the header of a token says.
    """
    fitting = [key for key in keys if key.algorithm == algorithm]
    if key_id is None:
        return fitting[0] if len(fitting) == 1 else None
    named = [key for key in fitting if key.key_id == key_id]
    if named:
        return named[0]
    nameless = [key for key in fitting if key.key_id is None]
    return nameless[0] if len(nameless) == 1 else None


def from_jwks(document: bytes, *, symmetric: bool) -> list[VerifyingKey]:
    """Return the keys for signatures in a JSON Web Key Set (RFC 7517); skip all others.

    Raises: ValueError.
    """
    try:
        decoded = json.loads(document)
    except RecursionError:
        raise ValueError("this is no JSON Web Key Set") from None
    entries = decoded.get("keys") if isinstance(decoded, dict) else None
    if not isinstance(entries, list):
        raise ValueError("this is no JSON Web Key Set")
    found = [_from_jwk(entry) for entry in entries if isinstance(entry, dict)]
    usable = [key for key in found if key and (symmetric or key.algorithm != _SYMMETRIC)]
    if not usable:
        raise ValueError("the key set has no key that can be used")
    return usable


def _from_jwk(entry: dict[str, Any]) -> VerifyingKey | None:
    if entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(entry).key
        algorithm = _algorithm_for(key)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        return None
    if entry.get("alg", algorithm) != algorithm:
        return None
    return VerifyingKey(entry.get("kid"), algorithm, key)


def _from_file(content: bytes) -> list[VerifyingKey]:
    text = content.strip()
    if text.startswith(b"{"):
        return from_jwks(text, symmetric=True)
    if text.startswith(b"-----BEGIN"):
        key = load_pem_public_key(text)
        return [VerifyingKey(None, _algorithm_for(key), key)]
    return [VerifyingKey(None, _algorithm_for(text), text)]


def _algorithm_for(key: object) -> str:
    """Return the algorithm that a key is for, by its kind.

    Raises: ValueError for weak keys and other kinds, private keys among them.
    """
    if isinstance(key, bytes):
        if len(key) < _MIN_SECRET_BYTES:
            raise ValueError(f"a shared secret needs at least {_MIN_SECRET_BYTES} bytes")
        return _SYMMETRIC
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _MIN_RSA_BITS:
            raise ValueError(f"an RSA key needs at least {_MIN_RSA_BITS} bits")
        return "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "EdDSA"
    raise ValueError("only public keys of RSA, P-256 and Ed25519 and shared secrets will do")


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    local = is_loopback(parts.hostname or "")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ConfigurationError(f"jwt_keys: {url} must be an https address")


def _reason(ex: Exception) -> str:
    return ex.strerror or "cannot be read" if isinstance(ex, OSError) else str(ex)
