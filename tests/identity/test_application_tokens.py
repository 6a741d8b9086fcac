"""Application tokens: what they allow, that they only narrow, and how they end."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.identity.issuer import SigningKey
from tests.transport.service import CLIENT, OTHER_CLIENT, Answer, Service

POSTED = {"messages": [{"body": 1}]}


def _bearer(token: str, **others: str | None) -> dict[str, str | None]:
    return {"Authorization": f"Bearer {token}", "X-Project-ID": None, **others}


async def _create(service: Service, **wanted: Any) -> Answer:
    headers = wanted.pop("headers", None)
    return await service.post("/v2/tokens", {"operations": ["post"], **wanted}, headers=headers)


async def _token(service: Service, **wanted: Any) -> str:
    answer = await _create(service, **wanted)
    assert answer.status == 201, answer.json
    assert answer.headers["location"] == f"/v2/tokens/{answer.json['id']}"
    token: str = answer.json["token"]
    return token


@pytest.mark.parametrize(
    ("operation", "allowed"),
    [
        ("post", {"post"}),
        ("list", {"list", "get", "queues"}),
        ("claim", {"claim"}),
        ("delete", {"delete", "pop"}),
        ("stats", {"stats", "describe"}),
        ("manage", {"create", "purge", "describe"}),
        ("share", {"share", "shares"}),
        ("delegate", {"tokens"}),
        ("messages:get", {"get"}),
    ],
)
async def test_an_operation_allows_its_requests_and_no_others(
    service: Service, operation: str, allowed: set[str]
) -> None:
    (href,) = (await service.post("/v2/queues/q1/messages", POSTED)).json["resources"]
    token = await _token(service, operations=[operation])
    requests: dict[str, tuple[str, str, object]] = {
        "post": ("POST", "/v2/queues/q1/messages", POSTED),
        "list": ("GET", "/v2/queues/q1/messages", ...),
        "get": ("GET", href, ...),
        "queues": ("GET", "/v2/queues", ...),
        "claim": ("POST", "/v2/queues/q1/claims", {}),
        "delete": ("DELETE", "/v2/queues/q1/messages?ids=x", ...),
        "pop": ("DELETE", "/v2/queues/q1/messages?pop=1", ...),
        "stats": ("GET", "/v2/queues/q1/stats", ...),
        "describe": ("GET", "/v2/queues/q1", ...),
        "create": ("PUT", "/v2/queues/q1", ...),
        "purge": ("POST", "/v2/queues/q2/purge", ...),
        "share": ("POST", "/v2/queues/q1/share", {"paths": []}),
        "shares": ("GET", "/v2/shares", ...),
        "tokens": ("GET", "/v2/tokens", ...),
        "quota": ("GET", "/v2/quota", ...),
        "quotas": ("GET", "/v2/quotas", ...),
    }
    opened = set()
    for name, (method, path, document) in requests.items():
        answer = await service.call(method, path, document, headers=_bearer(token))
        assert answer.status in (200, 201, 204, 403), (name, answer.json)
        if answer.status == 403:
            assert answer.json["title"] == "Not authorized"
        else:
            opened.add(name)
    assert opened == allowed


async def test_it_is_for_its_queues_only(service: Service) -> None:
    token = await _token(service, queues=["orders-*", "bills"])
    for queue, status in (("orders-1", 201), ("bills", 201), ("bills2", 403), ("x", 403)):
        path = f"/v2/queues/{queue}/messages"
        assert (await service.post(path, POSTED, headers=_bearer(token))).status == status


async def test_a_listing_of_queues_shows_those_it_is_for(service: Service) -> None:
    for queue in ("a1", "b1", "a2"):
        await service.put(f"/v2/queues/{queue}")
    token = await _token(service, operations=["list"], queues=["a*"])
    page = (await service.get("/v2/queues?with_count=true", headers=_bearer(token))).json
    assert [queue["name"] for queue in page["queues"]] == ["a1", "a2"]
    assert "count" not in page


async def test_it_cannot_send_dead_letters_where_it_may_not_go(service: Service) -> None:
    token = await _token(service, operations=["manage"], queues=["a*"])
    for target, status in (("b1", 403), ("a2", 201)):
        metadata = {"_dead_letter_queue": target, "_max_claim_count": 1}
        answer = await service.put("/v2/queues/a1", metadata, headers=_bearer(token))
        assert answer.status == status


async def test_both_headers_carry_it(service: Service) -> None:
    token = await _token(service)
    for headers in ({"X-Auth-Token": token}, {"Authorization": f"bearer {token}"}):
        answer = await service.post(
            "/v2/queues/q/messages", POSTED, headers={**headers, "X-Project-ID": None}
        )
        assert answer.status == 201


async def test_it_is_bound_to_its_project(service: Service) -> None:
    token = await _token(service)
    headers = _bearer(token, **{"X-Project-ID": "p2"})
    answer = await service.post("/v2/queues/q/messages", POSTED, headers=headers)
    assert (answer.status, answer.json["title"]) == (403, "Not authorized")


async def test_it_may_be_bound_to_a_client_id(service: Service) -> None:
    token = await _token(service, client_id=CLIENT.replace("-", ""))
    for client_id, status in ((CLIENT, 201), (None, 201), (OTHER_CLIENT, 403)):
        headers = _bearer(token, **{"Client-ID": client_id})
        answer = await service.post("/v2/queues/q/messages", POSTED, headers=headers)
        assert answer.status == status


async def test_it_ends_when_it_expires(service: Service, clock: MovableClock) -> None:
    token = await _token(service, ttl=60)
    clock.advance(ms=59_999)
    path = "/v2/queues/q/messages"
    assert (await service.post(path, POSTED, headers=_bearer(token))).status == 201
    clock.advance(ms=1)
    answer = await service.post(path, POSTED, headers=_bearer(token))
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json["error"]["code"] == 401


async def test_it_is_revoked_at_once_in_every_process(
    service: Service, elsewhere: Service
) -> None:
    answer = await _create(service)
    token, path = answer.json["token"], "/v2/queues/q/messages"
    for process in (service, elsewhere):
        assert (await process.post(path, POSTED, headers=_bearer(token))).status == 201
    assert (await service.delete(f"/v2/tokens/{answer.json['id']}")).status == 204
    for process in (service, elsewhere):
        assert (await process.post(path, POSTED, headers=_bearer(token))).status == 401
    assert (await service.delete(f"/v2/tokens/{answer.json['id']}")).status == 404


async def test_what_was_made_with_it_ends_with_it(service: Service, elsewhere: Service) -> None:
    parent = await _create(service, operations=["delegate", "share", "post", "list"])
    bearer = _bearer(parent.json["token"])
    child = await _token(service, headers=bearer)
    grandparent = await service.post("/v2/shares", {"queue": "q"}, headers=bearer)
    url, path = grandparent.json["urls"]["messages"], "/v2/queues/q/messages"
    nobody = {"Client-ID": None, "X-Project-ID": None}
    assert (await elsewhere.post(path, POSTED, headers=_bearer(child))).status == 201
    assert (await elsewhere.get(url, headers=nobody)).status == 200
    await service.delete(f"/v2/tokens/{parent.json['id']}")
    assert (await elsewhere.post(path, POSTED, headers=_bearer(child))).status == 401
    assert (await elsewhere.get(url, headers=nobody)).status == 404


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({}, 201),
        ({"operations": ["messages:create"]}, 201),
        ({"operations": ["post", "delegate"]}, 201),
        ({"queues": ["a1"]}, 201),
        ({"queues": ["ab*"]}, 201),
        ({"ttl": 60}, 201),
        ({"ttl": 3601}, 403),
        ({"operations": ["list"]}, 403),
        ({"operations": ["post", "claim"]}, 403),
        ({"queues": ["*"]}, 403),
        ({"queues": ["a*", "b"]}, 403),
        ({"queues": ["*a"]}, 403),
        ({"client_id": OTHER_CLIENT}, 403),
    ],
)
async def test_a_token_made_with_a_token_only_narrows(
    service: Service, wanted: dict[str, Any], status: int
) -> None:
    parent = await _token(
        service, operations=["post", "delegate"], queues=["a*"], ttl=3600, client_id=CLIENT
    )
    child = {"operations": ["post"], "queues": ["a*"], **wanted}
    answer = await service.post("/v2/tokens", child, headers=_bearer(parent))
    assert answer.status == status, answer.json


async def test_a_child_inherits_what_it_does_not_ask_for(
    service: Service, clock: MovableClock
) -> None:
    parent = await _token(service, operations=["post", "delegate"], ttl=60, client_id=CLIENT)
    child = await _token(service, headers=_bearer(parent))
    path = "/v2/queues/q/messages"
    other = _bearer(child, **{"Client-ID": OTHER_CLIENT})
    assert (await service.post(path, POSTED, headers=other)).status == 403
    clock.advance(s=61)
    assert (await service.post(path, POSTED, headers=_bearer(child))).status == 401


async def test_tokens_are_made_from_tokens_only_so_often(service: Service) -> None:
    token = await _token(service, operations=["delegate"])
    for _ in range(7):
        token = await _token(service, operations=["delegate"], headers=_bearer(token))
    answer = await _create(service, operations=["delegate"], headers=_bearer(token))
    assert answer.status == 403


async def test_whoever_has_a_token_sees_only_what_was_made_with_it(service: Service) -> None:
    await _token(service, name="mine")
    parent = await _token(service, operations=["delegate", "post"], name="parent")
    await _token(service, name="child", headers=_bearer(parent))
    everything = (await service.get("/v2/tokens")).json["tokens"]
    assert {token["name"] for token in everything} == {"mine", "parent", "child"}
    below = (await service.get("/v2/tokens", headers=_bearer(parent))).json["tokens"]
    assert [token["name"] for token in below] == ["child"]
    mine = next(token["id"] for token in everything if token["name"] == "mine")
    answer = await service.delete(f"/v2/tokens/{mine}", headers=_bearer(parent))
    assert answer.status == 404


async def test_a_listing_shows_no_secret(service: Service) -> None:
    token = await _token(service, name="door", queues=["a*"])
    listing = (await service.get("/v2/tokens")).content
    assert token.rpartition(".")[2].encode() not in listing
    (entry,) = json.loads(listing)["tokens"]
    assert (entry["name"], entry["queues"], entry["operations"]) == ("door", ["a*"], ["post"])


async def test_tokens_of_another_project_are_out_of_reach(service: Service) -> None:
    made = (await _create(service)).json["id"]
    other = {"X-Project-ID": "p2"}
    assert (await service.get("/v2/tokens", headers=other)).json["tokens"] == []
    assert (await service.delete(f"/v2/tokens/{made}", headers=other)).status == 404


@pytest.mark.parametrize(
    "wanted",
    [
        {"operations": []},
        {"operations": ["everything"]},
        {"operations": "post"},
        {"operations": None},
        {"queues": []},
        {"queues": ["a?"]},
        {"queues": [""]},
        {"queues": ["a"] * 33},
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": 31_536_001},
        {"client_id": "me"},
        {"name": "x" * 129},
        {"project": "p2"},
    ],
)
async def test_a_wrong_wish_is_refused(service: Service, wanted: dict[str, Any]) -> None:
    answer = await service.post("/v2/tokens", {"operations": ["post"], **wanted})
    assert answer.status == 400


def _tampered(token: str) -> dict[str, str]:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    header = json.loads(base64.urlsafe_b64decode(head + "=="))

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    wide = encoded({**claims, "rules": ["messages:create", "messages:get_all"]})
    none = encoded({**header, "alg": "none"})
    return {
        "another body": f"{head}.{wide}.{signature}",
        "another signature": f"{head}.{body}.{'A' * 20}{signature[20:]}",
        "no signature": f"{head}.{body}.",
        "algorithm none": f"{none}.{body}.",
        "algorithm none, signed": f"{none}.{body}.{signature}",
        "an unknown key": f"{encoded({**header, 'kid': 'x'})}.{body}.{signature}",
        "no key": f"{encoded({'alg': 'HS256', 'typ': header['typ']})}.{body}.{signature}",
        "a list for a key": f"{encoded({**header, 'kid': ['x']})}.{body}.{signature}",
        "another's secret": jwt.encode(claims, b"x" * 32, headers=header),
    }


async def test_a_tampered_token_is_worth_nothing(service: Service) -> None:
    token = await _token(service)
    for what, changed in _tampered(token).items():
        answer = await service.post("/v2/queues/q/messages", POSTED, headers=_bearer(changed))
        assert answer.status == 401, what


async def test_a_key_that_was_taken_out_ends_its_tokens(start: Start, tmp_path: Any) -> None:
    first: Service = await start()
    token = await _token(first)
    rotated = tmp_path / "rotated.toml"
    lines = (tmp_path / "keys.toml").read_text().splitlines()
    first_token_key = lines.index("[tokens]") + 1
    rotated.write_text("\n".join(lines[:first_token_key] + lines[first_token_key + 1 :]))
    second: Service = await start(keys_file=str(rotated))
    path = "/v2/queues/q/messages"
    assert (await first.post(path, POSTED, headers=_bearer(token))).status == 201
    assert (await second.post(path, POSTED, headers=_bearer(token))).status == 401


async def test_without_a_key_no_token_is_made(start: Start) -> None:
    keyless: Service = await start(keys_file="")
    answer = await _create(keyless)
    assert answer.status == 400
    assert "keys_file" in answer.json["description"]


async def test_it_holds_the_roles_of_its_maker(
    start: Start, tmp_path: Any, issuer_key: SigningKey, clock: MovableClock
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('"messages:create" = "role:poster"\n')
    service: Service = await start(policy_file=str(policy))
    refused = await _create(service)
    assert refused.status == 403
    token = await _token(service, headers={"X-Roles": "Poster"})
    path = "/v2/queues/q/messages"
    assert (await service.post(path, POSTED, headers=_bearer(token))).status == 201
    policy.write_text('"messages:create" = "role:chief"\n')
    stricter: Service = await start(policy_file=str(policy))
    assert (await stricter.post(path, POSTED, headers=_bearer(token))).status == 403


async def test_headers_do_not_give_a_token_roles(start: Start, tmp_path: Any) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('"messages:create" = "role:poster"\n')
    open_service: Service = await start()
    strict: Service = await start(policy_file=str(policy))
    token = await _token(open_service)
    headers = _bearer(token, **{"X-Roles": "poster"})
    answer = await strict.post("/v2/queues/q/messages", POSTED, headers=headers)
    assert answer.status == 403
