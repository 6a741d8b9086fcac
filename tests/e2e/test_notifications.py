"""Notifications by several servers that are killed, to a receiver that comes and goes."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Serve, Store
from tests.e2e.hook import Hook
from tests.e2e.nusku import NuskuServer, eventually

SUBSCRIPTIONS = "/v2/queues/q/subscriptions"

#: Above the lease of whoever was killed, and the pauses between attempts.
PATIENCE_S = 100.0

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]


@pytest.fixture
def servers(serve: Serve, store: Store, tmp_path: Path) -> list[NuskuServer]:
    file = tmp_path / "nusku.toml"
    file.write_text('webhook_allow = "127.0.0.0/8"\n')
    return [serve(store.url, "--workers", "2", "--config", str(file)) for _ in range(2)]


class Poster(threading.Thread):
    """Posts numbers, and notes those that were acknowledged."""

    def __init__(self, servers: list[NuskuServer]) -> None:
        super().__init__()
        self.acknowledged: list[int] = []
        self._servers = servers
        self._stop_posting = threading.Event()

    def run(self) -> None:
        for number in itertools.count():
            if self._stop_posting.wait(0.01):
                return
            server = self._servers[number % len(self._servers)]
            try:
                with server.client() as client:
                    answer = client.post(
                        "/v2/queues/q/messages", json={"messages": [{"body": number}]}
                    )
            except httpx.TransportError:
                continue
            if answer.status_code == 201:
                self.acknowledged.append(number)

    def finish(self) -> None:
        self._stop_posting.set()
        self.join()


def _subscribe(server: NuskuServer, url: str, **options: object) -> str:
    with server.client() as client:
        answer = client.post(SUBSCRIPTIONS, json={"subscriber": url, "options": options})
        assert answer.status_code == 201, answer.text
        subscription_id: str = answer.json()["subscription_id"]
        return subscription_id


def test_what_was_acknowledged_is_delivered_whatever_is_killed_meanwhile(
    servers: list[NuskuServer], hook: Hook
) -> None:
    other = Hook().start()
    _subscribe(servers[0], hook.url)
    _subscribe(servers[1], other.url)
    poster = Poster(servers)
    poster.start()
    eventually(lambda: len(hook.heard) > 50, within_s=20, what="the first are heard")
    servers[0].kill()
    hook.stop()
    eventually(lambda: len(other.heard) > 150, within_s=40, what="the other goes on")
    servers[0].start()
    servers[1].kill()
    hook.start()
    other.status = 503
    servers[1].start()
    other.status = 200
    poster.finish()
    posted = set(poster.acknowledged)
    assert len(posted) > 100
    for receiver in (hook, other):
        eventually(
            lambda receiver=receiver: posted <= {one["body"] for one in receiver.heard},
            within_s=PATIENCE_S,
            what="everything is heard",
        )
    other.stop()


def test_an_ordered_subscription_hears_in_order_whatever_is_killed_meanwhile(
    servers: list[NuskuServer], hook: Hook
) -> None:
    _subscribe(servers[0], hook.url, _ordered=True)
    with servers[1].client() as client:
        for number in range(60):
            client.post("/v2/queues/q/messages", json={"messages": [{"body": number}]})
            if number == 30:
                servers[0].kill()
    eventually(
        lambda: {one["body"] for one in hook.heard} == set(range(60)),
        within_s=PATIENCE_S,
        what="everything is heard",
    )
    assert list(dict.fromkeys(one["body"] for one in hook.heard)) == list(range(60))
