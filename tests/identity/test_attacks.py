"""What somebody with bad intentions would try first."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
from pathlib import Path
from typing import Any

import jwt
import pytest

from queues import signed_urls
from queues.config import Settings
from queues.errors import StorageUnavailable
from queues.signed_urls import Terms
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.identity.issuer import KeySet, SigningKey
from tests.transport.faults import FaultyStorage
from tests.transport.service import Service, running
from transport.identity import none
from transport.logs import LineFormatter

MESSAGES = "/v2/queues/q/messages"
POSTED = {"messages": [{"body": 1}]}
DEEP = base64.urlsafe_b64encode(b'{"typ":' + b"[" * 4000).decode()


def _presented(terms: Any) -> dict[str, str]:
    return {
        "URL-Signature": terms["signature"],
        "URL-Paths": ",".join(terms["paths"]),
        "URL-Methods": ",".join(terms["methods"]),
        "URL-Expires": terms["expires"],
        "X-Project-ID": terms["project"],
    }


async def _token(service: Service, **wanted: Any) -> dict[str, str | None]:
    given = (await service.post("/v2/tokens", {"operations": ["post"], **wanted})).json
    return {"X-Auth-Token": given["token"], "X-Project-ID": None}


async def test_a_project_cannot_sign_for_another_by_its_name(service: Service) -> None:
    evil = {"X-Project-ID": "GET\\np1"}
    wanted = {"paths": ["claims", "messages"], "methods": ["GET"]}
    for path in ("/v2/queues/q/share", "/v2/shares"):
        asked = wanted if path != "/v2/shares" else {**wanted, "queue": "q"}
        assert (await service.post(path, asked, headers=evil)).status == 400


async def test_terms_that_can_be_read_in_two_ways_open_nothing(service: Service) -> None:
    paths = ("/v2/queues/q/claims", "/v2/queues/q/messages")
    evil = Terms(paths, ("POST",), "GET\\np1", "2099-01-01T00:00:00")
    headers = {
        "URL-Signature": signed_urls.sign(evil, b"another secret"),
        "URL-Paths": f"{paths[0]},{paths[1]}\\nPOST",
        "URL-Methods": "GET",
        "URL-Expires": evil.expires,
    }
    meant = Terms((paths[0], f"{paths[1]}\\nPOST"), ("GET",), "p1", evil.expires)
    assert signed_urls.sign(meant, b"another secret") == headers["URL-Signature"]
    path = f"{paths[0]}/{'0' * 32}"
    answer = await service.get(path, headers=headers)
    assert (answer.status, answer.json["title"]) == (404, "404 Not Found")


@pytest.mark.parametrize("path", ["/v2/queues", "/v2/quotas", "/v2/queues/q/stats"])
async def test_a_signature_of_another_service_with_our_key_opens_nothing(
    service: Service, path: str
) -> None:
    terms = Terms((path,), ("GET",), "p1", "2099-01-01T00:00:00")
    signature = signed_urls.sign(terms, b"another secret")
    answer = await service.get(
        path, headers=_presented({**terms._asdict(), "signature": signature})
    )
    assert (answer.status, answer.json["title"]) == (404, "404 Not Found")


@pytest.mark.parametrize(
    "token", [DEEP, f"{DEEP}.e30.x", "....", "é" * 9, "a" * 60_000, "e30.e30."]
)
async def test_rubbish_for_a_token_is_401(guarded: Service, token: str) -> None:
    for headers in ({"X-Auth-Token": token}, {"Authorization": f"Bearer {token}"}):
        answer = await guarded.get("/v2/queues", headers=headers)
        assert answer.status == 401


@pytest.mark.parametrize(
    "expires", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "٢٠٩٩-01-01", "-1"]
)
async def test_the_ends_of_the_calendar_are_no_mistake_of_ours(
    service: Service, expires: str
) -> None:
    assert (await service.post("/v2/queues/q/share", {"expires": expires})).status == 400
    if expires.isascii():
        opened = _presented((await service.post("/v2/queues/q/share", {})).json)
        answer = await service.get(MESSAGES, headers={**opened, "URL-Expires": expires})
        assert answer.status == 404


async def test_a_project_may_have_any_name(
    service: Service, guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    header = "projekt-ü".encode().decode("latin-1")
    project = {"X-Project-ID": header}
    terms = (await service.post("/v2/queues/q/share", {}, headers=project)).json
    assert terms["project"] == "projekt-ü"
    opened = {**_presented(terms), "X-Project-ID": header}
    assert (await service.get(MESSAGES, headers=opened)).status == 200
    token = issuer_key.token(clock, project_id="projekt-ü")
    for claimed, status in ((header, 200), ("projekt-u\xcc\x88", 403), ("\xff", 400)):
        headers = {"X-Auth-Token": token, "X-Project-ID": claimed}
        assert (await guarded.get("/v2/queues", headers=headers)).status == status


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"project_id": "\ud800"}, 401),
        ({"exp": float("inf")}, 401),
        ({"exp": -1e308}, 401),
        ({"exp": 1e308}, 200),
        ({"exp": "4000000000"}, 200),
    ],
)
async def test_odd_claims_are_refused_or_understood(
    guarded: Service,
    issuer_key: SigningKey,
    clock: MovableClock,
    claims: dict[str, Any],
    status: int,
) -> None:
    headers = {"X-Auth-Token": issuer_key.token(clock, **claims), "X-Project-ID": None}
    assert (await guarded.get("/v2/queues", headers=headers)).status == status


async def test_a_token_cannot_say_where_its_key_is(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    own = SigningKey("EdDSA", "own")
    claims = jwt.decode(issuer_key.token(clock), options={"verify_signature": False})
    with KeySet(own) as keys:
        for header in (
            {"jku": keys.url},
            {"x5u": keys.url},
            {"jwk": own.jwk},
            {"kid": keys.url},
            {"kid": "../../../../dev/null"},
        ):
            token = jwt.encode(claims, own.key, "EdDSA", headers=header)
            answer = await guarded.get("/v2/queues", headers={"X-Auth-Token": token})
            assert answer.status == 401, header
        assert keys.reads == 0


async def test_a_token_that_asks_for_more_care_than_we_take_is_refused(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    claims = jwt.decode(issuer_key.token(clock), options={"verify_signature": False})
    wanted: tuple[dict[str, Any], ...]
    wanted = ({"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": False}, {"crit": []})
    for header in wanted:
        head = {"alg": "EdDSA", **header}
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
            for part in (head, claims)
        ]
        signature = base64.urlsafe_b64encode(issuer_key.key.sign(b".".join(parts)))
        token = b".".join([*parts, signature.rstrip(b"=")]).decode()
        answer = await guarded.get("/v2/queues", headers={"X-Auth-Token": token})
        assert answer.status == 401, header


async def test_a_number_of_any_size_is_no_quota(service: Service) -> None:
    admin = {"X-Roles": "admin"}
    for number in ("9" * 400, "1e400", "-" + "9" * 400, "1e308", "NaN"):
        for name in ("queues", "requests_per_s"):
            answer = await service.call(
                "PUT",
                "/v2/quotas?project=p1",
                data=f'{{"{name}": {number}}}'.encode(),
                headers=admin,
            )
            assert answer.status == 400, (name, number)


async def test_what_strangers_send_does_not_fill_the_memory(service: Service) -> None:
    known = none._known_identity  # noqa: SLF001
    size = known.cache_info().currsize
    for number in range(20):
        headers = {"X-Roles": f"{number}" + "r" * 4000, "X-User-ID": "u" * 4000}
        assert (await service.get("/v2/queues", headers=headers)).status == 200
    assert known.cache_info().currsize <= size + 1


async def test_a_token_too_long_to_remember_works(service: Service) -> None:
    headers = await _token(service, queues=[f"{number:063}*" for number in range(31)] + ["q"])
    assert len(str(headers["X-Auth-Token"])) > 2048
    for _ in range(2):
        assert (await service.post(MESSAGES, POSTED, headers=headers)).status == 201


async def _faulty(start: Start, tmp_path: Path, clock: MovableClock) -> Any:
    storage = FaultyStorage(open_storage(f"sqlite:///{tmp_path / 'nusku.db'}", timeout_ms=5000))
    return storage, running(storage, clock, Settings(keys_file=str(tmp_path / "keys.toml")))


async def test_while_revocations_cannot_be_read_nobody_gets_in(
    start: Start, tmp_path: Path, clock: MovableClock
) -> None:
    storage, service_ = await _faulty(start, tmp_path, clock)
    async with service_ as service:
        token = await _token(service)
        opened = _presented((await service.post("/v2/queues/q/share", {})).json)
        url = (await service.post("/v2/shares", {"queue": "q"})).json["urls"]["messages"]
        alone = {"X-Project-ID": None, "Client-ID": None}
        assert (await service.post(MESSAGES, POSTED, headers=token)).status == 201

        async def before(name: str) -> None:
            if "revocations" in name:
                raise StorageUnavailable("away")

        storage.before = before
        for answer in (
            await service.post(MESSAGES, POSTED, headers=token),
            await service.get(MESSAGES, headers=opened),
            await service.get(url, headers=alone),
        ):
            assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        storage.recover()
        assert (await service.post(MESSAGES, POSTED, headers=token)).status == 201
        assert (await service.get(url, headers=alone)).status == 200


async def test_requests_that_are_given_up_leave_nothing_behind(
    start: Start, tmp_path: Path, clock: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    storage, service_ = await _faulty(start, tmp_path, clock)
    async with service_ as service:
        token = await _token(service)
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def before(name: str) -> None:
            if "revocations" in name:
                reached.set()
                await go_on.wait()
                raise StorageUnavailable("away")

        storage.before = before
        with caplog.at_level(logging.ERROR, logger="asyncio"):
            calls = [
                asyncio.create_task(service.post(MESSAGES, POSTED, headers=token))
                for _ in range(5)
            ]
            await reached.wait()
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            go_on.set()
            storage.recover()
            assert (await service.post(MESSAGES, POSTED, headers=token)).status in (201, 503)
            assert (await service.post(MESSAGES, POSTED, headers=token)).status == 201
            gc.collect()
    assert not [r for r in caplog.records if r.name == "asyncio"]


async def test_a_token_revoked_while_it_makes_another_makes_none(service: Service) -> None:
    parent = (await service.post("/v2/tokens", {"operations": ["delegate", "post"]})).json
    bearer = {"X-Auth-Token": parent["token"], "X-Project-ID": None}
    wanted = {"operations": ["post"]}
    *made, _ = await asyncio.gather(
        *(service.post("/v2/tokens", wanted, headers=bearer) for _ in range(8)),
        service.delete(f"/v2/tokens/{parent['id']}"),
    )
    for answer in made:
        assert answer.status in (201, 401, 403)
        if answer.status == 201:
            child = {"X-Auth-Token": answer.json["token"], "X-Project-ID": None}
            assert (await service.post(MESSAGES, POSTED, headers=child)).status == 401


async def test_a_use_is_spent_by_whatever_the_signature_opens(service: Service) -> None:
    url = (await service.post("/v2/shares", {"queue": "q", "uses": 2})).json["urls"]["messages"]
    alone = {"X-Project-ID": None, "Client-ID": None}
    assert (await service.get(f"{url}&limit=x", headers=alone)).status == 400
    assert (await service.get(url, headers=alone)).status == 200
    assert (await service.get(url, headers=alone)).status == 404


async def test_a_token_shares_no_more_than_it_may_do(service: Service) -> None:
    token = await _token(service, operations=["share", "post"], queues=["q"])
    for methods, queue, status in (
        (["POST"], "q", 200),
        (["GET"], "q", 403),
        (["POST", "DELETE"], "q", 403),
        (["POST"], "other", 403),
    ):
        path = f"/v2/queues/{queue}/share"
        assert (await service.post(path, {"methods": methods}, headers=token)).status == status
        document = {"queue": queue, "methods": methods}
        answer = await service.post("/v2/shares", document, headers=token)
        assert answer.status == (201 if status == 200 else status)


@pytest.mark.parametrize(
    "evil", ["\n", "\r", "\x1b[2J", "\x85", "\u2028", "\x9b2J", "\x7f", '" x="']
)
def test_nothing_in_a_log_line_begins_another_or_moves_the_cursor(evil: str) -> None:
    record = logging.LogRecord("nusku.audit", logging.INFO, "", 0, evil, None, None)
    record.fields = {"subject": evil, "user": "ü"}
    line = LineFormatter().format(record)
    assert line.isprintable()
    assert 'user="ü"' in line
    assert json.loads(line.partition(" subject=")[2].rpartition(" user=")[0]) == evil
