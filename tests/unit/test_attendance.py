"""Working for a client while it is there, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import falcon.asgi
import pytest
from falcon import testing

from queues.operations.polls import Patience
from transport.attendance import ClientGone, attended, hurry
from transport.bodies import hold_back


class Client:
    """One request, and who may go away or lose what let it in."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()
        self.is_admitted = True
        scope = testing.create_scope()
        self.req = falcon.asgi.Request(scope, hold_back(scope, self._receive))
        self.req.context.admission = self, None, None

    async def _receive(self) -> dict[str, Any]:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def still_admits(self, *asked: object) -> bool:
        return self.is_admitted


async def test_what_is_found_is_returned() -> None:
    async def work(patience: Patience) -> str:
        assert patience.wait_s == 7
        assert await patience.may_take()
        return "found"

    assert await attended(Client().req, 7, work) == "found"


async def test_who_leaves_ends_the_work_and_may_take_nothing() -> None:
    client, told = Client(), []

    async def work(patience: Patience) -> None:
        client.leaves.set()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            told.append(await patience.may_take())
            raise

    with pytest.raises(ClientGone):
        await attended(client.req, 7, work)
    assert told == [False]


async def test_who_is_not_admitted_any_more_may_take_nothing_and_gets_nothing() -> None:
    client, told = Client(), []

    async def work(patience: Patience) -> str:
        client.is_admitted = False
        told.append(await patience.may_take())
        return "secret"

    with pytest.raises(falcon.HTTPUnauthorized):
        await attended(client.req, 7, work)
    assert told == [False]


async def test_what_goes_wrong_is_what_the_caller_gets() -> None:
    async def work(patience: Patience) -> None:
        raise LookupError("mistake")

    with pytest.raises(LookupError):
        await attended(Client().req, 7, work)


async def test_whoever_was_hurried_before_does_not_wait() -> None:
    client = Client()
    assert not hurry(client.req.scope)

    async def work(patience: Patience) -> float:
        return patience.wait_s

    assert await attended(client.req, 7, work) == 0
    assert hurry(client.req.scope)
