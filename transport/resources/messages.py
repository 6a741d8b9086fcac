"""`/v2/queues/{queue}/messages` and below."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import falcon
import falcon.asgi

from queues.operations import Operations
from queues.operations.messages import MessageOperations, MessageQuery
from transport import audit, headers
from transport.attendance import attended
from transport.event_sources import MessageEvents
from transport.event_streams import EventStreams
from transport.items import OLD_PREFIX, PREFIX
from transport.requests import RequestReader
from transport.responses import ResponseWriter


class _MessageResource:
    """What the resources of this file are made with."""

    def __init__(
        self, messages: MessageOperations, requests: RequestReader, responses: ResponseWriter
    ) -> None:
        self._messages = messages
        self._requests = requests
        self._responses = responses


class OldMessageCollection(_MessageResource):
    """`/v1.1/queues/{queue}/messages`: what agents in old images call, and nothing more."""

    prefix: ClassVar = OLD_PREFIX
    rules: ClassVar = {"POST": "messages:create"}

    async def on_post(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Post messages."""
        caller = req.context.caller
        key = headers.idempotency_key(req)
        posted = await self._requests.messages(req)
        done = await self._messages.post(
            caller.project,
            queue,
            posted.drafts,
            client_id=caller.client_id,
            document_bytes=posted.document_bytes,
            idempotency_key=key,
        )
        if done.made_queue:
            audit.changed(req, "queue.created", queue)
        self._responses.posted(req, resp, queue, done.message_ids, self.prefix)


class MessageCollection(OldMessageCollection):
    """`/v2/queues/{queue}/messages`."""

    prefix: ClassVar = PREFIX
    rules: ClassVar = {
        "POST": "messages:create",
        "GET": "messages:get_all",
        "DELETE": "messages:delete_all",
    }

    streams: ClassVar = True

    def __init__(
        self,
        operations: Operations,
        requests: RequestReader,
        responses: ResponseWriter,
        streams: EventStreams,
    ) -> None:
        """List and pop, at once, taking one's time (`polls`), or on and on (`streams`)."""
        super().__init__(operations.messages, requests, responses)
        self._polls = operations.polls
        self._following = operations.following
        self._streams = streams

    async def on_get(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """List messages, or get those with the given ids."""
        message_ids = self._requests.message_ids(req)
        if message_ids is None:
            await self._list(req, resp, queue)
        else:
            project = req.context.caller.project
            found = await self._messages.get_many(project, queue, message_ids)
            self._responses.messages(req, resp, queue, found)

    async def _list(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        (project, client_id, _), wait_s = req.context.caller, self._requests.wait_s(req)
        query = self._requests.message_query(req)
        if getattr(req.context, "streams", False):
            await self._stream(req, resp, queue, query)
            return
        if wait_s:
            listing = partial(self._polls.list, project, queue, query, client_id=client_id)
            page = await attended(req, wait_s, listing)
        else:
            page = await self._messages.list(project, queue, query, client_id=client_id)
        self._responses.message_page(req, resp, queue, page)

    async def _stream(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        query: MessageQuery,
    ) -> None:
        project, after_seq = req.context.caller.project, 0
        if marker := headers.last_event_id(req) or query.marker:
            after_seq = await self._following.start(project, queue, marker)
        source = MessageEvents(self._following, self._responses, req, queue, query, after_seq)
        await self._streams.answer(req, resp, queue, source)

    async def on_delete(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str
    ) -> None:
        """Pop messages, or delete those with the given ids."""
        limit = self._requests.pop(req)
        if limit is not None:
            await self._pop(req, resp, queue, limit)
            return
        project = req.context.caller.project
        message_ids = self._requests.message_ids(req) or ()
        claim_ids = self._requests.claim_ids(req)
        await self._messages.delete_many(project, queue, message_ids, claim_ids=claim_ids)
        resp.status = falcon.HTTP_204

    async def _pop(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, queue: str, limit: int
    ) -> None:
        project, wait_s = req.context.caller.project, self._requests.wait_s(req)
        if wait_s:
            popping = partial(self._polls.pop, project, queue, limit)
            popped = await attended(req, wait_s, popping)
        else:
            popped = await self._messages.pop(project, queue, limit=limit)
        self._responses.popped(req, resp, popped)


class MessageItem(_MessageResource):
    """`/v2/queues/{queue}/messages/{message_id}`."""

    rules: ClassVar = {"GET": "messages:get", "DELETE": "messages:delete"}

    async def on_get(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        message_id: str,
    ) -> None:
        """Get one message, whatever its state."""
        found = await self._messages.get_many(req.context.caller.project, queue, [message_id])
        self._responses.message(req, resp, queue, found)

    async def on_delete(
        self,
        req: falcon.asgi.Request,
        resp: falcon.asgi.Response,
        queue: str,
        message_id: str,
    ) -> None:
        """Delete one message, under its claim if it is claimed."""
        claim_id = self._requests.claim_id(req)
        project = req.context.caller.project
        await self._messages.delete(project, queue, message_id, claim_id=claim_id)
        resp.status = falcon.HTTP_204
