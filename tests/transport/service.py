"""The service in process: real operations on a real SQLite file, called like over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from falcon import testing

from queues.config import Settings
from queues.storage import Storage
from tests.clock import MovableClock
from transport.composition import application

CLIENT = "3381af92-2b9e-11e3-b191-71861300734c"
OTHER_CLIENT = "9f2c1c3e-7a43-4a39-8d6c-0a5d0c0f1f11"
JSON = "application/json"
MSGPACK = "application/msgpack"
PATCH = "application/openstack-messaging-v2.0-json-patch"
CALLER = {"Client-ID": CLIENT, "X-Project-ID": "p1"}
REQUEST_ID = "x-openstack-request-id"


class Answer:
    """What came back."""

    def __init__(self, result: testing.Result | httpx.Response) -> None:
        self.status = result.status_code
        self.headers = result.headers
        self.content = result.content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def msgpack(self) -> Any:
        return msgspec.msgpack.decode(self.content)

    @property
    def error(self) -> tuple[int, str]:
        """Status and title, after a look at the rest of the error's shape."""
        assert self.headers["content-type"] == JSON
        assert self.headers["vary"] == "Accept"
        assert self.headers[REQUEST_ID].startswith("req-")
        document = self.json
        assert {"title", "description"} <= set(document) <= {"title", "description", "code"}
        assert all(isinstance(value, str) and value for value in document.values())
        return self.status, document["title"]

    @property
    def next_href(self) -> str:
        (link,) = self.json["links"]
        assert set(link) == {"rel", "href"}
        assert link["rel"] == "next"
        assert link["href"].startswith("/v2/queues")
        href: str = link["href"]
        return href


class Service:
    """One running application, its clock and its store."""

    def __init__(self, conductor: testing.ASGIConductor, clock: MovableClock) -> None:
        self.conductor = conductor
        self.clock = clock

    async def call(
        self,
        method: str,
        path: str,
        document: object = ...,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """Send a request with the headers of a caller; None among `headers` leaves one out."""
        sent = {**CALLER, **(headers or {})}
        body = data if document is ... else json.dumps(document).encode()
        result = await self.conductor.simulate_request(
            method,
            path,
            headers={name: value for name, value in sent.items() if value is not None},
            body=body,
        )
        return Answer(result)

    async def wait(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request like a client that stays on the line until it is answered."""
        line = httpx.ASGITransport(self.conductor.app)
        async with httpx.AsyncClient(transport=line, base_url="http://test") as client:
            sent = {**CALLER, **(headers or {})}
            return Answer(await client.request(method, path, headers=sent))

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def put(self, path: str, document: object = ..., **options: Any) -> Answer:
        return await self.call("PUT", path, document, **options)

    async def post(self, path: str, document: object = ..., **options: Any) -> Answer:
        return await self.call("POST", path, document, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.call("DELETE", path, **options)

    async def patch(self, path: str, document: object = ..., **options: Any) -> Answer:
        return await self.call("PATCH", path, document, **options)

    async def patch_queue(self, queue: str, *changes: object) -> Answer:
        path, headers = f"/v2/queues/{queue}", {"Content-Type": PATCH}
        return await self.patch(path, list(changes), headers=headers)

    async def post_bodies(self, queue: str, *bodies: object, **fields: object) -> list[str]:
        """Post a message for each body and return the ids."""
        messages = [{"body": body, **fields} for body in bodies]
        answer = await self.post(f"/v2/queues/{queue}/messages", {"messages": messages})
        assert answer.status == 201, answer.content
        return [href.rpartition("/")[2] for href in answer.json["resources"]]

    async def claim(self, queue: str, document: object = ..., *, limit: int = 10) -> str:
        """Claim messages and return the id of the claim."""
        answer = await self.post(f"/v2/queues/{queue}/claims?limit={limit}", document)
        assert answer.status == 201, answer.content
        claim_id: str = answer.headers["location"].rpartition("/")[2]
        return claim_id

    async def bodies(self, queue: str, query: str = "echo=true&limit=20") -> list[object]:
        """Return the bodies on one page of a listing."""
        answer = await self.get(f"/v2/queues/{queue}/messages?{query}")
        assert answer.status == 200, answer.content
        return [message["body"] for message in answer.json["messages"]]

    async def state(self) -> object:
        """Return all that the project holds, to see whether a request changed anything."""
        page = await self.get("/v2/queues?detailed=true&with_count=true&limit=20")
        queues = page.json
        for queue in queues["queues"]:
            path = f"/v2/queues/{queue['name']}"
            listing = "messages?echo=true&include_claimed=true&include_delayed=true&limit=20"
            queue["stats"] = (await self.get(f"{path}/stats")).json
            queue["listing"] = (await self.get(f"{path}/{listing}&detailed=true")).json
        return queues


@asynccontextmanager
async def running(
    storage: Storage, clock: MovableClock, settings: Settings
) -> AsyncIterator[Service]:
    """Run the application on `storage`, from the startup of its lifespan to the shutdown."""
    app = application(settings, storage, clock)
    async with testing.ASGIConductor(app) as conductor:
        yield Service(conductor, clock)
