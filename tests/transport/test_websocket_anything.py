"""Whatever is said on a WebSocket, nothing is a 500, and the conversation goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queues.config import Settings
from storage_drivers import open_storage
from tests.clock import MovableClock
from tests.transport.service import CALLER, Service, running
from tests.transport.sockets import Answered, Talk, talking
from tests.transport.test_anything import BOUNDED, ids, names, values
from transport.socket import conversation

ANSWERS = {200, 201, 204, 400, 403, 404, 409}

headers = st.just(CALLER) | st.dictionaries(
    st.sampled_from([*CALLER, "URL-Signature", "URL-Paths", "X-Roles", "x-user-id", "é"]),
    values | st.sampled_from([*CALLER.values(), ["a", "b"]]),
    max_size=3,
)


def bodies(action: str) -> st.SearchStrategy[Any]:
    """Bodies with the right fields, and whatever in them."""
    shape = conversation.ACTIONS[action].shape
    queue = {"queue_name": names | st.just("q")} if "queue_name" in _fields(shape) else {}
    others = {name: values | ids for name in _fields(shape) if name != "queue_name"}
    return st.fixed_dictionaries(queue, optional=others) | values


def _fields(shape: type[Any]) -> tuple[str, ...]:
    fields: tuple[str, ...] = shape.__struct_fields__
    return fields


requests = st.sampled_from([*conversation.ACTIONS, "authenticate"]).flatmap(
    lambda action: st.fixed_dictionaries(
        {"action": st.just(action), "headers": headers},
        optional={"body": values if action == "authenticate" else bodies(action)},
    )
)
frames = st.one_of(
    requests.map(json.dumps),
    values.map(json.dumps),
    st.text(max_size=20),
    st.binary(max_size=30),
    st.binary(max_size=20).map(lambda data: b"\x82\xa6action\xaaqueue_list" + data),
)


class Socket:
    """A socket of a service that runs as long as the test."""

    def __init__(self, loop: asyncio.AbstractEventLoop, service: Service) -> None:
        self._loop = loop
        self._service = service

    def say(self, frame: str | bytes) -> Answered:
        return self._loop.run_until_complete(self._say(frame))

    async def _say(self, frame: str | bytes) -> Answered:
        async with talking(self._service) as talk:
            reply = await _answer(talk, frame)
            # By what was said, the socket may belong to another project.
            assert (await talk.ask("authenticate")).status in (200, 403)
            return reply


async def _answer(talk: Talk, frame: str | bytes) -> Answered:
    if isinstance(frame, str):
        await talk.send_text(frame)
        reply = await talk.heard()
    else:
        await talk.send_data(frame)
        reply = await talk.heard_packed()
    return Answered(reply["headers"]["status"], reply["body"])


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Socket]:
    loop = asyncio.new_event_loop()
    path = tmp_path_factory.mktemp("anything") / "nusku.db"
    storage = open_storage(f"sqlite:///{path}", timeout_ms=5000)
    entered = running(storage, MovableClock(), Settings(sweep_interval_s=3600))
    service = loop.run_until_complete(entered.__aenter__())
    yield Socket(loop, service)
    loop.run_until_complete(entered.__aexit__(None, None, None))
    loop.close()


@BOUNDED
@given(frame=frames)
def test_anything(socket: Socket, frame: str | bytes) -> None:
    answered = socket.say(frame)
    assert answered.status in ANSWERS, answered
