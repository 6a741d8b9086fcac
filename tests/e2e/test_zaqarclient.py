"""The unmodified python-zaqarclient against `nusku serve`."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.e2e.conftest import Serve, Store

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def client(serve: Serve, store: Store) -> Any:
    from zaqarclient.queues import client as zaqar

    options = {"auth_opts": {"backend": "noauth", "options": {"os_project_id": "e2e"}}}
    return zaqar.Client(serve(store.url).url, version=2, conf=options)


def _post(queue: Any, count: int) -> None:
    for first in range(0, count, 10):
        numbers = range(first, min(first + 10, count))
        queue.post([{"body": {"n": n}, "ttl": 300} for n in numbers])


def test_everything_that_the_client_can_do(client: Any) -> None:
    # One server for the whole story: starting one takes longer than all of it.
    _service(client)
    _queues(client)
    _messages(client)
    _claims(client)
    _subscriptions(client)


def _service(client: Any) -> None:
    assert client.ping() is True
    assert client.health()
    assert client.homedoc()["resources"]["rel/queues"]["href-template"].startswith("/v2/queues")


def _queues(client: Any) -> None:
    queue = client.queue("first", force_create=True)
    assert queue.exists()
    assert queue.metadata(new_meta={"colour": "red", "_default_message_ttl": 120})
    assert queue.metadata(force_reload=True)["colour"] == "red"
    queue.metadata(new_meta={"colour": "blue"})
    patched = queue.metadata(force_reload=True)
    assert (patched["colour"], patched["_default_message_ttl"]) == ("blue", 3600)
    for name in ("second", "third"):
        client.queue(name, force_create=True)
    queues, count = client.queues(limit=1, detailed=True, with_count=True)
    names = [queue.name for queue in queues.stream()]
    assert (names, count) == (["first", "second", "third"], 3)
    queue.post({"body": 1})
    assert queue.stats["messages"]["total"] == 1
    queue.purge()
    assert queue.stats["messages"]["total"] == 0
    queue.delete()
    assert [queue.name for queue in client.queues()[0]] == ["second", "third"]


def _messages(client: Any) -> None:
    queue = client.queue("messages")
    _post(queue, 45)
    listed = queue.messages(echo=True, limit=7).stream()
    assert [m.body["n"] for m in listed] == list(range(45))
    assert list(queue.messages()) == [], "one's own messages only with echo"
    other = _as_another(client).queue("messages")
    found = list(other.messages().stream())
    assert [m.body["n"] for m in found] == list(range(45))
    assert (found[0].ttl, found[0].age >= 0) == (300, True)
    first, second, third = (message.id for message in found[:3])
    assert queue.message(first).body == {"n": 0}
    assert {m.id for m in queue.messages(first, second)} == {first, second}
    queue.message(first).delete()
    queue.delete_messages(second, third)
    popped = [message.body["n"] for message in queue.pop(count=2)]
    assert popped == [3, 4]
    assert queue.stats["messages"]["total"] == 40


def _as_another(client: Any) -> Any:
    """Return a client with another id, which sees what the first one posted."""
    return type(client)(
        client.api_url, client.api_version, {**client.conf, "client_uuid": uuid.uuid4().hex}
    )


def _claims(client: Any) -> None:
    queue = client.queue("claims")
    assert list(queue.claim(ttl=60, grace=60)) == [], "nothing to claim is no error"
    _post(queue, 5)
    claim = queue.claim(ttl=90, grace=60, limit=2)
    first, second = list(claim)
    assert (first.body, second.body) == ({"n": 0}, {"n": 1})
    assert (claim.ttl, claim.age >= 0) == (90, True)
    claim.update(ttl=120, grace=60)
    assert queue.claim(id=claim.id).ttl == 120
    first.delete()
    assert [message.id for message in queue.claim(id=claim.id)] == [second.id]
    claim.delete()
    again = queue.claim(limit=20)  # without ttl and grace, which the client sends as null
    assert [message.body["n"] for message in again] == [1, 2, 3, 4]


def _subscriptions(client: Any) -> None:
    hook, options = "http://receiver.example:8080/hook", {"post_headers": {"X-Mine": "1"}}
    made = client.subscription(
        "news", subscriber=hook, ttl=220_367_260_800, options=dict(options)
    )
    assert (made.subscriber, made.ttl, made.options) == (hook, 220_367_260_800, options)
    again = client.subscription("news", subscriber=hook, ttl=600)
    assert again.id == made.id, "an address has one subscription"
    for number in range(24):
        client.subscription("news", subscriber=f"{hook}/{number}", ttl=600)
    listed = list(client.subscriptions("news", limit=10).stream())
    assert len({subscription.id for subscription in listed}) == 25
    made.update({"ttl": 600, "options": {}})
    found = client.subscription("news", id=made.id)
    assert (found.ttl, found.options, found.subscriber) == (600, {}, hook)
    made.delete()
    assert len(list(client.subscriptions("news", limit=20).stream())) == 24
    client.queue("news").purge(resource_types=["subscriptions"])
    assert list(client.subscriptions("news")) == []
