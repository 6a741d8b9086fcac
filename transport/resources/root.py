"""What the service says of itself: versions, home document, API description."""

from __future__ import annotations

from importlib import resources
from typing import Any

import falcon
import falcon.asgi
import msgspec

from transport.audience import Audience
from transport.items import PREFIX

_VERSIONS = {
    "versions": [
        {
            "id": "2",
            "status": "CURRENT",
            "updated": "2014-9-24T04:06:47Z",
            "media-types": [
                {
                    "base": "application/json",
                    "type": "application/vnd.openstack.messaging-v2+json",
                }
            ],
            "links": [{"href": "/v2/", "rel": "self"}],
        }
    ]
}

_SUBSCRIPTIONS = "/queues/{queue_name}/subscriptions"
_SUBSCRIPTION = f"{_SUBSCRIPTIONS}/{{subscription_id}}"

_LISTED = "{?marker,limit,echo,include_claimed,include_delayed,wait}"

#: rel -> (path with its query template, methods). What Zaqar has bears its names.
_HOME: dict[str, tuple[str, tuple[str, ...]]] = {
    "rel/queues": ("/queues{?marker,limit,detailed,name,with_count}", ("GET",)),
    "rel/queue": ("/queues/{queue_name}", ("GET", "HEAD", "PUT", "DELETE", "PATCH")),
    "rel/queue_stats": ("/queues/{queue_name}/stats", ("GET",)),
    "rel/queue_purge": ("/queues/{queue_name}/purge", ("POST",)),
    "rel/messages": (f"/queues/{{queue_name}}/messages{_LISTED}", ("GET",)),
    "rel/post_messages": ("/queues/{queue_name}/messages", ("POST",)),
    "rel/messages_delete": ("/queues/{queue_name}/messages{?ids,pop,wait}", ("DELETE",)),
    "rel/message_get": ("/queues/{queue_name}/messages/{message_id}", ("GET",)),
    "rel/message_delete": (
        "/queues/{queue_name}/messages/{message_id}{?claim_id}",
        ("DELETE",),
    ),
    "rel/claim": ("/queues/{queue_name}/claims/{claim_id}", ("GET",)),
    "rel/post_claim": ("/queues/{queue_name}/claims{?limit,wait}", ("POST",)),
    "rel/patch_claim": ("/queues/{queue_name}/claims/{claim_id}", ("PATCH",)),
    "rel/delete_claim": ("/queues/{queue_name}/claims/{claim_id}", ("DELETE",)),
    "rel/cursors": ("/queues/{queue_name}/cursors{?marker,limit}", ("GET",)),
    "rel/cursor": ("/queues/{queue_name}/cursors/{cursor}", ("PUT", "GET", "DELETE")),
    "rel/cursor_messages": (
        "/queues/{queue_name}/cursors/{cursor}/messages{?after,limit,wait}",
        ("GET",),
    ),
    "rel/cursor_ack": ("/queues/{queue_name}/cursors/{cursor}/ack", ("POST",)),
    "rel/subscriptions_get": (f"{_SUBSCRIPTIONS}{{?marker,limit}}", ("GET",)),
    "rel/subscriptions_post": (_SUBSCRIPTIONS, ("POST",)),
    "rel/subscription": (_SUBSCRIPTION, ("GET", "DELETE")),
    "rel/subscription_patch": (_SUBSCRIPTION, ("PATCH",)),
    "rel/subscription_confirm": (f"{_SUBSCRIPTION}/confirm", ("PUT",)),
    "rel/deliveries": (f"{_SUBSCRIPTION}/deliveries{{?marker,limit,state}}", ("GET",)),
    "rel/replay": (f"{_SUBSCRIPTION}/replay", ("POST",)),
    "rel/dead_letters": ("/queues/{queue_name}/dead_letters{?marker,limit}", ("GET",)),
    "rel/redrive": ("/queues/{queue_name}/redrive", ("GET", "POST", "DELETE")),
    "rel/signals": ("/signals{?marker,limit,state,prefix}", ("GET",)),
    "rel/signal": ("/signals/{signal_name}{?wait,marker,limit}", ("GET", "PUT", "DELETE")),
    "rel/post_signal": ("/signals/{signal_name}/signal", ("PUT", "POST")),
    "rel/queue_share": ("/queues/{queue_name}/share", ("POST",)),
    "rel/shares": ("/shares{?marker,limit}", ("GET", "POST")),
    "rel/share": ("/shares/{share_id}", ("DELETE",)),
    "rel/tokens": ("/tokens{?marker,limit}", ("GET", "POST")),
    "rel/token": ("/tokens/{token_id}", ("DELETE",)),
    "rel/quota": ("/quota", ("GET",)),
    "rel/quotas": ("/quotas{?project,marker,limit}", ("GET", "PUT", "DELETE")),
    "rel/ping": ("/ping", ("GET", "HEAD")),
    "rel/health": ("/health", ("GET",)),
}


class Versions:
    """`/`: the versions of the API, for anybody."""

    audience = Audience.ANYBODY

    def __init__(self) -> None:
        """Render the answer, which never changes."""
        self._body = msgspec.json.encode(_VERSIONS)

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer 300 with the one version, as Zaqar does."""
        resp.status = falcon.HTTP_300
        resp.data = self._body


class Home:
    """`/v2/`: the home document (draft-nottingham-json-home-03)."""

    audience = Audience.WATCHERS

    def __init__(self) -> None:
        """Render the answer, which never changes."""
        document = {name: _home_entry(path, allow) for name, (path, allow) in _HOME.items()}
        self._body = msgspec.json.encode({"resources": document})

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer with what there is and how to call it."""
        resp.content_type = "application/json-home"
        resp.cache_control = ["max-age=86400"]
        resp.data = self._body


class Description:
    """`/v2/openapi.json`: the OpenAPI 3.1 description of the service."""

    audience = Audience.ANYBODY

    def __init__(self) -> None:
        """Read the description that comes with the package."""
        self._body = resources.files("transport").joinpath("openapi.json").read_bytes()

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer with the description."""
        resp.data = self._body


def _home_entry(path: str, allow: tuple[str, ...]) -> dict[str, Any]:
    path, _, query = path.partition("{?")
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    names += query.rstrip("}").split(",") if query else []
    hints: dict[str, Any] = {"allow": list(allow), "formats": {"application/json": {}}}
    for method in ("POST", "PATCH"):
        if method in allow:
            hints[f"accept-{method.lower()}"] = ["application/json"]
    return {
        "href-template": f"{PREFIX}{path}" + (f"{{?{query}" if query else ""),
        "href-vars": {name: f"param/{name}" for name in names},
        "hints": hints,
    }
