"""What is sent: each workload is a script of requests that looks at the answers it needs.

A script yields a request and is sent the whole answer. One operation is `steps` requests. A
script that ends has nothing left to work on, and so ends the measurement.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.client import expect
from bench.requests import PREFIX, Requests, hrefs

Script = Generator[bytes, bytes, None]

MIXED_PROJECTS = 20
MIXED_QUEUES = 10

LEASE: Mapping[str, int] = {"ttl": 3600, "grace": 60}


@dataclass
class Scene:
    """What the scripts of one measurement share.

    `stock` holds the addresses of messages that are there. `seed` is one for each session.
    """

    host: str
    queue: str
    body_bytes: int
    stock: deque[bytes] = field(default_factory=deque)
    seeds: itertools.count[int] = field(default_factory=itertools.count)
    headers: str = ""

    @property
    def requests(self) -> Requests:
        """The requests of the one tenant that most workloads have."""
        return Requests(self.host, headers=self.headers)


class Workload(NamedTuple):
    """A workload and what it needs to begin.

    `ceiling` names the bare request that it is compared with. `stock_per_s` is how many
    messages it uses up in a second at the most, `stock` how many it needs besides.
    """

    script: Callable[[Scene], Script]
    ceiling: str
    steps: int = 1
    stock: int = 0
    stock_per_s: int = 0


def _post(count: int) -> Callable[[Scene], Script]:
    def script(scene: Scene) -> Script:
        request = scene.requests.post(scene.queue, count, scene.body_bytes)
        while True:
            expect((yield request), b"201")

    return script


def _claim(limit: int) -> Callable[[Scene], Script]:
    def script(scene: Scene) -> Script:
        request = scene.requests.claim(scene.queue, limit, LEASE)
        while (answer := (yield request))[9:12] != b"204":
            expect(answer, b"201")

    return script


def _list(limit: int) -> Callable[[Scene], Script]:
    def script(scene: Scene) -> Script:
        request = scene.requests.list(scene.queue, limit)
        while True:
            expect((yield request), b"200")

    return script


def _get(scene: Scene) -> Script:
    requests = [scene.requests.get(href) for href in scene.stock]
    random.Random(next(scene.seeds)).shuffle(requests)
    for request in itertools.cycle(requests):
        expect((yield request), b"200")


def _delete(scene: Scene) -> Script:
    requests = scene.requests
    while scene.stock:
        expect((yield requests.delete(scene.stock.popleft())), b"204")


def _cycle(scene: Scene) -> Script:
    requests = scene.requests
    post = requests.post(scene.queue, 1, scene.body_bytes)
    claim = requests.claim(scene.queue, 1, LEASE)
    while True:
        expect((yield post), b"201")
        answer = yield claim
        expect(answer, b"201")
        expect((yield requests.delete(hrefs(answer)[0])), b"204")


def _mixed(scene: Scene) -> Script:
    """Many tenants, many queues: posts above all, then claims and deletes, some listings."""
    chance = random.Random(next(scene.seeds))
    places = [_Place(scene, project) for project in range(MIXED_PROJECTS)]
    held: list[bytes] = []
    while True:
        draw = chance.random()
        if held and draw < 0.35:
            expect((yield held.pop()), b"204")
            continue
        place = chance.choice(places)
        if draw < 0.55:
            answer = yield chance.choice(place.claims)
            if answer[9:12] != b"204":
                expect(answer, b"201")
            held += [place.requests.delete(href) for href in hrefs(answer)]
        elif draw < 0.65:
            expect((yield chance.choice(place.lists)), b"200")
        else:
            expect((yield chance.choice(place.posts)), b"201")


class _Place:
    """The finished requests of one project for its queues."""

    def __init__(self, scene: Scene, project: int) -> None:
        self.requests = Requests(scene.host, project=f"bench-{project}")
        queues = [f"{PREFIX}{number}" for number in range(MIXED_QUEUES)]
        self.posts = [
            self.requests.post(queue, count, scene.body_bytes)
            for queue in queues
            for count in (1, 1, 1, 10)
        ]
        self.claims = [self.requests.claim(queue, 1, LEASE) for queue in queues]
        self.lists = [self.requests.list(queue, 10) for queue in queues]


WORKLOADS: Mapping[str, Workload] = {
    "post-1": Workload(_post(1), "post"),
    "post-10": Workload(_post(10), "post"),
    "claim-10": Workload(_claim(10), "post", stock_per_s=50_000),
    "list-10": Workload(_list(10), "get", stock=1000),
    "get": Workload(_get, "get", stock=1000),
    "delete": Workload(_delete, "get", stock_per_s=12_000),
    "cycle": Workload(_cycle, "post", steps=3),
    "mixed": Workload(_mixed, "post"),
}


def names(chosen: Sequence[str]) -> Sequence[str]:
    """Return the chosen workloads, all when none is."""
    return chosen or list(WORKLOADS)
