"""The real `openstack messaging` commands against `nusku serve`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Serve, Store
from tests.e2e.keystone import keystone
from tests.e2e.nusku import CLIENT_ID, PROJECT, command, environment
from tests.e2e.openstack import Run, openstack_session


def _credentials(auth_url: str) -> dict[str, str]:
    return environment(
        {
            "OS_AUTH_URL": auth_url,
            "OS_USERNAME": "u",
            "OS_PASSWORD": "p",
            "OS_PROJECT_ID": PROJECT,
            "OS_USER_DOMAIN_ID": "default",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_MESSAGE_CLIENT_ID": CLIENT_ID,
        }
    )


@pytest.fixture
def openstack(serve: Serve, store: Store) -> Iterator[Run]:
    with (
        keystone(serve(store.url).url, PROJECT) as auth_url,
        openstack_session(_credentials(auth_url)) as run,
    ):
        yield run


def test_everything_that_the_command_can_do(openstack: Run) -> None:
    _service(openstack)
    _queues(openstack)
    _messages(openstack)
    _claims(openstack)
    _subscriptions(openstack)


def _service(run: Run) -> None:
    assert run("ping") == {"Pingable": True}
    assert run("health", parse=False)
    assert "rel/queues" in run("homedoc", parse=False)


def _queues(run: Run) -> None:
    for name in ("first", "second"):
        assert run(f"queue create {name}")["Name"] == name
    assert [row["Name"] for row in run("queue list")] == ["first", "second"]
    run("queue set metadata first", json.dumps({"colour": "red"}), parse=False)
    assert "red" in json.dumps(run("queue get metadata first"))
    assert run("queue list --detailed --limit 1")[0]["Name"] == "first"
    run("message post first", json.dumps([{"body": 1, "ttl": 120}]), parse=False)
    assert run("queue stats first")["Stats"]["messages"]["total"] == 1
    run("queue purge first", parse=False)
    assert run("queue stats first")["Stats"]["messages"]["total"] == 0
    run("queue delete second", parse=False)
    assert [row["Name"] for row in run("queue list")] == ["first"]


def _messages(run: Run) -> None:
    bodies = json.dumps([{"body": {"n": n}, "ttl": 120} for n in range(15)])
    run("message post letters", bodies, parse=False)
    listed = run("message list letters --echo --limit 20")
    assert [row["Body"] for row in listed] == [{"n": n} for n in range(15)]
    wanted = listed[3]["ID"]
    found = run(f"message list letters --message-ids {wanted}")
    assert [row["ID"] for row in found] == [wanted]


def _claims(run: Run) -> None:
    claimed = run("claim create letters --ttl 90 --grace 60 --limit 4")
    assert [row["Messages"]["n"] for row in claimed] == [0, 1, 2, 3]
    (claim,) = {row["Claim_ID"] for row in claimed}
    # The client leaves the column of ids empty.
    assert [row["Message"]["n"] for row in run(f"claim query letters {claim}")] == [0, 1, 2, 3]
    run(f"claim renew letters {claim} --ttl 120 --grace 60")
    run(f"claim release letters {claim}", parse=False)
    assert "404" in run(f"claim query letters {claim}", fails=True)


def _subscriptions(run: Run) -> None:
    hook = "http://receiver.example:8080/hook"
    options = json.dumps({"post_headers": {"X-Mine": "1"}})
    made = run(f"subscription create news {hook} 600 --options", options)
    assert (made["Subscriber"], made["TTL"]) == (hook, 600)
    run(f"subscription update news {made['ID']} --ttl 900", parse=False)
    shown = run(f"subscription show news {made['ID']}")
    assert (shown["Subscriber"], shown["TTL"]) == (hook, 900)
    assert [row["ID"] for row in run("subscription list news")] == [made["ID"]]
    run(f"subscription delete news {made['ID']}", parse=False)
    assert run("subscription list news") == []


def test_the_command_itself_runs(serve: Serve, tmp_path: Path) -> None:
    with keystone(serve(f"sqlite:///{tmp_path}/q.db").url, PROJECT) as auth_url:
        result = subprocess.run(
            (command("openstack"), "messaging", "queue", "create", "q", "-f", "value"),
            env=_credentials(auth_url),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (result.returncode, result.stdout.strip()) == (0, "q"), result.stderr
