"""Subscriptions over HTTP: Zaqar's shapes, its bugs mended, and what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from queues import webhook_signatures
from queues.subscriptions import END_OF_TIME_S
from tests.transport.service import Service

PATH = "/v2/queues/q/subscriptions"
HOOK = "http://fake:8080/hook"
#: What Heat asks for when nobody says anything.
HEATS_TTL_S = 220_367_260_800
SECRET = webhook_signatures.new_secret()


async def subscribe(service: Service, subscriber: str = HOOK, **fields: Any) -> str:
    answer = await service.post(PATH, {"subscriber": subscriber, **fields})
    assert answer.status == 201, answer.content
    made: str = answer.json["subscription_id"]
    return made


async def shown(service: Service, subscription_id: str) -> Any:
    answer = await service.get(f"{PATH}/{subscription_id}")
    assert answer.status == 200, answer.content
    return answer.json


async def listed(service: Service, query: str = "limit=20") -> list[Any]:
    subscriptions: list[Any] = (await service.get(f"{PATH}?{query}")).json["subscriptions"]
    return subscriptions


async def test_a_subscription_is_created_and_shown_as_zaqar_does(service: Service) -> None:
    answer = await service.post(PATH, {"subscriber": HOOK, "ttl": 600, "options": {"a": 1}})
    assert answer.status == 201
    assert answer.headers["location"] == PATH
    assert set(answer.json) == {"subscription_id", "secret"}
    subscription_id = answer.json["subscription_id"]
    service.clock.advance(s=7)
    assert await shown(service, subscription_id) == {
        "id": subscription_id,
        "source": "q",
        "subscriber": HOOK,
        "ttl": 600,
        "age": 7,
        "options": {"a": 1},
        "confirmed": False,
        "state": "new",
    }
    assert await listed(service) == [await shown(service, subscription_id)]


async def test_what_is_left_out_or_null_has_its_default(service: Service) -> None:
    for number, fields in enumerate(({}, {"ttl": None, "options": None})):
        made = await subscribe(service, f"{HOOK}/{number}", **fields)
        assert {"ttl": 3600, "options": {}}.items() <= (await shown(service, made)).items()


@pytest.mark.parametrize("ttl", [60, HEATS_TTL_S])
async def test_a_subscription_lives_as_long_as_it_asks_for(service: Service, ttl: int) -> None:
    made = await subscribe(service, ttl=ttl)
    service.clock.advance(s=ttl - 1)
    assert (await shown(service, made))["age"] == ttl - 1
    service.clock.advance(s=1)
    assert (await service.get(f"{PATH}/{made}")).error == (404, "Not found")
    assert await listed(service) == []
    assert await subscribe(service)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({}, "Missing parameter"),
        ({"subscriber": None}, "Missing parameter"),
        ({"subscriber": 5}, "string"),
        ({"subscriber": "ftp://x/"}, "must be supported in the list"),
        ({"subscriber": "fake"}, "must be supported in the list"),
        ({"subscriber": "http://"}, "host"),
        ({"subscriber": "http://a b/"}, "visible"),
        ({"subscriber": "http://me:secret@host/"}, "user name"),
        ({"subscriber": "http://host:25/"}, "port 25"),
        ({"subscriber": "http://host:99999/"}, "valid URL"),
        ({"subscriber": "http://[::1/"}, "valid URL"),
        ({"subscriber": "mailto:nobody"}, "mail address"),
        ({"subscriber": "mailto:a@b.c%0d%0aBcc:x@y.z"}, "mail address"),
        ({"subscriber": "mailto:a@b.c?subject=x%0d%0aBcc:%20x@y.z"}, "one line"),
        ({"subscriber": "trust+http://host/"}, "keystone"),
        ({"subscriber": HOOK, "ttl": "60"}, "must be an integer"),
        ({"subscriber": HOOK, "ttl": True}, "must be an integer"),
        ({"subscriber": HOOK, "ttl": 0}, "ttl must be between 60"),
        ({"subscriber": HOOK, "ttl": 59}, "ttl must be between 60"),
        ({"subscriber": HOOK, "ttl": END_OF_TIME_S}, "ttl must be between 60"),
        ({"subscriber": HOOK, "options": []}, "must be a dict"),
        ({"subscriber": HOOK, "options": {"post_data": {}}}, "options.post_data"),
        ({"subscriber": HOOK, "options": {"post_headers": {"a b": "c"}}}, "name of a header"),
        ({"subscriber": HOOK, "options": {"post_headers": {"A": "b\r\nC: d"}}}, "one line"),
        ({"subscriber": HOOK, "options": {"post_headers": {"Host": "b"}}}, "by the service"),
        ({"subscriber": HOOK, "options": {"post_headers": {"a": 1}}}, "one line"),
        ({"subscriber": HOOK, "options": {"post_headers": {"a": " b"}}}, "blanks around"),
        ({"subscriber": HOOK, "options": {"post_headers": {"a": "b\t"}}}, "blanks around"),
        ({"subscriber": HOOK, "options": {"post_data": '"$zaqar_message$"' * 5}}, "4 times"),
        ({"subscriber": HOOK, "options": {"from": "a\nb"}}, "options.from"),
        ({"subscriber": HOOK, "options": {"_retry_policy": 5}}, "_retry_policy"),
        ({"subscriber": HOOK, "options": {"_ordered": 1}}, "_ordered"),
        ({"subscriber": HOOK, "options": {"_format": "xml"}}, "_format"),
        ({"subscriber": HOOK, "options": {"_filter": {"header": {}}}}, "_filter"),
        ({"subscriber": HOOK, "options": {"_secrets": ["abc"]}}, "_secrets"),
        (
            {"subscriber": HOOK, "options": {"_format": "cloudevents", "post_data": "x"}},
            "no place",
        ),
    ],
)
async def test_what_is_wrong_is_refused_and_creates_no_queue(
    service: Service, document: object, text: str
) -> None:
    answer = await service.post(PATH, document)
    assert answer.error == (400, "Invalid API request")
    assert text in answer.json["description"]
    assert (await service.call("HEAD", "/v2/queues/q")).status == 404


async def test_a_body_that_is_no_object_is_refused(service: Service) -> None:
    for method, path in (("POST", PATH), ("PATCH", f"{PATH}/x"), ("PUT", f"{PATH}/x/confirm")):
        answer = await service.call(method, path, [])
        assert answer.error == (400, "Invalid request body")
        assert answer.json["description"] == "Subscriptions must be a dict."
    assert (await service.post(PATH, data=b"{")).error == (400, "Invalid request body")
    assert (await service.call("HEAD", "/v2/queues/q")).status == 404


async def test_the_queue_is_created_with_its_first_subscription(service: Service) -> None:
    await subscribe(service)
    assert (await service.call("HEAD", "/v2/queues/q")).status == 200


async def test_an_address_has_one_subscription_and_keeps_it_as_it_is(
    service: Service,
) -> None:
    made = await subscribe(service, ttl=600)
    again = await service.post(PATH, {"subscriber": HOOK, "ttl": 60, "options": {"a": 1}})
    assert (again.status, again.json) == (201, {"subscription_id": made})
    assert (await shown(service, made))["options"] == {}
    assert (await service.put(f"{PATH}/{made}/confirm", {"confirmed": True})).status == 204
    conflict = await service.post(PATH, {"subscriber": HOOK})
    assert conflict.error == (409, "Resource conflict")
    assert conflict.headers["location"] == PATH
    assert await subscribe(service, f"{HOOK}/other") != made


async def test_of_many_who_subscribe_the_same_address_all_get_one(service: Service) -> None:
    made = await asyncio.gather(*(subscribe(service) for _ in range(20)))
    assert len(set(made)) == 1
    assert len(await listed(service)) == 1


async def test_the_same_address_may_listen_to_other_queues_and_projects(
    service: Service,
) -> None:
    made = await subscribe(service)
    for path, headers in ((PATH, {"X-Project-ID": "p2"}), ("/v2/queues/r/subscriptions", {})):
        answer = await service.post(path, {"subscriber": HOOK}, headers=headers)
        assert answer.json["subscription_id"] != made
        elsewhere = await service.get(f"{path}/{made}", headers=headers)
        assert elsewhere.error == (404, "Not found")


async def test_pages_follow_one_another_and_end(service: Service) -> None:
    made = sorted([await subscribe(service, f"{HOOK}/{n}") for n in range(25)])
    first = await service.get(PATH)
    assert [item["id"] for item in first.json["subscriptions"]] == made[:10]
    second = await service.get(first.next_href + "&limit=20")
    assert [item["id"] for item in second.json["subscriptions"]] == made[10:]
    last = await service.get(second.next_href)
    assert last.json == {"subscriptions": [], "links": []}
    for limit in ("0", "21"):
        answer = await service.get(f"{PATH}?limit={limit}")
        assert answer.error == (400, "Invalid API request")
    empty = await service.get("/v2/queues/none/subscriptions")
    assert empty.json == {"subscriptions": [], "links": []}


async def test_a_patch_changes_what_it_names(service: Service) -> None:
    made = await subscribe(service, ttl=600, options={"a": 1})
    service.clock.advance(s=100)
    path = f"{PATH}/{made}"
    answer = await service.patch(path, {"subscriber": None, "ttl": None, "options": {}})
    assert (answer.status, answer.headers["location"]) == (204, path)
    now = await shown(service, made)
    assert (now["options"], now["ttl"], now["age"]) == ({}, 600, 100)
    await service.patch(path, {"ttl": 60, "unknown": 1})
    now = await shown(service, made)
    assert (now["ttl"], now["age"], now["subscriber"]) == (60, 0, HOOK)
    await service.patch(path, {"ttl": HEATS_TTL_S})
    service.clock.advance(s=HEATS_TTL_S - 1)
    assert (await shown(service, made))["age"] == HEATS_TTL_S - 1
    again = await service.post(PATH, {"subscriber": HOOK})
    assert again.json["subscription_id"] == made


@pytest.mark.parametrize(
    "document", [{}, {"ttl": None}, {"unknown": 1}, {"ttl": 1}, {"options": 1}]
)
async def test_a_patch_that_changes_nothing_or_is_wrong_is_refused(
    service: Service, document: object
) -> None:
    made = await subscribe(service)
    before = await shown(service, made)
    assert (await service.patch(f"{PATH}/{made}", document)).error[0] == 400
    assert (await service.patch(f"{PATH}/{made}")).error == (400, "Invalid API request")
    assert await shown(service, made) == before


async def test_another_address_has_to_be_confirmed_anew(service: Service) -> None:
    made = await subscribe(service)
    await service.put(f"{PATH}/{made}/confirm", {"confirmed": True})
    assert (await shown(service, made))["confirmed"] is True
    await service.patch(f"{PATH}/{made}", {"subscriber": HOOK})
    assert (await shown(service, made))["confirmed"] is True
    await service.patch(f"{PATH}/{made}", {"subscriber": f"{HOOK}/new"})
    now = await shown(service, made)
    assert (now["subscriber"], now["confirmed"]) == (f"{HOOK}/new", False)
    assert await subscribe(service) != made, "the old address is free"
    assert await subscribe(service, f"{HOOK}/new") == made


async def test_an_address_that_another_subscription_has_cannot_be_taken(
    service: Service,
) -> None:
    one, other = await subscribe(service), await subscribe(service, f"{HOOK}/other")
    answer = await service.patch(f"{PATH}/{one}", {"subscriber": f"{HOOK}/other", "ttl": 99})
    assert answer.error == (409, "Resource conflict")
    assert (await shown(service, one))["ttl"] == 3600
    assert (await shown(service, other))["subscriber"] == f"{HOOK}/other"


async def test_confirming_says_yes_or_no_and_nothing_else(service: Service) -> None:
    made = await subscribe(service)
    path = f"{PATH}/{made}/confirm"
    for confirmed, state in ((True, "confirmed"), (False, "unsubscribed")):
        answer = await service.put(path, {"confirmed": confirmed})
        assert (answer.status, answer.headers["location"]) == (204, path)
        now = await shown(service, made)
        assert (now["confirmed"], now["state"]) == (confirmed, state)
    for document in ({}, {"confirmed": "yes"}, {"confirmed": 1}, {"confirmed": None}):
        answer = await service.put(path, document)
        assert answer.error == (400, "Invalid API request")
        assert answer.json["description"] == "The 'confirmed' should be boolean."


async def test_an_unknown_subscription_is_not_found_and_may_be_deleted(
    service: Service,
) -> None:
    for call in (
        service.get(f"{PATH}/x"),
        service.patch(f"{PATH}/x", {"ttl": 60}),
        service.put(f"{PATH}/x/confirm", {"confirmed": True}),
        service.get(f"{PATH}/x/deliveries"),
        service.post(f"{PATH}/x/replay", {"state": "failed"}),
    ):
        assert (await call).error == (404, "Not found")
    assert (await service.delete(f"{PATH}/x")).status == 204
    assert (await service.get(f"{PATH}/")).status == 404


async def test_what_is_deleted_is_gone_and_its_address_free(service: Service) -> None:
    made = await subscribe(service)
    for _ in range(2):
        assert (await service.delete(f"{PATH}/{made}")).status == 204
    assert await listed(service) == []
    assert await subscribe(service) != made


async def test_subscriptions_stay_when_the_queue_is_deleted(service: Service) -> None:
    made = await subscribe(service)
    await service.delete("/v2/queues/q")
    assert [item["id"] for item in await listed(service)] == [made]


@pytest.mark.parametrize(
    ("document", "messages", "subscriptions"),
    [
        (..., 0, 0),
        ({"resource_types": ["messages"]}, 0, 12),
        ({"resource_types": ["subscriptions"]}, 1, 0),
        ({"resource_types": []}, 1, 12),
    ],
)
async def test_a_purge_removes_all_of_what_it_names(
    service: Service, document: object, messages: int, subscriptions: int
) -> None:
    for number in range(12):
        await subscribe(service, f"{HOOK}/{number}")
    await service.post_bodies("q", 1)
    assert (await service.post("/v2/queues/q/purge", document)).status == 204
    assert len(await service.bodies("q")) == messages
    assert len(await listed(service)) == subscriptions


async def test_secrets_are_shown_once_or_never(service: Service) -> None:
    answer = await service.post(PATH, {"subscriber": HOOK})
    assert answer.json["secret"].startswith("whsec_")
    given = await service.post(
        PATH, {"subscriber": f"{HOOK}/given", "options": {"_secrets": [SECRET]}}
    )
    assert set(given.json) == {"subscription_id"}
    await service.patch(
        f"{PATH}/{given.json['subscription_id']}",
        {"options": {"_secrets": [SECRET, SECRET]}},
    )
    held = json.dumps(await listed(service))
    assert "whsec_" not in held
    assert "_secrets" not in held


async def test_a_trust_is_never_taken_from_a_caller(service: Service) -> None:
    made = await subscribe(service, options={"trust_id": "stolen", "a": 1})
    assert (await shown(service, made))["options"] == {"a": 1}
    await service.patch(f"{PATH}/{made}", {"options": {"trust_id": "stolen"}})
    assert (await shown(service, made))["options"] == {}


async def test_messagepack_is_taken_and_given(service: Service) -> None:
    body = msgspec.msgpack.encode({"subscriber": HOOK, "options": {"a": [1]}})
    both = {"Content-Type": "application/msgpack", "Accept": "application/msgpack"}
    answer = await service.post(PATH, data=body, headers=both)
    made = answer.msgpack["subscription_id"]
    assert (await service.get(f"{PATH}/{made}", headers=both)).msgpack["options"] == {"a": [1]}
