"""Who may use which endpoint: each credential at each of them, under each strategy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from falcon import inspect

from queues import authorization
from queues.identity import rules_of
from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.identity.endpoints import ADMINS, ENDPOINTS, OPEN, Endpoint, outcome
from tests.identity.false_keystone import TOKEN, answer, false_keystone, shown
from tests.identity.issuer import AUDIENCE, ISSUER, SigningKey
from tests.transport.service import Service
from transport.audience import Audience, check_rules

Headers = dict[str, str | None]
Expected = Callable[[Endpoint], str]

EVERYTHING = [
    *("post", "list", "claim", "delete", "stats", "manage", "subscribe", "share", "delegate"),
    *("wait", "signal"),
]
ALONE: Headers = {"X-Project-ID": None, "Client-ID": None}


def _all(result: str) -> Expected:
    return lambda endpoint: result


def _member(endpoint: Endpoint) -> str:
    return "forbidden" if endpoint.rule in ADMINS else "open"


def _believed(endpoint: Endpoint) -> str:
    """Where nobody proves anything, operators are told by their network alone."""
    return "open" if endpoint.rule == "health:get" else _member(endpoint)


def _granted(*operations: str, queue: str = "q1") -> Expected:
    rules = rules_of(operations)

    def expected(endpoint: Endpoint) -> str:
        reached = endpoint.name in (None, queue)
        return "open" if endpoint.needs <= rules and reached else "forbidden"

    return expected


def _shared(*rules: str) -> Expected:
    """A signature names a path, and what has another path does the same in vain."""

    def expected(endpoint: Endpoint) -> str:
        is_shared = endpoint.route.startswith("/v2/queues/{queue}/messages")
        signed = endpoint.rule in rules and is_shared
        return "open" if signed else "nothing there"

    return expected


class Credential:
    """What somebody comes with, and what is expected of it."""

    def __init__(self, headers: Headers, expected: Expected, query: str = "") -> None:
        self.headers = headers
        self.expected = expected
        self.query = query


async def _tokens(maker: Service, clock: MovableClock) -> dict[str, Credential]:
    async def made(**wanted: Any) -> tuple[str, Headers]:
        given = await maker.post("/v2/tokens", {"operations": EVERYTHING, **wanted})
        assert given.status == 201, given.json
        return given.json["id"], {"X-Auth-Token": given.json["token"], "X-Project-ID": None}

    _, everything = await made()
    revoked_id, revoked = await made()
    await maker.delete(f"/v2/tokens/{revoked_id}")
    _, expired = await made(ttl=1)
    clock.advance(s=1)
    text = str(everything["X-Auth-Token"])
    head, body, signature = text.split(".")
    return {
        "token for everything": Credential(everything, _granted(*EVERYTHING)),
        "token in Authorization": Credential(
            {"Authorization": f"Bearer {text}"}, _granted(*EVERYTHING)
        ),
        "token to post": Credential((await made(operations=["post"]))[1], _granted("post")),
        "token to list": Credential((await made(operations=["list"]))[1], _granted("list")),
        "token for other queues": Credential(
            (await made(queues=["x*"]))[1], _granted(*EVERYTHING, queue="x1")
        ),
        "token, other project": Credential(
            {**everything, "X-Project-ID": "p2"}, _all("forbidden")
        ),
        "token, revoked": Credential(revoked, _all("unknown")),
        "token, expired": Credential(expired, _all("unknown")),
        "token, tampered": Credential(
            {**everything, "X-Auth-Token": f"{head}.{body[:-2]}xx.{signature}"}, _all("unknown")
        ),
    }


async def _shares(maker: Service, clock: MovableClock) -> dict[str, Credential]:
    async def signed(queue: str = "q1", **wanted: Any) -> Headers:
        terms = (await maker.post(f"/v2/queues/{queue}/share", wanted)).json
        return {
            "URL-Signature": terms["signature"],
            "URL-Paths": ",".join(terms["paths"]),
            "URL-Methods": ",".join(terms["methods"]),
            "URL-Expires": terms["expires"],
            "X-Project-ID": terms["project"],
        }

    async def url(queue: str = "q1", **wanted: Any) -> tuple[str, str]:
        share = (await maker.post("/v2/shares", {"queue": queue, **wanted})).json
        return share["id"], share["urls"]["messages"].partition("?")[2]

    reading = _shared("messages:get_all", "messages:get")
    nothing = _all("nothing there")
    revoked_id, revoked = await url()
    await maker.delete(f"/v2/shares/{revoked_id}")
    until = clock.now_ms() // 1000 + 5
    soon = _iso(until)
    expired, expired_url = await signed(expires=soon), (await url(expires=soon))[1]
    clock.advance(s=6)
    right = await signed()
    return {
        "signature": Credential(right, reading),
        "signature to post": Credential(
            await signed(methods=["POST"]), _shared("messages:create")
        ),
        "signature, other queue": Credential(await signed("x1"), nothing),
        "signature, other project": Credential({**right, "X-Project-ID": "p2"}, nothing),
        "signature, more methods": Credential(
            {**right, "URL-Methods": "GET,POST,DELETE,PUT,PATCH,HEAD"}, nothing
        ),
        "signature, expired": Credential(expired, nothing),
        "url": Credential(ALONE, reading, (await url())[1]),
        "url to delete": Credential(
            ALONE,
            _shared("messages:delete", "messages:delete_all"),
            (await url(methods=["DELETE"]))[1],
        ),
        "url, other queue": Credential(ALONE, nothing, (await url("x1"))[1]),
        "url, expired": Credential(ALONE, nothing, expired_url),
        "url, revoked": Credential(ALONE, nothing, revoked),
    }


def _iso(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _of_issuer(key: SigningKey, clock: MovableClock) -> dict[str, Credential]:
    def bearer(text: str, **others: str | None) -> Headers:
        return {"Authorization": f"Bearer {text}", "X-Project-ID": None, **others}

    def refused(**claims: Any) -> Credential:
        return Credential(bearer(key.token(clock, **claims)), _all("unknown"))

    right = key.token(clock)
    head, body, signature = right.split(".")
    return {
        "nothing": Credential({}, _all("unknown")),
        "roles in a header": Credential({"X-Roles": "admin"}, _all("unknown")),
        "member": Credential(bearer(right), _member),
        "admin": Credential(bearer(key.token(clock, roles=["admin"])), _all("open")),
        "other project": Credential(bearer(right, **{"X-Project-ID": "p2"}), _all("forbidden")),
        "expired": refused(exp=1_000_000_000),
        "not yet valid": refused(nbf=99_000_000_000),
        "wrong audience": refused(aud="another"),
        "wrong issuer": refused(iss="https://another.example"),
        "tampered": Credential(bearer(f"{head}.{body[:-2]}xx.{signature}"), _all("unknown")),
        "another's key": Credential(bearer(SigningKey("EdDSA").token(clock)), _all("unknown")),
        "no token at all": Credential(bearer("gAAAAABl"), _all("unknown")),
    }


_OF_NOBODY = {
    "nothing": Credential({}, _believed),
    "admin": Credential({"X-Roles": "Member, Admin"}, _all("open")),
}

_OF_KEYSTONE = {
    "nothing": Credential({}, _all("unknown")),
    "roles in a header": Credential({"X-Roles": "admin"}, _all("unknown")),
    "member": Credential({"X-Auth-Token": "member", "X-Project-ID": None}, _member),
    "admin": Credential({"X-Auth-Token": "admin"}, _all("open")),
    "other project": Credential(
        {"X-Auth-Token": "admin", "X-Project-ID": "p2"}, _all("forbidden")
    ),
    "invalid": Credential({"X-Auth-Token": "gAAAAABl"}, _all("unknown")),
}


async def _validated(writer: asyncio.StreamWriter, token: str) -> None:
    held = {**TOKEN["token"], "roles": [{"name": token}]}
    known = token in ("member", "admin")
    writer.write(shown({"token": held}) if known else answer(404, b"{}"))
    await writer.drain()


@asynccontextmanager
async def _under(
    strategy: str, start: Start, tmp_path: Path, clock: MovableClock
) -> AsyncIterator[tuple[Service, dict[str, Credential]]]:
    if strategy == "none":
        yield await start(), _OF_NOBODY
    elif strategy == "jwt":
        key = SigningKey("EdDSA")
        (tmp_path / "issuer.pem").write_bytes(key.public)
        yield await _trusting(start, tmp_path), _of_issuer(key, clock)
    else:
        async with false_keystone() as keystone:
            keystone.validation = _validated
            settings = {"keystone_url": keystone.url, "keystone_password": "s"}
            yield await start(auth_strategy="keystone", **settings), _OF_KEYSTONE


async def _trusting(start: Start, tmp_path: Path, **settings: str) -> Service:
    service: Service = await start(
        auth_strategy="jwt",
        jwt_keys=str(tmp_path / "issuer.pem"),
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        **settings,
    )
    return service


@pytest.mark.parametrize("strategy", ["none", "jwt", "keystone"])
async def test_each_credential_opens_what_it_should_and_nothing_else(
    start: Start, tmp_path: Path, clock: MovableClock, strategy: str
) -> None:
    maker: Service = await start()
    ours = {**await _tokens(maker, clock), **await _shares(maker, clock)}
    wrong = []
    async with _under(strategy, start, tmp_path, clock) as (service, theirs):
        for name, credential in {**theirs, **ours}.items():
            await maker.put("/v2/queues/q1")
            for endpoint in ENDPOINTS:
                given = await endpoint.call(service, credential.headers, credential.query)
                found, expected = outcome(given), credential.expected(endpoint)
                if found != expected:
                    where = f"{name}: {endpoint.method} {endpoint.route}"
                    wrong.append(f"{where}: {found} instead of {expected}")
    assert not wrong, "\n".join(wrong)


async def test_each_rule_closes_its_endpoints_and_no_others(
    start: Start, tmp_path: Path, clock: MovableClock
) -> None:
    key = SigningKey("EdDSA")
    (tmp_path / "issuer.pem").write_bytes(key.public)
    admin: Headers = {"X-Auth-Token": key.token(clock, roles=["admin"])}
    wrong = []
    for rule in authorization.DEFAULTS:
        policy = tmp_path / "policy.toml"
        policy.write_text(f'"{rule}" = "!"\n')
        service = await _trusting(start, tmp_path, policy_file=str(policy))
        for endpoint in ENDPOINTS:
            expected = "forbidden" if rule in endpoint.needs else "open"
            if endpoint.method == "HEAD" and expected == "open" and rule == "queues:create":
                continue  # the queue is not there, and HEAD cannot say why
            found = outcome(await endpoint.call(service, admin))
            if found != expected:
                wrong.append(f"{rule}: {endpoint.method} {endpoint.route}: {found}")
    assert not wrong, "\n".join(wrong)


async def test_the_table_names_every_route_and_every_rule(service: Service) -> None:
    routes = {
        (method.method, route.path)
        for route in inspect.inspect_routes(service.conductor.app)
        for method in route.methods
        if not method.internal and method.method != "WEBSOCKET"
    }
    assert routes - OPEN == {(endpoint.method, endpoint.route) for endpoint in ENDPOINTS}
    assert {endpoint.rule for endpoint in ENDPOINTS} == set(authorization.DEFAULTS)


async def test_what_is_open_to_anybody_needs_nothing(guarded: Service) -> None:
    for method, path in OPEN:
        assert (await guarded.call(method, path, headers=ALONE)).status in (200, 204, 300, 426)


class _NoRules:
    async def on_get(self) -> None: ...


class _OneRule(_NoRules):
    rules: ClassVar = {"GET": "queues:get"}

    async def on_post(self) -> None: ...


class _UnknownRule(_NoRules):
    rules: ClassVar = {"GET": "queues:look"}
    audience = Audience.OPERATORS


@pytest.mark.parametrize("resource", [_NoRules(), _OneRule(), _UnknownRule()])
def test_a_method_without_a_rule_is_never_served(resource: object) -> None:
    with pytest.raises(TypeError, match="rule"):
        check_rules(resource)
