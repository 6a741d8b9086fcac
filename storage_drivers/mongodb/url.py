"""What a storage URL may ask for, and what it must not."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options

from queues.errors import ConfigurationError

#: Options that the driver sets itself, and the only value that each may have in a URL.
_REQUIRED = {
    "w": "majority",
    "j": "true",
    "journal": "true",
    "readpreference": "primary",
}

_DEFAULT_DATABASE = "nusku"

TOO_OLD = "storage mongodb: MongoDB 5.0 or newer is needed"


def database_name(url: str) -> str:
    """Return the database in the path of the URL, or the default."""
    return unquote(urlsplit(url).path.strip("/")) or _DEFAULT_DATABASE


def refusal(url: str) -> ConfigurationError:
    """Return why the client wants nothing to do with what the URL leads to.

    SECURITY: the library's own text is left out, here as below.
    """
    if not url.startswith("mongodb+srv:"):
        return ConfigurationError(TOO_OLD)
    return ConfigurationError(
        "storage mongodb: DNS names no usable servers for the host of the mongodb+srv URL: "
        "either it has no SRV records under _mongodb._tcp, or DNS does not answer; "
        "a mongodb:// URL names the servers itself"
    )


def checked(url: str) -> str:
    """Return the URL for the client, without the options that the driver sets itself.

    SECURITY: messages name options, never the URL, which may hold a password.

    Raises: ConfigurationError when it asks for less than the driver promises, or is wrong.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigurationError("storage mongodb: the URL is not valid") from None
    options = parse_qsl(parts.query.replace(";", "&"), keep_blank_values=True)
    for option, value in options:
        _check_promise(option, value)
    query = urlencode([pair for pair in options if pair[0].lower() not in _REQUIRED])
    _check_options(query)
    return urlunsplit(parts._replace(query=query, path=parts.path or "/"))


def _check_promise(option: str, value: str) -> None:
    required = _REQUIRED.get(option.lower())
    if required is not None and value.lower() != required:
        raise ConfigurationError(
            f"storage mongodb: {option}={value} would lose or misread acknowledged "
            f"messages: use {option}={required}, or leave it out"
        )


def _check_options(query: str) -> None:
    """Refuse options that the client does not know; it would only warn and ignore them."""
    try:
        if query:
            split_options(query, validate=True, warn=False)
    except (PyMongoError, ValueError, TypeError):
        names = ", ".join(name for name, _ in parse_qsl(query, keep_blank_values=True))
        raise ConfigurationError(
            f"storage mongodb: an option of the URL is unknown or has a wrong value: {names}"
        ) from None
