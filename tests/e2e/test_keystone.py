"""The real clients, logged in through a real Keystone, against `nusku serve`."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.e2e.conftest import Serve
from tests.e2e.hook import Hook
from tests.e2e.nusku import CLIENT_ID, NuskuServer, environment, eventually
from tests.e2e.openstack import openstack_session
from tests.servers.keystone import KeystoneServer

# The first test of a session may have to install Keystone.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Cloud(NamedTuple):
    """A Keystone, a server that believes it, and a user with a project."""

    keystone: KeystoneServer
    nusku: NuskuServer
    user: str
    project: str


@pytest.fixture
def cloud(keystone_server: KeystoneServer, serve: Serve, tmp_path: Path) -> Cloud:
    name = f"c{uuid.uuid4().hex[:8]}"
    service = keystone_server.new_project(f"{name}-service")
    nusku = keystone_server.new_user(f"{name}-nusku", "a secret")
    keystone_server.grant(nusku, service, "service")
    project = keystone_server.new_project(name)
    keystone_server.grant(keystone_server.new_user(name, "pw"), project, "member")
    settings = {
        "auth_strategy": "keystone",
        "keystone_url": keystone_server.url,
        "keystone_user": f"{name}-nusku",
        "keystone_password": "a secret",
        "keystone_project": f"{name}-service",
        "keystone_timeout_s": 30.0,
        "keystone_cache_s": 0.0,
        "webhook_allow": "127.0.0.0/8",
    }
    file = tmp_path / "nusku.toml"
    file.write_text("".join(f"{key} = {json.dumps(settings[key])}\n" for key in settings))
    server = serve(f"sqlite:///{tmp_path}/nusku.db", "--config", str(file))
    keystone_server.register("messaging", server.url)
    return Cloud(keystone_server, server, name, project)


def _credentials(cloud: Cloud) -> dict[str, str]:
    return environment(
        {
            "OS_AUTH_URL": cloud.keystone.url,
            "OS_USERNAME": cloud.user,
            "OS_PASSWORD": "pw",
            "OS_PROJECT_ID": cloud.project,
            "OS_USER_DOMAIN_ID": "default",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_MESSAGE_CLIENT_ID": CLIENT_ID,
        }
    )


def _zaqar(cloud: Cloud, **other: str) -> Any:
    from zaqarclient.queues import client

    options = {
        "os_auth_url": cloud.keystone.url,
        "os_username": cloud.user,
        "os_password": "pw",
        "os_user_domain_id": "default",
        "os_project_id": cloud.project,
        **other,
    }
    conf = {"auth_opts": {"backend": "keystone", "options": options}}
    return client.Client(version=2, conf=conf)


def test_both_clients_log_in_and_see_the_same_project(cloud: Cloud) -> None:
    client = _zaqar(cloud)
    queue = client.queue("letters")
    queue.post([{"body": {"n": n}, "ttl": 300} for n in range(3)])
    (claimed,) = list(queue.claim(ttl=60, grace=60, limit=1))
    claimed.delete()
    with openstack_session(_credentials(cloud)) as run:
        assert [row["Name"] for row in run("queue list")] == ["letters"]
        assert run("queue stats letters")["Stats"]["messages"]["total"] == 2
        run("queue delete letters", parse=False)
    assert list(client.queues()[0]) == []


def test_another_project_than_that_of_the_token_is_refused_to_the_client(cloud: Cloud) -> None:
    from zaqarclient.transport import errors

    name, password = cloud.user, "pw"
    token = cloud.keystone.token(name, password, {"project": {"id": cloud.project}})
    other = cloud.keystone.new_project(f"{name}-other")
    client = _zaqar(cloud, os_auth_token=token, os_project_id=other)
    client.api_url = cloud.nusku.url
    with pytest.raises(errors.ForbiddenError):
        list(client.queues()[0])


def test_without_a_token_the_answer_is_what_clients_of_keystone_and_of_zaqar_read(
    cloud: Cloud,
) -> None:
    answer = httpx.get(f"{cloud.nusku.url}/v2/queues", headers={"Client-ID": CLIENT_ID})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{cloud.keystone.url}"'
    text = "The request you have made requires authentication."
    document = answer.json()
    assert document["error"] == {"code": 401, "title": "Unauthorized", "message": text}
    assert (document["title"], document["description"]) == ("Unauthorized", text)


def test_neither_password_nor_token_reach_the_log(cloud: Cloud) -> None:
    scope = {"project": {"id": cloud.project}}
    token = cloud.keystone.token(cloud.user, "pw", scope)
    headers = {"Client-ID": CLIENT_ID, "X-Auth-Token": token}
    assert httpx.get(f"{cloud.nusku.url}/v2/queues", headers=headers).status_code == 200
    cloud.keystone.kill()
    refused = httpx.get(f"{cloud.nusku.url}/v2/queues", headers=headers, timeout=60)
    cloud.keystone.start()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert "Keystone is away" in cloud.nusku.log
    assert token not in cloud.nusku.log
    assert "a secret" not in cloud.nusku.log


def test_a_trusted_subscriber_is_shown_a_token_of_who_subscribed(
    cloud: Cloud, hook: Hook
) -> None:
    client = _zaqar(cloud)
    address = f"trust+{hook.url}"
    made = client.subscription("news", subscriber=address, ttl=600, options={"trust_id": "x"})
    assert made.options == {}, "a trust is neither taken nor shown"
    client.queue("news").post({"body": {"n": 1}, "ttl": 300})
    eventually(lambda: bool(hook.heard), within_s=60, what="the notification is heard")
    assert hook.heard[0]["body"] == {"n": 1}
    token = {name.lower(): text for name, text in hook.headers[0].items()}["x-auth-token"]
    shown = httpx.get(
        f"{cloud.keystone.url}/auth/tokens",
        headers={"X-Auth-Token": cloud.keystone.admin_token(), "X-Subject-Token": token},
        timeout=20,
    ).json()["token"]
    assert (shown["user"]["name"], shown["project"]["id"]) == (cloud.user, cloud.project)
    assert shown["OS-TRUST:trust"]["impersonation"] is True
    # The role of a member implies that of a reader.
    assert {role["name"] for role in shown["roles"]} == {"member", "reader"}
    assert token not in cloud.nusku.log


def test_a_trust_may_last_as_long_as_heat_asks_for(cloud: Cloud, hook: Hook) -> None:
    scope = {"project": {"id": cloud.project}}
    keystone_token = cloud.keystone.token(cloud.user, "pw", scope)
    headers = {"Client-ID": CLIENT_ID, "X-Auth-Token": keystone_token}
    path = f"{cloud.nusku.url}/v2/queues/news/subscriptions"
    heats = {"subscriber": f"trust+{hook.url}", "ttl": 220_367_260_800}
    answer = httpx.post(path, json=heats, headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text
    shown = httpx.get(f"{path}/{answer.json()['subscription_id']}", headers=headers, timeout=60)
    assert shown.json()["options"] == {}
