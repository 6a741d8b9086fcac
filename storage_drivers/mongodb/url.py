"""What a storage URL may ask for, and what it must not."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from queues.errors import ConfigurationError

#: Options that would weaken a promise, and the only value that each may have.
_REQUIRED = {
    "w": "majority",
    "j": "true",
    "journal": "true",
    "readpreference": "primary",
}

_DEFAULT_DATABASE = "nusku"


def database_name(url: str) -> str:
    """Return the database in the path of the URL, or the default."""
    return unquote(urlsplit(url).path.strip("/")) or _DEFAULT_DATABASE


def check(url: str) -> None:
    """Refuse a URL that asks for less than the driver promises.

    SECURITY: the message names the option, never the URL, which may hold a password.

    Raises: ConfigurationError.
    """
    try:
        query = urlsplit(url).query
    except ValueError:
        raise ConfigurationError("storage mongodb: the URL is not valid") from None
    for option, value in parse_qsl(query.replace(";", "&"), keep_blank_values=True):
        required = _REQUIRED.get(option.lower())
        if required is not None and value.lower() != required:
            raise ConfigurationError(
                f"storage mongodb: {option}={value} would lose or misread acknowledged "
                f"messages: use {option}={required}, or leave it out"
            )
