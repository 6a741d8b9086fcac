"""The strategy `keystone` against a real Keystone."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import falcon
import falcon.asgi
import pytest
from falcon import testing

from queues.errors import ConfigurationError
from queues.identity import Identity
from tests.clock import MovableClock
from tests.servers.keystone import ADMIN_PASSWORD, KeystoneServer
from transport.identity.keystone import INVALID_MS, KeystoneStrategy
from transport.identity.keystone_service import AWAY_MS, REFUSED_MS

# The first test of a session may have to install Keystone.
pytestmark = pytest.mark.timeout(300)

PASSWORD = "a secret of the service"


class Member(NamedTuple):
    """A user with the role `member` in a project of its own."""

    name: str
    user: str
    project: str


@pytest.fixture(scope="module", autouse=True)
def service_user(keystone_server: KeystoneServer) -> None:
    project = keystone_server.new_project("service")
    user = keystone_server.new_user("nusku", PASSWORD)
    keystone_server.grant(user, project, "service")


@pytest.fixture(scope="module")
def member(keystone_server: KeystoneServer) -> Member:
    return _new_member(keystone_server)


def _new_member(keystone_server: KeystoneServer) -> Member:
    name = f"m{uuid.uuid4().hex[:8]}"
    project = keystone_server.new_project(name)
    user = keystone_server.new_user(name, "pw")
    keystone_server.grant(user, project, "member")
    return Member(name, user, project)


@pytest.fixture
def token(keystone_server: KeystoneServer, member: Member) -> str:
    return _token(keystone_server, member)


def _token(server: KeystoneServer, member: Member) -> str:
    return server.token(member.name, "pw", {"project": {"id": member.project}})


def _strategy(server: KeystoneServer, clock: MovableClock, **other: Any) -> KeystoneStrategy:
    settings: dict[str, Any] = {
        "url": server.url,
        "user": "nusku",
        "password": PASSWORD,
        "user_domain": "Default",
        "project": "service",
        "project_domain": "Default",
        "timeout_s": 30.0,
        "cache_s": 60.0,
        "clock": clock,
    }
    return KeystoneStrategy(**{**settings, **other})


@pytest.fixture
def strategy(keystone_server: KeystoneServer, clock: MovableClock) -> KeystoneStrategy:
    return _strategy(keystone_server, clock)


@pytest.fixture
def stopped(keystone_server: KeystoneServer) -> Iterator[KeystoneServer]:
    """A Keystone that a test may stop; it runs again afterwards."""
    yield keystone_server
    keystone_server.kill()
    keystone_server.start()


def request(token: str | None = None, **headers: str) -> falcon.asgi.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = named if token is None else {"X-Auth-Token": token, **named}
    return testing.create_asgi_req(headers=given)


async def test_project_user_and_roles_are_those_of_the_token(
    strategy: KeystoneStrategy, keystone_server: KeystoneServer
) -> None:
    member = _new_member(keystone_server)
    keystone_server.grant(member.user, member.project, "Device-Fleet")
    token = _token(keystone_server, member)
    found = await strategy.identify(request(token))
    # The role `member` implies the role `reader` in every Keystone.
    roles = frozenset({"member", "reader", "device-fleet"})
    assert found == Identity(member.project, member.user, roles)


async def test_identity_headers_of_the_client_are_not_believed(
    strategy: KeystoneStrategy, member: Member, token: str
) -> None:
    forged = request(
        token, X_Roles="admin", X_User_Id="root", X_Identity_Status="Confirmed", X_Tenant="t"
    )
    found = await strategy.identify(forged)
    assert (found.project, found.user) == (member.project, member.user)
    assert "admin" not in found.roles


async def test_a_bearer_token_is_as_good(
    strategy: KeystoneStrategy, member: Member, token: str
) -> None:
    found = await strategy.identify(request(Authorization=f"Bearer {token}"))
    assert found.project == member.project


async def test_the_header_with_the_project_of_the_token_is_accepted(
    strategy: KeystoneStrategy, member: Member, token: str
) -> None:
    found = await strategy.identify(request(token, X_Project_ID=member.project))
    assert found.project == member.project


@pytest.mark.parametrize("claimed", ["", "another", "*"])
async def test_another_project_in_the_header_is_403(
    strategy: KeystoneStrategy, token: str, claimed: str
) -> None:
    with pytest.raises(falcon.HTTPForbidden):
        await strategy.identify(request(token, X_Project_ID=claimed))


@pytest.mark.parametrize(
    "token",
    [None, "", "invented", "gAAAAABinvented", "x" * 5000, "x" * 10_000, "caf\xe9", "a\x01b"],
    ids=[
        "missing",
        "empty",
        "invented",
        "like-fernet",
        "long",
        "too-long",
        "accent",
        "control",
    ],
)
async def test_no_token_and_wrong_tokens_are_401_with_a_challenge(
    keystone_server: KeystoneServer, clock: MovableClock, token: str | None
) -> None:
    strategy = _strategy(keystone_server, clock, public_url="https://id.example/v3")
    with pytest.raises(falcon.HTTPUnauthorized) as caught:
        await strategy.identify(request(token))
    challenge = {"WWW-Authenticate": 'Keystone uri="https://id.example/v3"'}
    assert caught.value.headers == challenge


async def test_a_revoked_token_ends_with_the_cache(
    strategy: KeystoneStrategy, keystone_server: KeystoneServer, clock: MovableClock, token: str
) -> None:
    await strategy.identify(request(token))
    keystone_server.revoke(token)
    clock.advance(s=59)
    await strategy.identify(request(token))
    clock.advance(s=1)
    with pytest.raises(falcon.HTTPUnauthorized):
        await strategy.identify(request(token))


async def test_a_token_that_expires_while_it_is_cached_is_refused_at_once(
    keystone_server: KeystoneServer, clock: MovableClock, token: str
) -> None:
    strategy = _strategy(keystone_server, clock, cache_s=7200.0)
    await strategy.identify(request(token))
    clock.advance(s=3500)
    await strategy.identify(request(token))
    clock.advance(s=200)
    with pytest.raises(falcon.HTTPUnauthorized):
        await strategy.identify(request(token))


async def test_a_token_of_a_disabled_project_is_401_until_it_is_enabled(
    strategy: KeystoneStrategy, keystone_server: KeystoneServer, clock: MovableClock
) -> None:
    member = _new_member(keystone_server)
    token = _token(keystone_server, member)
    _enable(keystone_server, member.project, False)
    with pytest.raises(falcon.HTTPUnauthorized):
        await strategy.identify(request(token))
    _enable(keystone_server, member.project, True)
    clock.advance(ms=INVALID_MS)
    # Disabling revokes what was given out before, so it takes a new token.
    found = await strategy.identify(request(_token(keystone_server, member)))
    assert found.project == member.project


def _enable(server: KeystoneServer, project: str, enabled: bool) -> None:
    server.call("PATCH", f"/projects/{project}", {"project": {"enabled": enabled}})


@pytest.mark.parametrize(
    "scope",
    ["unscoped", {"domain": {"id": "default"}}, {"system": {"all": True}}],
    ids=["unscoped", "domain", "system"],
)
async def test_a_token_for_no_project_is_403_and_says_why(
    strategy: KeystoneStrategy, keystone_server: KeystoneServer, scope: Any
) -> None:
    admin, role = _id_of(keystone_server, "admin"), keystone_server.role("admin")
    keystone_server.call("PUT", f"/domains/default/users/{admin}/roles/{role}")
    token = keystone_server.token("admin", ADMIN_PASSWORD, scope)
    with pytest.raises(falcon.HTTPForbidden) as caught:
        await strategy.identify(request(token))
    assert caught.value.description == "The token is not scoped to a project."


def _application_credential(server: KeystoneServer, member: Member, **more: Any) -> str:
    own = _token(server, member)
    body = {"application_credential": {"name": uuid.uuid4().hex, **more}}
    path = f"/users/{member.user}/application_credentials"
    made = server.call("POST", path, body, token=own)
    credential = {"id": made["id"], "secret": made["secret"]}
    return server.log_in(
        {"methods": ["application_credential"], "application_credential": credential}
    )


async def test_a_token_of_an_application_credential_has_its_roles_only(
    strategy: KeystoneStrategy, keystone_server: KeystoneServer, member: Member
) -> None:
    token = _application_credential(keystone_server, member, roles=[{"name": "reader"}])
    found = await strategy.identify(request(token))
    assert found == Identity(member.project, member.user, frozenset({"reader"}))


async def test_an_application_credential_for_certain_calls_only_is_401(
    strategy: KeystoneStrategy, keystone_server: KeystoneServer, member: Member
) -> None:
    rule = {"service": "compute", "method": "GET", "path": "/v2.1/servers"}
    token = _application_credential(keystone_server, member, access_rules=[rule])
    with pytest.raises(falcon.HTTPUnauthorized):
        await strategy.identify(request(token))


async def test_a_wrong_password_of_the_service_is_503_and_one_clear_log_line(
    keystone_server: KeystoneServer,
    clock: MovableClock,
    token: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    strategy = _strategy(keystone_server, clock, password="not the right one")
    for _ in range(3):
        with pytest.raises(falcon.HTTPServiceUnavailable) as caught:
            await strategy.identify(request(token))
        assert caught.value.headers == {"Retry-After": str(REFUSED_MS // 1000)}
    (line,) = caplog.messages
    assert "refuses our login as user 'nusku'" in line
    assert "keystone_password" in line
    assert "not the right one" not in caplog.text
    assert token not in caplog.text


async def test_a_service_user_without_the_role_is_503_and_the_log_names_the_role(
    keystone_server: KeystoneServer,
    clock: MovableClock,
    member: Member,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = keystone_server.admin_token()
    strategy = _strategy(
        keystone_server, clock, user=member.name, password="pw", project=member.name
    )
    with pytest.raises(falcon.HTTPServiceUnavailable):
        await strategy.identify(request(other))
    assert "the role 'service'" in caplog.text


async def test_our_own_token_is_had_again_when_it_was_revoked(
    strategy: KeystoneStrategy, keystone_server: KeystoneServer, clock: MovableClock, token: str
) -> None:
    await strategy.identify(request(token))
    # A change of the password revokes all tokens of a user.
    for password in ("another", PASSWORD):
        body = {"user": {"password": password}}
        keystone_server.call("PATCH", f"/users/{_id_of(keystone_server, 'nusku')}", body)
    # Keystone revokes by the second: our next token may be of the same one.
    outcome = await _outcome_when_it_has_caught_up(strategy, clock)
    assert outcome is falcon.HTTPUnauthorized


def _id_of(server: KeystoneServer, user: str) -> str:
    return server.call("GET", f"/users?name={user}&domain_id=default")[0]["id"]


async def test_while_keystone_is_down_known_tokens_work_and_others_are_503(
    strategy: KeystoneStrategy,
    stopped: KeystoneServer,
    clock: MovableClock,
    member: Member,
    token: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = _token(stopped, member)
    await strategy.identify(request(token))
    stopped.kill()
    for _ in range(2):
        with pytest.raises(falcon.HTTPServiceUnavailable) as caught:
            await strategy.identify(request(other))
        assert caught.value.headers == {"Retry-After": str(AWAY_MS // 1000)}
    assert (await strategy.identify(request(token))).project == member.project
    stopped.start()
    clock.advance(ms=AWAY_MS)
    assert (await strategy.identify(request(other))).project == member.project
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "Keystone is away",
        "Keystone answers again",
    ]
    assert other not in caplog.text


async def test_a_keystone_that_hangs_costs_one_timeout_and_then_nothing(
    keystone_server: KeystoneServer, clock: MovableClock, member: Member, token: str
) -> None:
    loop = asyncio.get_running_loop()
    strategy = _strategy(keystone_server, clock, timeout_s=4.0)
    others = [f"other-{n}" for n in range(200)]
    await strategy.identify(request(token))
    keystone_server.pause()
    try:
        start_s = loop.time()
        answers = await asyncio.gather(
            *(strategy.identify(request(other)) for other in others), return_exceptions=True
        )
        first_s = loop.time() - start_s
        with pytest.raises(falcon.HTTPServiceUnavailable):
            await strategy.identify(request("yet-another"))
        second_s = loop.time() - start_s - first_s
    finally:
        keystone_server.resume()
    assert {type(answer) for answer in answers} == {falcon.HTTPServiceUnavailable}
    assert first_s < 8, "all of them wait at the same time"
    assert second_s < 1
    assert await _outcome_when_it_has_caught_up(strategy, clock) is falcon.HTTPUnauthorized


async def _outcome_when_it_has_caught_up(
    strategy: KeystoneStrategy, clock: MovableClock
) -> type:
    """Ask as a client would that heeds Retry-After, ten times at the most."""
    for _ in range(10):
        clock.advance(ms=AWAY_MS)
        with pytest.raises(falcon.HTTPError) as caught:
            await strategy.identify(request("yet-another"))
        if caught.type is not falcon.HTTPServiceUnavailable:
            break
    return caught.type


async def test_an_https_address_without_a_trusted_certificate_is_503(
    keystone_server: KeystoneServer, clock: MovableClock, token: str
) -> None:
    url = keystone_server.url.replace("http:", "https:")
    strategy = _strategy(keystone_server, clock, url=url)
    with pytest.raises(falcon.HTTPServiceUnavailable):
        await strategy.identify(request(token))


@pytest.mark.parametrize("url", ["", "keystone:5000", "ftp://k/v3", "http://u:p@k/v3"])
def test_an_address_that_is_none_is_refused_with_the_name_of_the_setting(
    clock: MovableClock, keystone_server: KeystoneServer, url: str
) -> None:
    with pytest.raises(ConfigurationError, match="keystone_url"):
        _strategy(keystone_server, clock, url=url)


def test_nothing_that_can_be_printed_holds_the_password(
    strategy: KeystoneStrategy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = [strategy, *vars(strategy).values()]
    seen += [*vars(strategy._service).values()]  # noqa: SLF001
    assert PASSWORD not in repr(seen)
