"""Paths that one program reads like this and another like that: none leads elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.identity.conftest import KEYS
from tests.transport.live import LiveServer, RawConnection
from tests.transport.service import CALLER, Service

MINE, VICTIM = "/v2/queues/mine/messages", "/v2/queues/victim/messages"
SECRET = "nobody else may read this"
POSTED = {"messages": [{"body": SECRET}]}
METHODS = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS")

# These do lead to the queue that was shared: one to a message that is not there, the other,
# as a fragment is no part of a path, to all messages.
_ODD_ID = "/v2/queues/mine/messages/%ef%bc%8f..%ef%bc%8fvictim"
_FRAGMENT = b"/v2/queues/mine/messages#/../../victim/messages"

CONFUSING = (
    VICTIM,
    "/v2/queues/%76ictim/messages",
    "/v2/queues/mine%2f..%2fvictim/messages",
    "/v2/queues/mine%2F..%2Fvictim%2Fmessages",
    "/v2/queues/mine/..%2fvictim/messages",
    "/v2/queues/mine/../victim/messages",
    "/v2/queues/mine/%2e%2e/victim/messages",
    "/v2/queues/mine/messages/../../victim/messages",
    "/v2/queues/mine/messages/%2e%2e/%2e%2e/victim/messages",
    "/v2/queues/mine/messages/..%2f..%2fvictim%2fmessages",
    "/v2/queues/mine/messages%252f..%252f..%252fvictim%252fmessages",
    "/v2/queues/mine/messages\\..\\..\\victim\\messages",
    "/v2/queues/mine/messages%5c..%5c..%5cvictim%5cmessages",
    "/v2/queues/mine/messages/%c0%ae%c0%ae/%c0%ae%c0%ae/victim/messages",
    "/v2/queues/mine%c0%af..%c0%afvictim/messages",
    _ODD_ID,
    "//v2/queues/victim/messages",
    "/v2//queues/victim/messages",
    "/v2/queues//victim/messages",
    "/v2/queues/victim//messages",
    "/v2/queues/victim/messages/",
    "/v2/./queues/victim/messages",
    "/V2/queues/victim/messages",
    "/v2/Queues/victim/messages",
    "/v2/queues/victim/Messages",
    "/v2/queues/VICTIM/messages",
    "/v2/queues/victim;/messages",
    "/v2/queues/mine;/../victim/messages",
    "/v2/queues/mine/messages;/../../victim/messages",
    "/v2/queues/victim/messages;x",
    "/v2/queues/mine%3f/../../queues/victim/messages",
    "/v2/queues/victim/messages%3fecho=true",
    "/v2/queues/victim/messages%23",
    "/v2/queues/victim%00/messages",
    "/v2/queues/victim/messages%00",
    "/v2/queues/mine%00victim/messages",
    "/v2/queues/mine%0d%0aX-Project-ID:%20p2/messages",
    "/v2/queues/victim/messages%20",
    "/v2/queues/*/messages",
    "/v2/queues/v*/messages",
    "/v2/queues/mine,victim/messages",
    "/v2/queues/victim/claims",
    "/v2/queues/victim/stats",
    "/v2/queues/victim/share",
    "/v2/queues/victim",
    "/x/v2/queues/mine/messages",
    "/v2/queues/mine/messages-of-others",
    "/v2/queues/mine/messages/a/b",
    "/v2/queues/victim/messages?paths=/v2/queues/victim/messages",
    "/v2/queues/victim/messages?_method=GET&project=p1&queue=mine",
    "/v2/tokens",
    "/v2/shares",
    "/v2/quotas",
)
RAW = (
    b"http://test/v2/queues/victim/messages",
    b"http://victim@test/v2/queues/mine/../victim/messages",
    b"/v2/queues/victim\x00/messages",
    b"/v2/queues/mine/messages\xc0\xaf..\xc0\xaf..\xc0\xafvictim",
    b"/v2/queues/victim/messages\x85",
    _FRAGMENT,
    b"/v2/queues/victim/messages\xff",
    b"\\v2\\queues\\victim\\messages",
    b"v2/queues/victim/messages",
    b"*",
)

Proof = tuple[Mapping[str, str | None], str]


def _proofs(token: Any, share: Any, url: Any) -> dict[str, Proof]:
    """Return the headers and the query of each credential; all are for the queue `mine`."""
    return {
        "token": ({"X-Auth-Token": token["token"]}, ""),
        "signature": (
            {
                "URL-Signature": share["signature"],
                "URL-Paths": ",".join(share["paths"]),
                "URL-Methods": ",".join(share["methods"]),
                "URL-Expires": share["expires"],
            },
            "",
        ),
        "url": ({}, url["urls"]["messages"].partition("?")[2]),
    }


WANTED: dict[str, tuple[str, Any]] = {
    "token": (
        "/v2/tokens",
        {"operations": ["post", "list", "delete", "claim"], "queues": ["mine"]},
    ),
    "share": ("/v2/queues/mine/share", {"methods": ["GET", "POST", "DELETE"]}),
    "url": ("/v2/shares", {"queue": "mine", "methods": ["GET", "POST", "DELETE"]}),
}


def _asked(path: str, query: str) -> str:
    return path + ("&" if "?" in path else "?") + query if query else path


def _is_closed(path: bytes, status: int, content: bytes) -> bool:
    if SECRET.encode() in content:
        return False
    return 400 <= status < 500 or (path in (_ODD_ID.encode(), _FRAGMENT) and status < 300)


async def test_no_path_leads_a_credential_to_another_queue_or_rule(service: Service) -> None:
    made = {
        name: (await service.post(path, wanted)).json for name, (path, wanted) in WANTED.items()
    }
    await service.post(VICTIM, POSTED)
    await service.post(MINE, {"messages": [{"body": "mine"}]})
    before, wrong = await service.get("/v2/queues/victim/stats"), []
    for name, (headers, query) in _proofs(**made).items():
        opened = await service.get(_asked(f"{MINE}?echo=true", query), headers=headers)
        assert opened.status == 200, name
        for path in CONFUSING:
            for method in METHODS:
                given = await service.call(method, _asked(path, query), POSTED, headers=headers)
                harmless = method == "OPTIONS" and not given.content
                if not harmless and not _is_closed(path.encode(), given.status, given.content):
                    wrong.append(f"{name}: {method} {path}: {given.status}")
    assert not wrong, "\n".join(wrong)
    assert (await service.get("/v2/queues/victim/stats")).json == before.json
    assert [q["name"] for q in (await service.get("/v2/queues")).json["queues"]] == [
        "mine",
        "victim",
    ]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder: Path = tmp_path_factory.mktemp("live")
    (folder / "keys.toml").write_text(KEYS)
    server = LiveServer(folder / "nusku.db", keys_file=str(folder / "keys.toml"))
    server.start()
    yield server
    server.stop()


def _sent(
    live: LiveServer, method: str, path: bytes, document: Any, lines: list[tuple[str, str]]
) -> tuple[int, dict[str, str], Any]:
    """Send this very path and these very lines; a status of 0 is a closed connection."""
    body = json.dumps(document).encode()
    head = [("Host", "test"), ("Content-Length", str(len(body))), *lines]
    with RawConnection(live.address) as raw:
        written = b"".join(f"{name}: {value}\r\n".encode() for name, value in head)
        raw.send(method.encode() + b" " + path + b" HTTP/1.1\r\n" + written + b"\r\n" + body)
        try:
            return raw.answer()
        except (IndexError, ConnectionResetError):
            return 0, {}, b""


def _made(live: LiveServer) -> dict[str, Any]:
    caller = list(CALLER.items())
    return {
        name: _sent(live, "POST", path.encode(), wanted, caller)[2]
        for name, (path, wanted) in WANTED.items()
    }


def test_no_path_on_a_socket_does_either(live: LiveServer) -> None:
    caller = list(CALLER.items())
    made = _made(live)
    assert _sent(live, "POST", VICTIM.encode(), POSTED, caller)[0] == 201
    before, wrong = _sent(live, "GET", b"/v2/queues/victim/stats", {}, caller)[2], []
    for name, (headers, query) in _proofs(**made).items():
        lines = [*caller, *((key, str(value)) for key, value in headers.items())]
        mine = _asked(MINE, query).encode()
        assert _sent(live, "GET", mine, {}, lines)[0] == 200, name
        for path in (*(path.encode() for path in CONFUSING), *RAW):
            asked = path + (b"&" if b"?" in path else b"?") + query.encode() if query else path
            for method in ("GET", "POST", "DELETE"):
                status, _, document = _sent(live, method, asked, POSTED, lines)
                if status and not _is_closed(path, status, str(document).encode()):
                    wrong.append(f"{name}: {method} {path!r}: {status}")
    assert not wrong, "\n".join(wrong)
    after = _sent(live, "GET", b"/v2/queues/victim/stats", {}, caller)[2]
    assert after["messages"]["total"] == before["messages"]["total"] == 1


def test_a_header_that_comes_twice_opens_nothing_new(live: LiveServer) -> None:
    token = _made(live)["token"]["token"]
    project, other = ("X-Project-ID", "p1"), ("x-project-id", "p2")
    client, proof = ("Client-ID", CALLER["Client-ID"]), ("X-Auth-Token", token)
    for lines, status in (
        ([project, client, proof], 200),
        ([project, other, client, proof], 403),
        ([other, project, client, proof], 403),
        ([project, client, proof, proof], 401),
        ([project, client, ("Authorization", f"Bearer {token}x"), proof], 200),
        ([project, client, ("Authorization", "Basic cDE6cDE="), proof], 200),
    ):
        assert _sent(live, "GET", MINE.encode(), {}, lines)[0] == status, lines
