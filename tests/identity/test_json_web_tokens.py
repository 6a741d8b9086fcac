"""The strategy `jwt`, over HTTP: what a token must be, and what else is believed."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.identity.issuer import AUDIENCE, ISSUER, KeySet, SigningKey
from tests.transport.service import Answer, Service
from transport.identity import verifying_keys

POSTED = {"messages": [{"body": 1}]}
MESSAGES = "/v2/queues/q/messages"
ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")


async def _post(service: Service, token: str | None, **headers: str | None) -> Answer:
    sent = {"Authorization": token and f"Bearer {token}", "X-Project-ID": None, **headers}
    return await service.post(MESSAGES, POSTED, headers=sent)


async def _guarded(start: Start, tmp_path: Path, key: SigningKey, **others: Any) -> Service:
    file = tmp_path / f"{key.algorithm}.key"
    file.write_bytes(key.public)
    given = {"jwt_keys": str(file), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    running_service: Service = await start(auth_strategy="jwt", **{**given, **others})
    return running_service


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_signed_with_each_algorithm_opens_its_project(
    start: Start, tmp_path: Path, clock: MovableClock, algorithm: str
) -> None:
    key = SigningKey(algorithm)
    service = await _guarded(start, tmp_path, key)
    for _ in range(2):
        assert (await _post(service, key.token(clock))).status == 201
    other = key.token(clock, project_id="p2")
    listed = await service.get(
        f"{MESSAGES}?echo=true", headers={"X-Auth-Token": other, "X-Project-ID": None}
    )
    assert listed.json["messages"] == []


async def test_without_a_token_nothing_opens(guarded: Service) -> None:
    for method, path in (("POST", MESSAGES), ("GET", "/v2/queues"), ("GET", "/v2/health")):
        answer = await guarded.call(method, path, POSTED)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="nusku"'
        assert {"title", "description", "error"} <= set(answer.json)


async def test_what_belongs_to_nobody_stays_open(guarded: Service) -> None:
    nothing = {"Client-ID": None, "X-Project-ID": None}
    for path, status in (
        ("/", 300),
        ("/v2/", 200),
        ("/v2/openapi.json", 200),
        ("/v2/ping", 204),
    ):
        assert (await guarded.get(path, headers=nothing)).status == status


async def test_an_unknown_path_says_nothing_about_tokens(guarded: Service) -> None:
    assert (await guarded.get("/v2/nothing")).status == 404


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": 99_000_000_000},
        {"iat": 99_000_000_000},
        {"iss": "https://somebody.else"},
        {"iss": None},
        {"aud": "another service"},
        {"aud": ["one", "two"]},
        {"aud": None},
        {"project_id": None},
        {"project_id": ""},
        {"project_id": 7},
        {"project_id": "p" * 257},
        {"roles": 7},
        {"roles": [7]},
        {"roles": {"admin": True}},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock, claims: dict[str, Any]
) -> None:
    answer = await _post(guarded, issuer_key.token(clock, **claims))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "claims", [{"aud": [AUDIENCE, "another"]}, {"nbf": 1}, {"roles": None}, {"sub": None}]
)
async def test_a_token_may_say_less_or_more(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock, claims: dict[str, Any]
) -> None:
    assert (await _post(guarded, issuer_key.token(clock, **claims))).status == 201


def _variants(key: SigningKey, clock: MovableClock) -> dict[str, str]:
    token = key.token(clock)
    head, body, signature = token.split(".")

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = jwt.decode(token, options={"verify_signature": False})
    return {
        "nothing": " ",
        "rubbish": "rubbish",
        "two parts": f"{head}.{body}",
        "no signature": f"{head}.{body}.",
        "another body": f"{head}.{encoded({**claims, 'project_id': 'p2'})}.{signature}",
        "algorithm none": f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "algorithm None": f"{encoded({'alg': 'None'})}.{body}.{signature}",
        "no algorithm": f"{encoded({'typ': 'JWT'})}.{body}.{signature}",
        "a list for an algorithm": f"{encoded({'alg': ['EdDSA']})}.{body}.{signature}",
        "an unknown key": f"{encoded({'alg': 'EdDSA', 'kid': 7})}.{body}.{signature}",
        "somebody's key": SigningKey("EdDSA").token(clock),
        "a public key as a secret": _confused(key, claims),
        "too long": token + "A" * 9000,
        "claims that are no object": jwt.api_jws.encode(b"[]", key.key, algorithm="EdDSA"),
    }


def _confused(key: SigningKey, claims: dict[str, Any]) -> str:
    """Return a token signed with the public key, as if that were a shared secret."""
    head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        f"{head}.{body}".encode(), key.public
    )
    return f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


async def test_a_forged_token_is_refused(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    for what, forged in _variants(issuer_key, clock).items():
        assert (await _post(guarded, forged)).status == 401, what


async def test_a_remembered_token_ends_when_it_expires(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    token = issuer_key.token(clock)
    assert (await _post(guarded, token)).status == 201
    clock.advance(s=600 + 9)
    assert (await _post(guarded, token)).status == 201, "within the leeway"
    clock.advance(s=2)
    assert (await _post(guarded, token)).status == 401


async def test_identity_headers_are_not_believed(
    start: Start, tmp_path: Path, clock: MovableClock
) -> None:
    key, policy = SigningKey("EdDSA"), tmp_path / "policy.toml"
    policy.write_text('"messages:create" = "role:admin or user_id:root"\n')
    service = await _guarded(start, tmp_path, key, policy_file=str(policy))
    claimed = {"X-Roles": "admin", "X-User-Id": "root", "X-Tenant-Id": "p2"}
    assert (await _post(service, key.token(clock), **claimed)).status == 403
    assert (await _post(service, key.token(clock, roles=["Admin"]))).status == 201
    assert (await _post(service, key.token(clock, sub="root"))).status == 201


async def test_a_project_header_may_agree_and_must_not_contradict(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    token = issuer_key.token(clock)
    assert (await _post(guarded, token, **{"X-Project-ID": "p1"})).status == 201
    for other in ("p2", "", "P1"):
        answer = await _post(guarded, token, **{"X-Project-ID": other})
        assert (answer.status, answer.json["title"]) == (403, "Not authorized")


async def test_claims_are_found_where_the_settings_say(
    start: Start, tmp_path: Path, clock: MovableClock
) -> None:
    key, policy = SigningKey("EdDSA"), tmp_path / "policy.toml"
    policy.write_text('"messages:create" = "role:poster and user_id:ann"\n')
    service = await _guarded(
        start,
        tmp_path,
        key,
        policy_file=str(policy),
        jwt_project_claim="https://example.com/project",
        jwt_user_claim="user.name",
        jwt_roles_claim="realm_access.roles",
    )
    claims = {
        "project_id": None,
        "https://example.com/project": "p1",
        "user": {"name": "ann"},
        "realm_access": {"roles": ["poster"]},
    }
    assert (await _post(service, key.token(clock, **claims))).status == 201
    assert (await _post(service, key.token(clock, **{**claims, "user": "ann"}))).status == 403
    spaced = {**claims, "realm_access": {"roles": "reader poster"}}
    assert (await _post(service, key.token(clock, **spaced))).status == 201


async def test_published_keys_rotate_under_running_tokens(
    start: Start, clock: MovableClock
) -> None:
    old, new = SigningKey("RS256", "old"), SigningKey("ES256", "new")
    with KeySet(old) as published:
        service: Service = await start(
            auth_strategy="jwt",
            jwt_keys=published.url,
            jwt_issuer=ISSUER,
            jwt_audience=AUDIENCE,
        )
        token = old.token(clock)
        assert (await _post(service, token)).status == 201
        published.keys = [new]
        clock.advance(ms=verifying_keys.PAUSE_MS + 1)
        assert (await _post(service, new.token(clock))).status == 201
        assert (await _post(service, token)).status == 401, "its key was taken out"


async def test_a_token_that_is_remembered_does_not_outlive_its_key(
    start: Start, clock: MovableClock
) -> None:
    old, new = SigningKey("ES256", "old"), SigningKey("ES256", "new")
    with KeySet(old) as published:
        service: Service = await start(
            auth_strategy="jwt",
            jwt_keys=published.url,
            jwt_issuer=ISSUER,
            jwt_audience=AUDIENCE,
        )
        token = old.token(clock, exp=clock.now_ms() // 1000 + 10 * 86400)
        assert (await _post(service, token)).status == 201
        published.keys = [new]
        clock.advance(ms=verifying_keys.REFRESH_MS + 1)
        async with asyncio.timeout(5):
            # The answers are the events; each leaves the reading some time.
            while (await _post(service, token)).status != 401:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_token_that_is_remembered_needs_keys_that_are_not_too_old(
    start: Start, clock: MovableClock
) -> None:
    key = SigningKey("ES256", "k1")
    with KeySet(key) as published:
        service: Service = await start(
            auth_strategy="jwt",
            jwt_keys=published.url,
            jwt_issuer=ISSUER,
            jwt_audience=AUDIENCE,
        )
        token = key.token(clock, exp=clock.now_ms() // 1000 + 10 * 86400)
        assert (await _post(service, token)).status == 201
        published.fails = True
        clock.advance(ms=verifying_keys.STALE_MS - 1000)
        assert (await _post(service, token)).status == 201
        clock.advance(ms=verifying_keys.PAUSE_MS + 1001)
        assert (await _post(service, token)).status == 503


async def test_keys_that_cannot_be_had_are_a_503(start: Start, clock: MovableClock) -> None:
    key = SigningKey("RS256", "k1")
    with KeySet(key) as published:
        published.fails = True
        service: Service = await start(
            auth_strategy="jwt",
            jwt_keys=published.url,
            jwt_issuer=ISSUER,
            jwt_audience=AUDIENCE,
        )
        answer = await _post(service, key.token(clock))
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        published.fails = False
        clock.advance(ms=verifying_keys.PAUSE_MS + 1)
        assert (await _post(service, key.token(clock))).status == 201


async def test_health_is_for_admins(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    for roles, status in ((["member"], 403), (["admin"], 200)):
        token = issuer_key.token(clock, roles=roles)
        answer = await guarded.get("/v2/health", headers={"X-Auth-Token": token})
        assert answer.status == status


async def test_no_token_is_in_the_log(
    guarded: Service,
    issuer_key: SigningKey,
    clock: MovableClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    token = issuer_key.token(clock)
    await _post(guarded, token)
    for forged in _variants(issuer_key, clock).values():
        await _post(guarded, forged)
    for record in caplog.records:
        line = f"{record.getMessage()} {getattr(record, 'fields', '')} {record.exc_text}"
        assert token.rpartition(".")[2] not in line
        assert token.split(".")[1] not in line
