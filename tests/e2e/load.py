"""Writers and readers that keep on working while servers and stores come and go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.e2e.nusku import NuskuServer

PAUSE_S = 0.02


class Writer(threading.Thread):
    """Posts 0, 1, 2, …, each until it is acknowledged, with one key for all its tries."""

    def __init__(
        self, server: NuskuServer, queue: str, name: str, *, tries: int = 10**9
    ) -> None:
        super().__init__(name=name)
        self.acknowledged: list[int] = []
        self.unanswered: list[int] = []
        self.statuses: set[int] = set()
        self.enough = threading.Event()
        self._server = server
        self._queue = queue
        self._tries = tries

    def run(self) -> None:
        number = 0
        client = self._server.client()
        while not self.enough.is_set():
            if not self._post(client, number):
                break
            number += 1
        client.close()

    def _post(self, client: httpx.Client, number: int) -> bool:
        """Say whether the message was acknowledged; otherwise it may or may not be stored."""
        for _ in range(self._tries):
            if self._try_once(client, number):
                self.acknowledged.append(number)
                return True
            if self.enough.wait(PAUSE_S):
                break
        self.unanswered.append(number)
        return False

    def _try_once(self, client: httpx.Client, number: int) -> bool:
        body = {"writer": self.name, "number": number}
        try:
            answer = client.post(
                f"/v2/queues/{self._queue}/messages",
                json={"messages": [{"body": body, "ttl": 3600}]},
                headers={"Idempotency-Key": f"{self.name}-{number}"},
            )
        except httpx.TransportError:
            return False
        self.statuses.add(answer.status_code)
        return answer.status_code == 201


@contextmanager
def writing(
    server: NuskuServer,
    queue: str,
    *,
    writers: int = 3,
    tries: int = 10**9,
    prefix: str = "w",
) -> Iterator[list[Writer]]:
    """Let writers run while the body of the `with` statement does."""
    running = [Writer(server, queue, f"{prefix}{n}", tries=tries) for n in range(writers)]
    for writer in running:
        writer.start()
    try:
        yield running
    finally:
        for writer in running:
            writer.enough.set()
        for writer in running:
            writer.join(60)


def wait_for_more(writers: list[Writer], count: int, *, within_s: float = 30) -> None:
    """Return when each writer has had `count` more messages acknowledged."""
    goals = [len(writer.acknowledged) + count for writer in writers]
    deadline = time.monotonic() + within_s
    while any(len(w.acknowledged) < goal for w, goal in zip(writers, goals, strict=True)):
        assert time.monotonic() < deadline, f"writers are stuck; they saw {_seen(writers)}"
        time.sleep(PAUSE_S)


def _seen(writers: list[Writer]) -> set[int]:
    return set().union(*(writer.statuses for writer in writers))


def pages(
    client: httpx.Client, queue: str, **query: str
) -> Iterator[tuple[list[dict[str, object]], bool]]:
    """Page through a queue by its `next` links; say with each page if it is the last.

    Has no end itself: after the last page the same marker is asked again.
    """
    parameters = "&".join(f"{name}={value}" for name, value in query.items())
    href = f"/v2/queues/{queue}/messages?echo=true&limit=20&{parameters}"
    while True:
        answer = client.get(href)
        answer.raise_for_status()
        page = answer.json()
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        yield page["messages"], not page["messages"] and not following
        href = following[0] if following else href


def everything(client: httpx.Client, queue: str, **query: str) -> list[dict[str, object]]:
    """Return all messages of a queue that does not grow, in order."""
    found: list[dict[str, object]] = []
    for page, is_last in pages(client, queue, **query):
        found += page
        if is_last:
            break
    return found


def claim_of(item: dict[str, object]) -> str | None:
    """Return the id of the claim that a listed message is under."""
    return str(item["href"]).partition("?claim_id=")[2] or None


def assert_exactly_once_in_order(
    bodies: list[dict[str, object]], writers: list[Writer]
) -> None:
    """Check that what each writer had acknowledged is there once, in the order of posting.

    A message that was posted but never acknowledged may be there, too, at the end.
    """
    for writer in writers:
        found = [body["number"] for body in bodies if body["writer"] == writer.name]
        allowed = (writer.acknowledged, writer.acknowledged + writer.unanswered)
        assert found in allowed, _difference(found, writer)


def _difference(found: list[object], writer: Writer) -> str:
    lost = sorted(set(writer.acknowledged) - set(found))
    doubled = [number for number in set(found) if found.count(number) > 1]
    return f"{writer.name} lost {lost}, doubled {doubled}, read in this order: {found}"
