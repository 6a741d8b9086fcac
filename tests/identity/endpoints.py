"""Every endpoint that the policy guards: how to use it, and what that takes."""

from __future__ import annotations

from typing import NamedTuple

from queues import ids
from tests.transport.service import PATCH, Answer, Service

#: What answers anybody, whatever the strategy.
OPEN = {
    ("GET", "/"),
    ("GET", "/v2"),
    ("GET", "/v2/"),
    ("GET", "/v2/openapi.json"),
    ("GET", "/v2/ping"),
    ("HEAD", "/v2/ping"),
    ("GET", "/v2/websocket"),
}

_QUEUE = "/v2/queues/{queue}"
_SIGNAL = "/v2/signals/{signal}"
_SUBSCRIPTIONS = f"{_QUEUE}/subscriptions"
_SUBSCRIPTION = f"{_SUBSCRIPTIONS}/{{subscription_id}}"
_ITEM = {
    "message_id": "0123456789abcdef",
    "claim_id": "0" * 32,
    "cursor": "c1",
    "queue": "q1",
    "subscription_id": "0" * 24,
}
_IDS = {**_ITEM, "share_id": "0" * 32, "token_id": "0" * 32, "signal": "q1"}


class Endpoint(NamedTuple):
    """A method of a route, the rule it asks for, and a request that is right."""

    method: str
    route: str
    rule: str
    query: str = ""
    document: object = ...
    also: frozenset[str] = frozenset()

    @property
    def name(self) -> str | None:
        """The name of the queue or the signal that it is about."""
        return "q1" if {"{queue}", "{signal}"} & {*self.route.split("/")} else None

    @property
    def path(self) -> str:
        return self.route.format(**_IDS)

    @property
    def needs(self) -> frozenset[str]:
        """The rule, and what has to be allowed of what is handed on."""
        return self.also | {self.rule}

    async def call(
        self, service: Service, headers: dict[str, str | None], query: str = ""
    ) -> Answer:
        asked = "&".join(part for part in (self.query, query) if part)
        kind = {"Content-Type": PATCH} if self.rule == "queues:update" else {}
        path = f"{self.path}?{asked}" if asked else self.path
        return await service.call(self.method, path, self.document, headers={**kind, **headers})


_READING = frozenset({"messages:get", "messages:get_all"})

