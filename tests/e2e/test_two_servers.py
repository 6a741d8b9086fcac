"""Two server processes, each with two workers, on one store."""

from __future__ import annotations

import threading
from collections import Counter

import httpx
import pytest

from tests.e2e.conftest import Serve, Store
from tests.e2e.load import (
    assert_exactly_once_in_order,
    pages,
    wait_for_more,
    writing,
)
from tests.e2e.nusku import NuskuServer

MESSAGES = 200


@pytest.fixture
def servers(serve: Serve, store: Store) -> list[NuskuServer]:
    return [serve(store.url, "--workers", "2") for _ in range(2)]


class Claimer(threading.Thread):
    """Claims until there is nothing left, and deletes each second claim's messages."""

    def __init__(self, server: NuskuServer) -> None:
        super().__init__()
        self.claimed: list[str] = []
        self.deleted: list[str] = []
        self._client = server.client()

    def run(self) -> None:
        turn = 0
        while items := self._claim():
            self.claimed += [item["id"] for item in items]
            turn += 1
            if turn % 2:
                for item in items:
                    assert self._client.delete(item["href"]).status_code == 204
                    self.deleted.append(item["id"])
        self._client.close()

    def _claim(self) -> list[dict[str, str]]:
        answer = self._client.post(
            "/v2/queues/q/claims?limit=3", json={"ttl": 300, "grace": 60}
        )
        assert answer.status_code in (201, 204), answer.text
        return answer.json()["messages"] if answer.status_code == 201 else []


def _post(client: httpx.Client, count: int) -> set[str]:
    ids = set()
    for start in range(0, count, 20):
        messages = [{"body": n, "ttl": 300} for n in range(start, start + 20)]
        answer = client.post("/v2/queues/q/messages", json={"messages": messages})
        assert answer.status_code == 201
        ids |= {address.rpartition("/")[2] for address in answer.json()["resources"]}
    return ids


def test_no_message_is_under_two_claims(servers: list[NuskuServer]) -> None:
    with servers[0].client() as client:
        posted = _post(client, MESSAGES)
        claimers = [Claimer(server) for server in servers for _ in range(4)]
        for claimer in claimers:
            claimer.start()
        for claimer in claimers:
            claimer.join(60)
        stats = client.get("/v2/queues/q/stats").json()["messages"]
    claimed = Counter(message for claimer in claimers for message in claimer.claimed)
    deleted = {message for claimer in claimers for message in claimer.deleted}
    assert set(claimed) == posted
    assert set(claimed.values()) == {1}, "each was claimed by one only"
    assert sum(len(claimer.claimed) > 0 for claimer in claimers) > 1, "there was a race"
    assert (stats["total"], stats["claimed"]) == (len(posted - deleted),) * 2


def test_a_paging_reader_misses_nothing_of_many_writers(servers: list[NuskuServer]) -> None:
    bodies: list[dict[str, object]] = []
    enough = threading.Event()

    def read() -> None:
        # NOTE: what counts is whether all was written before the last page was asked for.
        was_enough = enough.is_set()
        with servers[1].client() as client:
            for page, is_last in pages(client, "q"):
                bodies.extend(item["body"] for item in page)  # type: ignore[misc]
                if is_last and was_enough:
                    return
                was_enough = enough.is_set()

    reader = threading.Thread(target=read)
    reader.start()
    with (
        writing(servers[0], "q", prefix="first") as first,
        writing(servers[1], "q", prefix="second") as second,
    ):
        wait_for_more(first + second, 30)
    enough.set()
    reader.join(60)
    assert_exactly_once_in_order(bodies, first + second)
