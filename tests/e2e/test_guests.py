"""Heat's agents in guests, and how Heat looks for what they say, against `nusku serve`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Serve
from tests.e2e.guest import AGENTS, cfn_signal, collect, collect_when_told, notify
from tests.e2e.keystone import keystone
from tests.e2e.nusku import PROJECT, NuskuServer
from tests.e2e.signalling import make, wait_for_end, with_keys

# The first test of a session may have to install the agents.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def agents() -> None:
    AGENTS.prepare()


@pytest.fixture
def server(agents: None, serve: Serve, tmp_path: Path) -> NuskuServer:
    return serve(f"sqlite:///{tmp_path}/nusku.db", *with_keys(tmp_path))


def _said(server: NuskuServer, name: str) -> Any:
    with server.client() as client:
        return client.get(f"/v2/signals/{name}").json()["signals"]


def test_cfn_signal_ends_the_wait(server: NuskuServer) -> None:
    url = server.url + make(server, "boot", count=2, timeout=60)
    assert cfn_signal(url, "--id", "i-1", "--exit-code", "0") == 0
    assert cfn_signal(url, "--id", "i-1", "--exit-code", "0") == 0
    given = ("--success", "true", "--reason", "all is 'well'", "--data", "10.0.0.5")
    assert cfn_signal(url, "--id", "i-2", *given) == 0
    ended = wait_for_end(server, "boot")
    assert (ended["state"], ended["received"]) == ("success", 2)
    first, second = (ended["signals"][sender] for sender in ("i-1", "i-2"))
    assert first["reason"] == "Configuration Complete"
    assert first["data"] == "Application has completed configuration."
    assert (second["reason"], second["data"]) == ("all is 'well'", "10.0.0.5")


def test_cfn_signal_fails_the_wait(server: NuskuServer) -> None:
    url = server.url + make(server, "boot", count=2, timeout=60)
    assert cfn_signal(url, "--id", "i-1", "--exit-code", "7", "--reason", "no disk") == 0
    ended = wait_for_end(server, "boot")
    assert (ended["state"], ended["reason"]) == ("failure", "no disk")
    # Whatever the answer, curl has delivered it, and cfn-signal looks no further.
    assert cfn_signal(url, "--id", "i-2", "--exit-code", "0") == 0
    assert set(_said(server, "boot")) == {"i-1"}


def test_os_collect_config_takes_what_heat_has_posted(
    server: NuskuServer, tmp_path: Path
) -> None:
    metadata = {"deployments": [], "os-collect-config": {"collectors": ["zaqar"]}}
    with server.client() as client:
        document = {"messages": [{"body": metadata, "ttl": 3600}]}
        assert client.post("/v2/queues/q-17/messages", json=document).status_code == 201
    with keystone(server.url, PROJECT) as auth_url:
        flags = (
            *("--zaqar-auth-url", auth_url, "--zaqar-user-id", "u1"),
            *("--zaqar-password", "pw", "--zaqar-project-id", PROJECT),
            *("--zaqar-queue-id", "q-17"),
        )
        printed, _ = collect(tmp_path, *flags)
        assert json.loads(printed)["zaqar"] == metadata
        # What was taken is gone, and an empty queue is nothing new.
        printed, log = collect(tmp_path / "again", *flags)
        assert "zaqar" not in json.loads(printed)
        assert "Traceback" not in log


def test_os_collect_config_waits_on_a_websocket(server: NuskuServer, tmp_path: Path) -> None:
    metadata = {"deployments": [], "os-collect-config": {"collectors": ["zaqar"]}}
    with keystone(server.url, PROJECT) as auth_url:
        flags = (
            *("--zaqar-auth-url", auth_url, "--zaqar-user-id", "u1"),
            *("--zaqar-password", "pw", "--zaqar-project-id", PROJECT),
            *("--zaqar-queue-id", "q-17", "--zaqar-use-websockets"),
        )

        def post() -> None:
            document = {"messages": [{"body": metadata, "ttl": 3600}]}
            with server.client() as client:
                posted = client.post("/v2/queues/q-17/messages", json=document)
            assert posted.status_code == 201

        # By then it has made the queue, subscribed, and found that nothing was there before.
        printed = collect_when_told(tmp_path, "websocket recv()", post, *flags)
    assert json.loads(printed)["zaqar"] == metadata


def test_a_signal_of_an_agent_in_an_old_image_reaches_heat(server: NuskuServer) -> None:
    """Heat signs the queue, the agent posts to version 1.1, and Heat pops by the signature."""
    with server.client() as client:
        wanted = {"paths": ["messages"], "methods": ["GET", "DELETE"]}
        signed = client.post("/v2/queues/wc-17/share", json=wanted).json()
    heat = _created_from_signed_url(server, **signed)
    assert list(heat.queue("wc-17").pop()) == []
    signal = {"status": "SUCCESS", "reason": "up", "data": "10.0.0.5", "id": "1"}
    notify(server.url, PROJECT, "wc-17", json.dumps(signal))
    assert [message.body for message in heat.queue("wc-17").pop()] == [signal]
    assert list(heat.queue("wc-17").pop()) == []


def _created_from_signed_url(
    server: NuskuServer,
    project: str,
    paths: list[str],
    expires: str,
    methods: list[str],
    signature: str,
) -> Any:
    """Return a client as Heat makes it, of exactly the answer to the share."""
    from zaqarclient.queues import client

    options = {
        "paths": paths,
        "expires": expires,
        "methods": methods,
        "signature": signature,
        "os_project_id": project,
    }
    conf = {"auth_opts": {"backend": "signed-url", "options": options}}
    return client.Client(url=server.url, conf=conf, version=2)


def test_the_signature_that_heat_polls_with_lets_nobody_post(server: NuskuServer) -> None:
    with server.client() as client:
        wanted = {"paths": ["messages"], "methods": ["GET", "DELETE"]}
        signed = client.post("/v2/queues/wc-17/share", json=wanted).json()
        client.post("/v2/queues/wc-17/messages", json={"messages": [{"body": 1}]})
    presented = {
        "URL-Signature": signed["signature"],
        "URL-Paths": ",".join(signed["paths"]),
        "URL-Methods": ",".join(signed["methods"]),
        "URL-Expires": signed["expires"],
        "X-Project-ID": signed["project"],
    }
    address = f"{server.url}/v2/queues/wc-17/messages"
    refused = httpx.post(address, json={"messages": [{"body": 2}]}, headers=presented)
    assert refused.status_code == 404
    old = f"{server.url}/v1.1/queues/wc-17/messages"
    assert httpx.post(old, json={"messages": []}, headers=presented).status_code == 404
    popped = httpx.delete(f"{address}?pop=1", headers=presented)
    assert [message["body"] for message in popped.json()["messages"]] == [1]
