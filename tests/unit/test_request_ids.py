"""Ids of requests: none is made twice, whoever makes it."""

from __future__ import annotations

import multiprocessing
import re
import uuid
from multiprocessing.connection import Connection

from falcon import testing

from transport.request_ids import request_id

COUNT = 300


def ids() -> list[str]:
    requests = [testing.create_asgi_req() for _ in range(COUNT)]
    return [request_id(req) for req in requests]


def _send_ids(sender: Connection) -> None:
    sender.send(ids())


def test_each_is_a_uuid_of_its_own() -> None:
    made = ids()
    assert len(set(made)) == COUNT
    for text in made:
        assert re.fullmatch(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
        assert uuid.UUID(text[4:]).version == 4


def test_a_request_keeps_its_id() -> None:
    req = testing.create_asgi_req()
    assert request_id(req) == request_id(req)


def test_processes_that_are_forked_off_one_another_make_different_ones() -> None:
    fork = multiprocessing.get_context("fork")
    made = ids()
    for _ in range(2):
        receiver, sender = fork.Pipe(duplex=False)
        worker = fork.Process(target=_send_ids, args=(sender,))
        worker.start()
        made += receiver.recv()
        worker.join()
    made += ids()
    assert len(set(made)) == 4 * COUNT
