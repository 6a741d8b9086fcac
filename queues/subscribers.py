"""Addresses of subscribers: what they are made of, and which can be written to at all.

    http://host/path  https://…          a webhook
    mailto:who@example.com?subject=…     a mail
    trust+http://…  trust+https://…      a webhook that is shown a Keystone token

Whether a host may be reached is not decided here: names change what they stand for.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from queues.errors import InvalidRequest

SCHEMES = ("http", "https", "mailto", "trust+http", "trust+https")
MAX_CHARS = 2048

_TRUST = "trust+"
#: NOTE: blanks and control characters in a URL are where parsers disagree.
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)
#: SECURITY: none below these is for HTTP, and some (mail) would take a body for commands.
_FIRST_FREE_PORT = 1024
_WELL_KNOWN_PORTS = (80, 443)


class Subscriber(NamedTuple):
    """An address taken apart. `url` is what is requested of `host`, empty for mail."""

    scheme: str
    url: str = ""
    host: str = ""
    mailbox: str = ""
    subject: str | None = None

    @property
    def is_trusted(self) -> bool:
        """Whether requests carry a token made from a trust."""
        return self.scheme.startswith(_TRUST)


def parse(text: str) -> Subscriber:
    """Take an address apart.

    Raises: InvalidRequest saying what is wrong with it.
    """
    scheme = text.partition(":")[0].lower()
    if scheme not in SCHEMES:
        raise InvalidRequest(
            f"The subscriber type of subscription must be supported in the list {[*SCHEMES]}."
        )
    if len(text) > MAX_CHARS or not _VISIBLE.fullmatch(text):
        raise InvalidRequest(
            f"subscriber must be a URL of at most {MAX_CHARS} visible ASCII characters."
        )
    return _mail(text) if scheme == "mailto" else _web(scheme, text)


def _web(scheme: str, text: str) -> Subscriber:
    url = text[len(_TRUST) :] if scheme.startswith(_TRUST) else text
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as ex:
        raise InvalidRequest(f"subscriber is no valid URL: {ex}.") from ex
    if not parts.hostname or "\\" in url:
        raise InvalidRequest("subscriber must name a host.")
    if "@" in parts.netloc:
        # SECURITY: everybody who may list subscriptions would see the password.
        raise InvalidRequest("subscriber must not hold a user name; use options.post_headers.")
    if port is not None and port < _FIRST_FREE_PORT and port not in _WELL_KNOWN_PORTS:
        raise InvalidRequest(
            f"subscriber: port {port} is for something else than webhooks; use 80, 443, or "
            f"{_FIRST_FREE_PORT} and above."
        )
    return Subscriber(scheme, parts._replace(fragment="").geturl(), parts.hostname)


def _mail(text: str) -> Subscriber:
    parts = urlsplit(text)
    mailbox = unquote(parts.path)
    if not _MAILBOX.fullmatch(mailbox):
        raise InvalidRequest("subscriber must be mailto: and one mail address.")
    # As Zaqar does, the names of parameters are taken in any case of letters.
    given = {name.lower(): values for name, values in parse_qs(parts.query).items()}
    subject = given.get("subject", [None])[0]
    if subject is not None:
        check_line("subject", subject)
    return Subscriber("mailto", mailbox=mailbox, subject=subject)


def check_line(name: str, value: object) -> str:
    """Return a text for one line of a head.

    SECURITY: a line end in it would begin another header.

    Raises: InvalidRequest naming `name`.
    """
    if not isinstance(value, str) or len(value) > MAX_CHARS or not _is_line(value):
        raise InvalidRequest(
            f"{name} must be a string of one line, of at most {MAX_CHARS} characters."
        )
    return value


def _is_line(text: str) -> bool:
    return all(character.isprintable() or character == "\t" for character in text)
