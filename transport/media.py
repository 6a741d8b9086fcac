"""JSON and MessagePack: parsing request documents, and turning bodies from one to the other.

Message bodies are cut out of the document and kept byte for byte; the checks here make sure
that whatever is kept can be read back, in either encoding, by every client.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from itertools import accumulate
from typing import Any, TypeVar

import msgspec

from queues.errors import MalformedBody, StorageUnavailable
from queues.limits import MAX_NESTING
from queues.model import Media

JSON = "application/json"
MSGPACK = "application/msgpack"
MSGPACK_NAMES = (MSGPACK, "application/x-msgpack", "application/vnd.msgpack")

T = TypeVar("T")

_INT64 = range(-(2**63), 2**63)
_OUTLINE = bytes.maketrans(b"0123456789{", b"0000000000[")
_LONG_NUMBER = b"0" * 19
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_SURROGATE = "a string holds a lone surrogate, which is no character"
_WHERE = re.compile(r"^(?P<what>.*?) - at `\$\.?(?P<where>.*)`$")

_decode_json = msgspec.json.Decoder().decode
_decode_msgpack = msgspec.msgpack.Decoder().decode
_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode


class Document(msgspec.Struct):
    """A request body with its encoding."""

    data: bytes
    media: Media


def named(content_type: str | None) -> Media:
    """Return the encoding that a Content-Type names; JSON is what clients leave unsaid."""
    if content_type is None or content_type == JSON:
        return Media.JSON
    name = content_type.partition(";")[0].strip().lower()
    return Media.MSGPACK if name in MSGPACK_NAMES else Media.JSON


def decode(document: Document, shape: type[T]) -> T:
    """Return the document as `shape`, a type that msgspec knows.

    Raises: MalformedBody naming the field and what was expected, for whatever cannot be
    parsed, has a wrong type, is nested deeper than `MAX_NESTING`, holds an integer beyond
    64 bits, a lone surrogate, NaN or an infinity, or (MessagePack) an extension type or a
    key that is no string.
    """
    if not document.data:
        raise MalformedBody("The request body is empty, but a document was expected.")
    try:
        if document.media is Media.JSON:
            _check_json(document.data)
            return msgspec.json.decode(document.data, type=shape)
        _check_value(_decode_msgpack(document.data), MAX_NESTING)
        return msgspec.msgpack.decode(document.data, type=shape)
    except msgspec.ValidationError as ex:
        raise MalformedBody(_explain(str(ex))) from ex
    except (msgspec.DecodeError, UnicodeDecodeError) as ex:
        text = _SURROGATE if _has_lone_surrogate(document) else f"{ex}"
        raise MalformedBody(f"Request body could not be parsed: {text}.") from ex
    except RecursionError as ex:
        raise _too_deep() from ex


def encode(value: object, media: Media) -> bytes:
    """Return a response document in the given encoding."""
    return _encode_json(value) if media is Media.JSON else _encode_msgpack(value)


def as_media(body: bytes, stored: Media, wanted: Media) -> msgspec.Raw:
    """Return a message body for embedding in a response, re-encoded only if need be.

    MessagePack binary becomes base64 text in JSON.

    Raises: StorageUnavailable for a body that is still encrypted.
    """
    if stored is wanted:
        return msgspec.Raw(body)
    if stored is Media.SEALED:
        raise StorageUnavailable("a message is encrypted, and no key is configured to read it")
    if wanted is Media.JSON:
        return msgspec.Raw(_encode_json(_decode_msgpack(body)))
    return msgspec.Raw(_encode_msgpack(_decode_json(body)))


def as_json(body: bytes, stored: Media) -> bytes:
    """Return a message body as JSON.

    Raises: StorageUnavailable for a body that is still encrypted.
    """
    return bytes(as_media(body, stored, Media.JSON))


def checksum(body: bytes, stored: Media) -> str | None:
    """Return Zaqar's checksum: MD5 of the body as Python's `json` writes it; None for null."""
    value = json.loads(bytes(as_media(body, stored, Media.JSON)))
    if value is None:
        return None
    digest = hashlib.md5(json.dumps(value).encode(), usedforsecurity=False)
    return f"MD5:{digest.hexdigest()}"


def _check_json(data: bytes) -> None:
    """Refuse JSON that decodes but could not be given back to every client."""
    value = _decode_json(data)
    # PERF: a regular expression takes ten times as long (bench/pieces/test_parsing.py).
    outline = data.translate(_OUTLINE)
    if outline.count(b"[") > MAX_NESTING:
        _check_json_nesting(data)
    if _LONG_NUMBER in outline:
        _check_value(value, MAX_NESTING)


def _check_json_nesting(data: bytes) -> None:
    """Refuse JSON that is nested too deeply.

    PERF: no loop in Python over the thousands of brackets of a document of many messages:
    strings are cut out, then brackets become steps of +1 and -1, which add up to the level.
    """
    steps = _STRING.sub(b"", data).translate(_STEPS, _NO_BRACKETS)
    if max(accumulate(memoryview(steps).cast("b"))) > MAX_NESTING:
        raise _too_deep()


def _check_value(value: Any, depth: int) -> None:
    """Refuse decoded values that one of the two encodings cannot carry.

    `depth` is how many levels of objects and lists the value may have.
    """
    if isinstance(value, dict | list) and depth == 0:
        raise _too_deep()
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise MalformedBody("Keys of objects must be strings.")
            _check_value(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_value(item, depth - 1)
    else:
        _check_scalar(value)


def _check_scalar(value: object) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MalformedBody("Numbers must be finite.")
    elif isinstance(value, int):
        if value not in _INT64:
            raise MalformedBody("Integers must fit into 64 bits.")
    elif not isinstance(value, str | bytes | None):
        raise MalformedBody("MessagePack extension types are not supported.")


def _has_lone_surrogate(document: Document) -> bool:
    """Say whether an escaped surrogate without its partner is what spoils a JSON document.

    msgspec calls the document truncated then; Python's parser lets surrogates pass.
    """
    try:
        text = json.dumps(json.loads(document.data), ensure_ascii=False)
    except (ValueError, RecursionError):
        return False
    return any("\ud800" <= character <= "\udfff" for character in text)


def _too_deep() -> MalformedBody:
    return MalformedBody(f"The document must not be nested deeper than {MAX_NESTING} levels.")


def _explain(text: str) -> str:
    """Turn a validation text of msgspec into one that starts with the field."""
    found = _WHERE.match(text)
    if not found or not found["where"] or "[...]" in found["where"]:
        return f"The request body is not as expected: {text.partition(' - at ')[0]}."
    return f"{found['where']}: {found['what']}."
