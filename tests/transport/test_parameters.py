"""Query strings: how values are read, and what is refused."""

from __future__ import annotations

import pytest

from tests.transport.service import Service

BAD_PARAMETER = (400, "Invalid parameter")
OUT_OF_RANGE = (400, "Invalid API request")
MESSAGES = "/v2/queues/q/messages"

TRUE = ["true", "True", "t", "yes", "y", "1", "on"]
FALSE = ["false", "False", "f", "no", "n", "0", "off", ""]


@pytest.mark.parametrize("text", TRUE)
async def test_this_is_true(service: Service, text: str) -> None:
    await service.post_bodies("q", 1)
    assert await service.bodies("q", f"echo={text}") == [1]


@pytest.mark.parametrize("text", FALSE)
async def test_this_is_false(service: Service, text: str) -> None:
    await service.post_bodies("q", 1)
    assert await service.bodies("q", f"echo={text}") == []


FLAGS = {
    "/v2/queues": ["detailed", "with_count"],
    MESSAGES: ["echo", "include_claimed", "include_delayed", "detailed"],
}


@pytest.mark.parametrize("text", ["TRUE", "None", "2", "%20", "truE", "null"])
async def test_any_other_flag_is_refused_by_name(service: Service, text: str) -> None:
    for path, names in FLAGS.items():
        for name in names:
            answer = await service.get(f"{path}?{name}={text}")
            assert answer.error == BAD_PARAMETER
            assert f'"{name}"' in answer.json["description"]


COUNTS = {
    "GET /v2/queues": "limit",
    f"GET {MESSAGES}": "limit",
    f"DELETE {MESSAGES}": "pop",
    "POST /v2/queues/q/claims": "limit",
}
NUMBERS = {
    "1": None,
    "20": None,
    "%2B5": None,
    "1_0": None,
    "0": OUT_OF_RANGE,
    "-1": OUT_OF_RANGE,
    "21": OUT_OF_RANGE,
    "9" * 30: OUT_OF_RANGE,
    "9" * 5000: BAD_PARAMETER,
    "ten": BAD_PARAMETER,
    "1.0": BAD_PARAMETER,
    "1e1": BAD_PARAMETER,
    "0x10": BAD_PARAMETER,
    "%20": BAD_PARAMETER,
    "%00": BAD_PARAMETER,
    "true": BAD_PARAMETER,
    "%FF": BAD_PARAMETER,
}


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:20])
@pytest.mark.parametrize("call", COUNTS)
async def test_a_count_is_an_integer_in_range(service: Service, call: str, number: str) -> None:
    method, path = call.split()
    before = await service.state()
    answer = await service.call(method, f"{path}?{COUNTS[call]}={number}")
    if error := NUMBERS[number]:
        assert answer.error == error
        assert COUNTS[call] in answer.json["description"]
    else:
        assert answer.status in {200, 204}
    assert await service.state() == before


WAITING = [f"GET {MESSAGES}?", f"DELETE {MESSAGES}?pop=1&", "POST /v2/queues/q/claims?"]
WAITS = {
    "0": None,
    "": None,
    "-1": OUT_OF_RANGE,
    "61": OUT_OF_RANGE,
    "9" * 30: OUT_OF_RANGE,
    "ten": BAD_PARAMETER,
    "1.5": BAD_PARAMETER,
    "%FF": BAD_PARAMETER,
}


@pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait[:20])
@pytest.mark.parametrize("call", WAITING)
async def test_a_wait_is_a_number_of_seconds_in_range(
    service: Service, call: str, wait: str
) -> None:
    method, path = call.split()
    answer = await service.call(method, f"{path}wait={wait}")
    if error := WAITS[wait]:
        assert answer.error == error
        assert "wait" in answer.json["description"]
    else:
        assert answer.status in {200, 204}


async def test_there_is_no_waiting_for_messages_with_ids(service: Service) -> None:
    ids = await service.post_bodies("q", 1)
    for method in ("GET", "DELETE"):
        answer = await service.call(method, f"{MESSAGES}?ids={ids[0]}&wait=1")
        assert answer.error == OUT_OF_RANGE
    assert await service.bodies("q") == [1]


async def test_without_a_number_a_page_has_10(service: Service) -> None:
    await service.post_bodies("q", *range(25))
    for query in ("echo=1", "echo=1&limit="):
        assert await service.bodies("q", query) == list(range(10))
    claimed = await service.post("/v2/queues/q/claims?limit=")
    assert len(claimed.json["messages"]) == 10


async def test_of_a_repeated_number_or_flag_the_last_counts(service: Service) -> None:
    await service.post_bodies("q", *range(5))
    assert await service.bodies("q", "echo=0&echo=1&limit=99&limit=3") == [0, 1, 2]


async def test_unknown_parameters_are_ignored(service: Service) -> None:
    await service.post_bodies("q", 1)
    assert await service.bodies("q", "echo=1&nonsense=1&%00=%FF&=x&&&") == [1]


SPELLINGS = {
    "commas": "ids={0},{1},{2}",
    "repetition": "ids={0}&ids={1}&ids={2}",
    "both": "ids={0},{1}&ids={2}",
    "encoded commas": "ids={0}%2C{1}%2c{2}",
    "empty elements": "ids=,{0},,{1}&ids=&ids={2},",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
async def test_ids_are_separated_by_commas_or_repeated(service: Service, spelling: str) -> None:
    ids = await service.post_bodies("q", 0, 1, 2, 3)
    got = await service.get(f"{MESSAGES}?{spelling.format(*ids)}")
    assert [message["body"] for message in got.json["messages"]] == [0, 1, 2]
    deleted = await service.delete(f"{MESSAGES}?{spelling.format(*ids)}")
    assert deleted.status == 204
    assert await service.bodies("q") == [3]


async def test_ids_without_a_value_are_as_good_as_absent(service: Service) -> None:
    await service.post_bodies("q", 1)
    assert await service.bodies("q", "ids=&echo=1") == [1]
    assert (await service.delete(f"{MESSAGES}?ids=")).error == OUT_OF_RANGE
    assert (await service.delete(f"{MESSAGES}?ids=&pop=1")).status == 200


async def test_a_list_of_no_ids_or_of_too_many_is_refused(service: Service) -> None:
    ids = await service.post_bodies("q", *range(21))
    for query in ("ids=,", "ids=" + ",".join(ids), "ids=" + "&ids=".join(ids)):
        for method in ("GET", "DELETE"):
            answer = await service.call(method, f"{MESSAGES}?{query}")
            assert answer.error == OUT_OF_RANGE
            assert "ids" in answer.json["description"]
    twenty = ",".join(ids[:20])
    assert len((await service.get(f"{MESSAGES}?ids={twenty}")).json["messages"]) == 20
    assert len(await service.bodies("q")) == 20


@pytest.mark.parametrize("query", ["", "?", "?ids=a&pop=1", "?ids=,&pop=1", "?limit=1"])
async def test_a_bulk_delete_names_either_ids_or_a_number(service: Service, query: str) -> None:
    await service.post_bodies("q", 1)
    assert (await service.delete(f"{MESSAGES}{query}")).error == OUT_OF_RANGE
    assert await service.bodies("q") == [1]
