"""The file of secret keys: one section for each purpose, and several keys for rotation.

    [signed_urls]
    2026-11 = "any text"

    [tokens]
    2026-11 = "base64 of 32 bytes or more"

    [encryption]
    2026-11 = "base64 of exactly 32 bytes"

Each section is in order: the first key makes new signatures, tokens and seals, all of them
are accepted. Take a key out when nothing that it made can be alive any more, or to make all
of that worthless at once.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from queues.errors import ConfigurationError

_KEY_ID = re.compile(r"[0-9A-Za-z_.-]{1,32}", re.ASCII)
_SECTIONS = ("signed_urls", "tokens", "encryption")
_MIN_TOKEN_KEY_BYTES = 32
_ENCRYPTION_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by purpose and id, the current one first; an empty mapping turns a purpose off.

    SECURITY: `repr` shows no key.
    """

    signed_urls: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    tokens: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    encryption: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def read(file: str) -> KeyRing:
    """Return the keys in `file`; an empty name means none.

    Raises: ConfigurationError in one line that names the section and the id, never a key.
    """
    if not file:
        return KeyRing()
    document = _document(file)
    for name in document:
        if name not in _SECTIONS:
            raise ConfigurationError(f"{file}: there is no section '{name}' for keys")
    return KeyRing(
        signed_urls=_section(file, document, "signed_urls", _text),
        tokens=_section(file, document, "tokens", _token_key),
        encryption=_section(file, document, "encryption", _encryption_key),
    )


def _document(file: str) -> dict[str, object]:
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as ex:
        raise ConfigurationError(f"cannot read the file of keys {file}: {ex}") from ex
    except tomllib.TOMLDecodeError:
        # SECURITY: the text of this error, and what it was raised from, may quote the file.
        raise ConfigurationError(f"the file of keys {file} is no valid TOML") from None


def _section(
    file: str, document: Mapping[str, object], name: str, decode: Callable[[str], bytes]
) -> dict[str, bytes]:
    section = document.get(name, {})
    if not isinstance(section, dict):
        raise ConfigurationError(f"{file}: [{name}] must be a section of keys")
    keys = {}
    for key_id, secret in section.items():
        where = f"{file}: [{name}] {key_id}"
        if not _KEY_ID.fullmatch(key_id):
            raise ConfigurationError(
                f"{where}: an id has 1 to 32 of the characters a-z 0-9 _ . -"
            )
        if not isinstance(secret, str) or not secret:
            raise ConfigurationError(f"{where}: the key must be a string")
        try:
            keys[key_id] = decode(secret)
        except ValueError as ex:
            # SECURITY: `from None`, as the cause holds the key.
            raise ConfigurationError(f"{where}: {ex}") from None
    return keys


def _text(secret: str) -> bytes:
    return secret.encode()


def _token_key(secret: str) -> bytes:
    key = _from_base64(secret)
    if len(key) < _MIN_TOKEN_KEY_BYTES:
        raise ValueError(f"the key must have at least {_MIN_TOKEN_KEY_BYTES} bytes")
    return key


def _encryption_key(secret: str) -> bytes:
    key = _from_base64(secret)
    if len(key) != _ENCRYPTION_KEY_BYTES:
        raise ValueError(f"the key must have {_ENCRYPTION_KEY_BYTES} bytes")
    return key


def _from_base64(secret: str) -> bytes:
    try:
        return base64.b64decode(secret, validate=True)
    except binascii.Error:
        raise ValueError("the key must be base64") from None