ENDPOINTS = (
    Endpoint("GET", "/v2/queues", "queues:get_all"),
    Endpoint("PUT", _QUEUE, "queues:create"),
    Endpoint("GET", _QUEUE, "queues:get"),
    Endpoint("HEAD", _QUEUE, "queues:get"),
    Endpoint("PATCH", _QUEUE, "queues:update", "", []),
    Endpoint("GET", f"{_QUEUE}/stats", "queues:stats"),
    Endpoint("POST", f"{_QUEUE}/purge", "queues:purge", "", {"resource_types": ["messages"]}),
    Endpoint("POST", f"{_QUEUE}/messages", "messages:create", "", {"messages": [{"body": 1}]}),
    Endpoint(
        "POST",
        "/v1.1/queues/{queue}/messages",
        "messages:create",
        document={"messages": [{"body": 1}]},
    ),
    Endpoint("GET", f"{_QUEUE}/messages", "messages:get_all"),
    Endpoint("DELETE", f"{_QUEUE}/messages", "messages:delete_all", "ids=0123456789abcdef"),
    Endpoint("GET", f"{_QUEUE}/messages/{{message_id}}", "messages:get"),
    Endpoint("DELETE", f"{_QUEUE}/messages/{{message_id}}", "messages:delete"),
    Endpoint("POST", f"{_QUEUE}/claims", "claims:create", "", {"ttl": 60, "grace": 60}),
    Endpoint("GET", f"{_QUEUE}/claims/{{claim_id}}", "claims:get"),
    Endpoint("PATCH", f"{_QUEUE}/claims/{{claim_id}}", "claims:update", "", {"ttl": 60}),
    Endpoint("DELETE", f"{_QUEUE}/claims/{{claim_id}}", "claims:delete"),
    Endpoint("GET", f"{_QUEUE}/cursors", "cursors:get_all"),
    Endpoint("PUT", f"{_QUEUE}/cursors/{{cursor}}", "cursors:create"),
    Endpoint("GET", f"{_QUEUE}/cursors/{{cursor}}", "cursors:get"),
    Endpoint("GET", f"{_QUEUE}/cursors/{{cursor}}/messages", "messages:get_all"),
    Endpoint(
        "POST",
        f"{_QUEUE}/cursors/{{cursor}}/ack",
        "cursors:update",
        document={"position": ids.position(0, 0, ids.queue_tag("p1", "q1"))},
    ),
    Endpoint("DELETE", f"{_QUEUE}/cursors/{{cursor}}", "cursors:delete"),
    Endpoint("GET", f"{_QUEUE}/dead_letters", "dead_letters:get_all"),
    Endpoint(
        "POST",
        f"{_QUEUE}/redrive",
        "redrives:create",
        document={"to": "q1"},
        also=frozenset({"messages:create"}),
    ),
    Endpoint("GET", f"{_QUEUE}/redrive", "redrives:get"),
    Endpoint("DELETE", f"{_QUEUE}/redrive", "redrives:delete"),
    Endpoint("GET", _SUBSCRIPTIONS, "subscription:get_all"),
    Endpoint(
        "POST",
        _SUBSCRIPTIONS,
        "subscription:create",
        document={"subscriber": "http://fake/", "ttl": 60},
    ),
    Endpoint("GET", _SUBSCRIPTION, "subscription:get"),
    Endpoint("PATCH", _SUBSCRIPTION, "subscription:update", "", {"ttl": 60}),
    Endpoint("DELETE", _SUBSCRIPTION, "subscription:delete"),
    Endpoint(
        "PUT", f"{_SUBSCRIPTION}/confirm", "subscription:confirm", "", {"confirmed": True}
    ),
    Endpoint("GET", f"{_SUBSCRIPTION}/deliveries", "subscription:get_deliveries"),
    Endpoint("POST", f"{_SUBSCRIPTION}/replay", "subscription:replay", "", {"state": "failed"}),
    Endpoint("POST", f"{_QUEUE}/share", "queues:share", "", {}, _READING),
    Endpoint("POST", "/v2/shares", "queues:share", "", {"queue": "x1"}, _READING),
    Endpoint("GET", "/v2/shares", "shares:get_all"),
    Endpoint("DELETE", "/v2/shares/{share_id}", "shares:delete"),
    Endpoint(
        "POST",
        "/v2/tokens",
        "tokens:create",
        document={"operations": ["messages:create"], "queues": ["x1"]},
        also=frozenset({"messages:create"}),
    ),
    Endpoint("GET", "/v2/tokens", "tokens:get_all"),
    Endpoint("DELETE", "/v2/tokens/{token_id}", "tokens:delete"),
    Endpoint("GET", "/v2/quota", "quotas:get_own"),
    Endpoint("GET", "/v2/quotas", "quotas:get"),
    Endpoint("PUT", "/v2/quotas", "quotas:update", "project=p9", {"queues": 9}),
    Endpoint("DELETE", "/v2/quotas", "quotas:delete", "project=p9"),
    Endpoint("GET", "/v2/health", "health:get"),
    Endpoint(
        "PUT",
        _SIGNAL,
        "signals:create",
        document={"timeout": 60},
        also=frozenset({"signals:signal"}),
    ),
    Endpoint("GET", _SIGNAL, "signals:get"),
    Endpoint("GET", "/v2/signals", "signals:get_all"),
    Endpoint("PUT", f"{_SIGNAL}/signal", "signals:signal", document={"id": "a"}),
    Endpoint("POST", f"{_SIGNAL}/signal", "signals:signal", document={"id": "a"}),
    Endpoint("DELETE", _SIGNAL, "signals:delete"),
    Endpoint("DELETE", _QUEUE, "queues:delete"),
)

#: What only admins may do when no policy says otherwise.
ADMINS = frozenset({"health:get", "quotas:get", "quotas:update", "quotas:delete"})


def outcome(answer: Answer) -> str:
    """Say how a request ended that is right but for who sends it."""
    if answer.status in (401, 403):
        return {401: "unknown", 403: "forbidden"}[answer.status]
    if answer.status == 404 and (not answer.content or answer.json["title"].startswith("404")):
        return "nothing there"
    assert answer.status in (200, 201, 202, 204, 404, 409), (answer.status, answer.content)
    return "open"
