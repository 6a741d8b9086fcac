"""Who speaks on a WebSocket: what proves it, for how long, and for which project."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.clock import MovableClock
from tests.identity.conftest import Start
from tests.identity.false_keystone import TOKEN, answer, false_keystone, shown
from tests.identity.issuer import AUDIENCE, ISSUER, SigningKey
from tests.transport.service import CALLER, CLIENT, Service
from tests.transport.sockets import Talk, talking
from transport.socket import conversation

EXPIRED = (4003, "Authentication expired.")


@pytest.fixture
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after those who only listen once a second, not every five."""
    monkeypatch.setattr(conversation, "CHECK_S", 1.0)


async def enter(talk: Talk, token: str, status: int = 200) -> None:
    talk.headers["X-Auth-Token"] = token
    answered = await talk.ask("authenticate")
    assert answered.status == status, answered.body


async def listen(talk: Talk) -> None:
    assert (await talk.ask("subscription_create", queue_name="q")).status == 201


# -- json web tokens -------------------------------------------------------------------------


async def test_before_authentication_nothing_opens(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    token = issuer_key.token(clock)
    async with talking(guarded, {**CALLER, "X-Auth-Token": token}) as talk:
        for action in conversation.ACTIONS:
            body = {"queue_name": "q", "message_id": "m", "message_ids": [], "claim_id": "c"}
            body |= {"subscription_id": "s", "messages": [], "cursor": "c", "position": "p"}
            answered = await talk.ask(action, **body)
            assert answered.status == 403
            assert answered.body["error"] == "Not authentified."
        await enter(talk, token)
        assert (await talk.ask("queue_list")).status == 200


async def test_a_failed_authentication_can_be_repeated(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    async with talking(guarded) as talk:
        for token in ("rubbish", issuer_key.token(clock, exp=1_000_000_000)):
            talk.headers["X-Auth-Token"] = token
            failed = await talk.ask("authenticate")
            assert failed == (401, {"error": "Authentication failed."})
        del talk.headers["X-Auth-Token"]
        assert (await talk.ask("authenticate")).status == 401
        await enter(talk, issuer_key.token(clock))


async def test_the_token_says_the_project_if_the_frame_does_not(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    async with talking(guarded, {"Client-ID": CLIENT}) as talk:
        await enter(talk, issuer_key.token(clock, project_id="p9"))
        assert (await talk.ask("queue_create", queue_name="q")).status == 201
        talk.headers["X-Project-ID"] = "p1"
        assert (await talk.ask("queue_list")).status == 403
        assert (await talk.ask("authenticate")).status == 403


async def test_an_expired_token_closes_the_socket_at_the_next_frame(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    async with talking(guarded) as talk:
        await enter(talk, issuer_key.token(clock))
        clock.advance(s=700)
        frame = {"action": "queue_create", "headers": talk.headers, "body": {"queue_name": "q"}}
        await talk.send(frame)
        assert await talk.closed() == EXPIRED
    token = issuer_key.token(clock)
    listed = await guarded.get("/v2/queues", headers={"X-Auth-Token": token})
    assert listed.json["queues"] == []


async def test_an_expired_token_closes_the_socket_of_a_listener(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock, watchful: None
) -> None:
    async with talking(guarded) as talk:
        await enter(talk, issuer_key.token(clock))
        await listen(talk)
        clock.advance(s=700)
        assert await talk.closed() == EXPIRED


async def test_nothing_is_pushed_once_the_token_has_expired(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    async with talking(guarded) as talk:
        await enter(talk, issuer_key.token(clock))
        await listen(talk)
        clock.advance(s=700)
        fresh = {"X-Auth-Token": issuer_key.token(clock)}
        await guarded.post(
            "/v2/queues/q/messages", {"messages": [{"body": "hush"}]}, headers=fresh
        )
        assert await talk.closed() == EXPIRED
        assert talk.unheard == []


async def test_authenticating_again_extends_the_session(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock, watchful: None
) -> None:
    async with talking(guarded) as talk:
        await enter(talk, issuer_key.token(clock))
        await listen(talk)
        await enter(talk, issuer_key.token(clock, exp=clock.now_ms() // 1000 + 1200))
        clock.advance(s=700)
        fresh = {"X-Auth-Token": issuer_key.token(clock)}
        await guarded.post("/v2/queues/q/messages", {"messages": [{"body": 1}]}, headers=fresh)
        assert (await talk.heard())["body"] == 1
        assert (await talk.ask("queue_list")).status == 200


async def test_a_failed_attempt_leaves_the_session_as_it_was(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    async with talking(guarded) as talk:
        await enter(talk, issuer_key.token(clock))
        await enter(talk, "rubbish", status=401)
        assert (await talk.ask("queue_list")).status == 200


async def test_the_project_cannot_be_changed(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    async with talking(guarded, {"Client-ID": CLIENT}) as talk:
        await enter(talk, issuer_key.token(clock))
        assert (await talk.ask("queue_create", queue_name="mine")).status == 201
        await enter(talk, issuer_key.token(clock, project_id="p2"), status=403)
        assert (await talk.ask("queue_list")).body == {"queues": [{"name": "mine"}]}


async def test_what_a_frame_says_of_user_and_roles_is_not_believed(
    start: Start, tmp_path: Path, clock: MovableClock, issuer_key: SigningKey
) -> None:
    file, policy = tmp_path / "issuer.pem", tmp_path / "policy.toml"
    file.write_bytes(issuer_key.public)
    policy.write_text('"queues:create" = "role:boss"\n')
    service = await start(
        auth_strategy="jwt",
        jwt_keys=str(file),
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        policy_file=str(policy),
    )
    async with talking(service, {**CALLER, "X-Roles": "boss"}) as talk:
        await enter(talk, issuer_key.token(clock))
        refused = await talk.ask("queue_create", queue_name="q")
        assert (refused.status, refused.body["code"]) == (403, "forbidden")
        await enter(talk, issuer_key.token(clock, roles=["boss"]))
        assert (await talk.ask("queue_create", queue_name="q")).status == 201


async def test_pages_of_other_sites_may_connect_where_a_token_is_needed(
    guarded: Service, issuer_key: SigningKey, clock: MovableClock
) -> None:
    async with talking(guarded, origin="https://console.example") as talk:
        assert (await talk.ask("queue_list")).status == 403
        await enter(talk, issuer_key.token(clock))


# -- behind a proxy --------------------------------------------------------------------------


async def test_a_proxy_that_names_the_project_is_not_contradicted(service: Service) -> None:
    proved = {"X-Project-ID": "p1", "X-User-Id": "ann", "X-Roles": "member"}
    for claimed, status in (("p2", 403), ("p1", 200), (None, 200)):
        headers = {"Client-ID": CLIENT, "X-Project-ID": claimed}
        async with talking(service, headers, handshake=proved) as talk:
            for action in ("queue_list", "authenticate"):
                assert (await talk.ask(action)).status == status


async def test_a_proxy_that_names_user_and_roles_is_believed_and_the_frames_are_not(
    start: Start, tmp_path: Path, lines: io.StringIO
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('"queues:create" = "role:boss"\n')
    service = await start(policy_file=str(policy))
    boasting = {**CALLER, "X-Roles": "boss", "X-User-Id": "bob"}
    async with talking(service, boasting, handshake={"X-Project-ID": "p1"}) as talk:
        assert (await talk.ask("queue_create", queue_name="q")).status == 403
    proved = {"X-Project-ID": "p1", "X-Roles": "boss", "X-User-Id": "ann"}
    async with talking(service, boasting, handshake=proved) as talk:
        assert (await talk.ask("queue_create", queue_name="q")).status == 201
    assert 'user="ann"' in lines.getvalue().splitlines()[-1]


async def test_a_handshake_proves_nothing_where_tokens_are_asked_for(guarded: Service) -> None:
    async with talking(guarded, handshake={"X-Project-ID": "p1", "X-Roles": "admin"}) as talk:
        assert (await talk.ask("queue_list")).body["error"] == "Not authentified."


async def test_a_project_of_any_characters_is_the_same_in_handshake_and_frame(
    service: Service,
) -> None:
    headers = {"Client-ID": CLIENT, "X-Project-ID": "é"}
    handshake = {"X-Project-ID": "é".encode().decode("latin-1")}
    async with talking(service, headers, handshake=handshake) as talk:
        assert (await talk.ask("queue_list")).status == 200


# -- keystone --------------------------------------------------------------------------------


async def test_keystone_says_who_it_is_and_until_when(
    start: Start, clock: MovableClock, watchful: None
) -> None:
    async with false_keystone() as keystone:
        service = await start(
            auth_strategy="keystone",
            keystone_url=keystone.url,
            keystone_user="nusku",
            keystone_password="pw",
        )
        async with talking(service) as talk:
            keystone.validation = answer(404, b"{}")
            await enter(talk, "t" * 32, status=401)
            keystone.validation = shown(TOKEN)
            await enter(talk, "u" * 32)
            await listen(talk)
            keystone.validation = answer(404, b"{}")
            clock.advance(s=3600)
            assert await talk.closed() == EXPIRED


async def test_while_keystone_is_away_the_socket_stays_and_opens_nothing(
    start: Start, clock: MovableClock, watchful: None
) -> None:
    async with false_keystone() as keystone:
        service = await start(
            auth_strategy="keystone",
            keystone_url=keystone.url,
            keystone_user="nusku",
            keystone_password="pw",
        )
        async with talking(service) as talk:
            keystone.validation = shown(TOKEN)
            await enter(talk, "u" * 32)
            keystone.validation = answer(500, b"{}")
            clock.advance(s=3600)
            assert (await talk.ask("queue_list")).status == 503
            keystone.validation = shown(TOKEN)
            clock.advance(s=60)
            assert (await talk.ask("queue_list")).status == 200


# -- the audit log ---------------------------------------------------------------------------


async def test_changes_and_refusals_have_a_line_as_over_http(
    guarded: Service,
    issuer_key: SigningKey,
    clock: MovableClock,
    lines: io.StringIO,
) -> None:
    def told() -> list[str]:
        found = lines.getvalue().splitlines()
        lines.truncate(0)
        lines.seek(0)
        return found

    async with talking(guarded) as talk:
        await enter(talk, "hush", status=401)
        (line,) = told()
        assert 'msg="refused" code="401" method="GET" path="/v2/websocket"' in line
        assert "hush" not in line
        await talk.ask("queue_create", queue_name="q")
        (line,) = told()
        assert 'code="403" method="PUT" path="/v2/queues/q"' in line
        await enter(talk, issuer_key.token(clock))
        await talk.ask("queue_create", queue_name="q")
        (line,) = told()
        assert 'msg="queue.created" subject="q" project="p1" user="ann"' in line
        await talk.ask("message_post", queue_name="lazy", messages=[{"body": 1}])
        hook = "https://receiver.invalid/"
        await talk.ask("subscription_create", queue_name="news", subscriber=hook)
        await talk.ask("queue_purge", queue_name="q")
        await talk.ask("queue_delete", queue_name="q")
        events = [line.split(' msg="')[1].split('"')[0] for line in told()]
        made = ["queue.created", "queue.created", "subscription.created"]
        assert events == [*made, "queue.purged", "queue.deleted"]


# -- rates -----------------------------------------------------------------------------------


async def test_whoever_is_too_fast_is_told_when_to_try_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation.errors, "REFUSAL_PAUSE_S", 0.0)
    service = await start(rate_requests_per_s=1.0)
    async with talking(service) as talk:
        replies = []
        while not replies or replies[-1]["headers"]["status"] == 200:
            await talk.send({"action": "queue_list", "headers": talk.headers, "body": {}})
            replies.append(await talk.heard())
        assert replies[-1]["headers"] == {"status": 503, "Retry-After": 1}
        assert replies[-1]["body"]["code"] == "rate_exceeded"
        service.clock.advance(s=2)
        assert (await talk.ask("queue_list")).status == 200


async def test_what_a_quota_refuses_is_refused(start: Start) -> None:
    service = await start(quota_queues=1)
    async with talking(service) as talk:
        assert (await talk.ask("queue_create", queue_name="a")).status == 201
        refused = await talk.ask("message_post", queue_name="b", messages=[{"body": 1}])
        assert (refused.status, refused.body["error"]) == (403, "Quota exceeded: queues")
