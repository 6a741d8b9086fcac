"""What requests prove themselves with: settings of the server, and headers that fit them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path

import jwt

from bench.client import LoadFailed
from queues.clock import SystemClock

#: Nothing; a JSON Web Token of the operator's identity provider; an application token.
KINDS = ("none", "jwt", "token")

#: Of these benchmarks only, like everything that they start.
_SECRET = b"a secret for benchmarks, of thirty-two bytes or more"

_CLIENT_ID = "3381af92-2b9e-11e3-b191-71861300734c"
_LIFE_S = 86_400


def settings(kind: str, folder: Path) -> Mapping[str, str]:
    """Return the settings of a server that takes such credentials; keys go into `folder`."""
    if kind == "none":
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "jwt":
        file = folder / "issuer"
        file.write_bytes(_SECRET)
        return {
            "NUSKU_AUTH_STRATEGY": "jwt",
            "NUSKU_JWT_KEYS": str(file),
            "NUSKU_JWT_ISSUER": "bench",
            "NUSKU_JWT_AUDIENCE": "nusku",
        }
    file = folder / "keys.toml"
    file.write_text(f'[tokens]\nbench = "{base64.b64encode(_SECRET[:32]).decode()}"\n')
    return {"NUSKU_KEYS_FILE": str(file)}


def headers(kind: str, host: str) -> str:
    """Return the lines that make requests of the project `bench` to a running server.

    Raises: LoadFailed.
    """
    if kind == "none":
        return ""
    token = _signed() if kind == "jwt" else _given_out(host)
    return f"Authorization: Bearer {token}\r\n"


def _signed() -> str:
    claims = {
        "iss": "bench",
        "aud": "nusku",
        "exp": SystemClock().now_ms() // 1000 + _LIFE_S,
        "sub": "bench",
        "project_id": "bench",
        "roles": ["member"],
    }
    return jwt.encode(claims, _SECRET, algorithm="HS256")


def _given_out(host: str) -> str:
    wanted = {"operations": ["post", "claim", "list", "delete", "manage"], "ttl": _LIFE_S}
    answer = ask_once(host, "POST", "/v2/tokens", wanted)
    return str(answer["token"])


def ask_once(host: str, method: str, path: str, document: object) -> Mapping[str, object]:
    """Send one request of an operator and return the answer's document, if it has one.

    Raises: LoadFailed.
    """
    connection = HTTPConnection(host, timeout=10)
    sent = {
        "Client-ID": _CLIENT_ID,
        "X-Project-ID": "bench",
        "X-Roles": "admin",
        "Content-Type": "application/json",
    }
    try:
        connection.request(method, path, json.dumps(document), sent)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise LoadFailed(f"{method} {path}: {answer.status} {content[:400]!r}")
    found: Mapping[str, object] = json.loads(content) if content else {}
    return found
