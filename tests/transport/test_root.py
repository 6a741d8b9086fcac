"""The endpoint index, and what the service says of itself."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.transport.service import CALLER, REQUEST_ID, Service

VERSIONS = {
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
NO_CALLER = dict.fromkeys(CALLER)
EMPTY_STATS = {"messages": {"free": 0, "claimed": 0, "total": 0}}
NO_MESSAGES = {"messages": [], "links": []}


class Row(NamedTuple):
    """On a server without any queue."""

    method: str
    path: str
    status: int
    document: object = None


# On a server where nothing was ever created: absent queues are no errors, except where noted.
INDEX = {
    "the versions need no headers": Row("GET", "/", 300, VERSIONS),
    "no queues are an empty list": Row("GET", "/v2/queues", 200, {"queues": [], "links": []}),
    "a new queue is 201": Row("PUT", "/v2/queues/q", 201),
    "an absent queue may be deleted": Row("DELETE", "/v2/queues/q", 204),
    "an absent queue has zero stats": Row("GET", "/v2/queues/q/stats", 200, EMPTY_STATS),
    "an absent queue may be purged": Row("POST", "/v2/queues/q/purge", 204),
    "an absent queue lists nothing": Row("GET", "/v2/queues/q/messages", 200, NO_MESSAGES),
    "an absent queue pops nothing": Row(
        "DELETE", "/v2/queues/q/messages?pop=1", 200, {"messages": []}
    ),
    "messages of an absent queue may be deleted": Row(
        "DELETE", "/v2/queues/q/messages?ids=a", 204
    ),
    "a message of an absent queue may be deleted": Row(
        "DELETE", "/v2/queues/q/messages/a", 204
    ),
    "an absent queue has nothing to claim": Row("POST", "/v2/queues/q/claims", 204),
    "a claim on an absent queue may be released": Row("DELETE", "/v2/queues/q/claims/a", 204),
    "no shares are an empty list": Row("GET", "/v2/shares", 200, {"shares": [], "links": []}),
    "no tokens are an empty list": Row("GET", "/v2/tokens", 200, {"tokens": [], "links": []}),
    "ping answers": Row("GET", "/v2/ping", 204),
    "ping answers to HEAD": Row("HEAD", "/v2/ping", 204),
}

MISSING = {
    "messages by id": ("GET", "/v2/queues/q/messages?ids=a"),
    "a message": ("GET", "/v2/queues/q/messages/a"),
    "a claim": ("GET", "/v2/queues/q/claims/a"),
    "a share": ("DELETE", "/v2/shares/a"),
    "a token": ("DELETE", "/v2/tokens/a"),
}


@pytest.mark.parametrize("row", INDEX.values(), ids=INDEX)
async def test_every_endpoint_answers_on_an_empty_server(service: Service, row: Row) -> None:
    answer = await service.call(row.method, row.path)
    assert answer.status == row.status
    if row.document is None:
        assert answer.content == b""
    else:
        assert answer.json == row.document
        assert answer.headers["content-type"] == "application/json"
    if row.status == 204:
        assert "content-type" not in answer.headers
        assert "location" not in answer.headers


@pytest.mark.parametrize(("method", "path"), MISSING.values(), ids=MISSING)
async def test_what_is_asked_for_by_id_and_absent_is_404(
    service: Service, method: str, path: str
) -> None:
    assert (await service.call(method, path)).error == (404, "Not found")


async def test_patching_an_absent_queue_or_claim_is_404(service: Service) -> None:
    assert (await service.patch_queue("q")).error == (404, "Not found")
    assert (await service.patch("/v2/queues/q/claims/a", {})).error == (404, "Not found")


async def test_nothing_but_put_and_post_of_messages_creates_a_queue(service: Service) -> None:
    for row in INDEX.values():
        if row.status not in (201, 300):
            await service.call(row.method, row.path)
    assert (await service.get("/v2/queues")).json["queues"] == []
    await service.post_bodies("lazy", 1)
    assert (await service.put("/v2/queues/made")).status == 201
    names = [queue["name"] for queue in (await service.get("/v2/queues")).json["queues"]]
    assert names == ["lazy", "made"]


async def test_the_versions_need_no_caller(service: Service) -> None:
    answer = await service.get("/", headers=NO_CALLER)
    assert (answer.status, answer.json) == (300, VERSIONS)


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
async def test_the_home_document_is_json_home(service: Service, path: str) -> None:
    answer = await service.get(path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json-home"
    assert answer.headers["cache-control"] == "max-age=86400"
    assert set(answer.json) == {"resources"}


async def test_the_home_document_names_the_routes_that_there_are(service: Service) -> None:
    home = (await service.get("/v2/")).json["resources"]
    assert home["rel/queue"] == {
        "href-template": "/v2/queues/{queue_name}",
        "href-vars": {"queue_name": "param/queue_name"},
        "hints": {
            "allow": ["GET", "HEAD", "PUT", "DELETE", "PATCH"],
            "formats": {"application/json": {}},
            "accept-patch": ["application/json"],
        },
    }
    for entry in home.values():
        template = entry["href-template"]
        assert template.startswith("/v2/")
        path = re.sub(r"\{\w+\}", "a", template.partition("{?")[0])
        allowed = (await service.call("OPTIONS", path)).headers["allow"].split(", ")
        assert set(entry["hints"]["allow"]) <= set(allowed)
        named = set(re.findall(r"\w+", " ".join(re.findall(r"\{\??([^}]*)\}", template))))
        assert set(entry["href-vars"]) == named


#: What is not of a project, or no HTTP.
SERVICE = ("/", "/v2", "/v2/", "/v2/openapi.json", "/v2/websocket")


async def test_the_home_document_names_every_resource_of_a_project(service: Service) -> None:
    home = (await service.get("/v2/")).json["resources"]
    named = {entry["href-template"].partition("{?")[0] for entry in home.values()}
    description = (await service.get("/v2/openapi.json")).json
    described = set(description["paths"]) - set(SERVICE)
    old = {path for path in described if path.startswith("/v1.1/")}
    spelled = {re.sub(r"\{(queue|signal)\}", r"{\1_name}", path) for path in described - old}
    assert spelled <= named


async def test_health_says_what_a_201_is_worth(service: Service) -> None:
    answer = await service.get("/v2/health")
    assert answer.status == 200
    health = answer.json
    assert health.pop("durability")
    assert health.pop("operation_status")["ping"]["succeeded"] is True
    assert health == {"storage_reachable": True, "warnings": []}


ANSWERS = {
    "success": ("GET", "/v2/queues", {}, 200),
    "no content": ("GET", "/v2/ping", {}, 204),
    "created": ("PUT", "/v2/queues/q", {}, 201),
    "the versions": ("GET", "/", {}, 300),
    "bad header": ("GET", "/v2/queues", {"Client-ID": "no"}, 400),
    "bad parameter": ("GET", "/v2/queues?limit=no", {}, 400),
    "no such route": ("GET", "/nowhere", {}, 404),
    "no such method": ("PUT", "/v2/queues", {}, 405),
    "no such encoding": ("GET", "/v2/queues", {"Accept": "text/html"}, 406),
    "no such patch": ("PATCH", "/v2/queues/q", {}, 415),
}


@pytest.mark.parametrize("row", ANSWERS.values(), ids=ANSWERS)
async def test_every_answer_has_a_request_id_of_its_own(
    service: Service, row: tuple[str, str, dict[str, str], int]
) -> None:
    method, path, headers, status = row
    answers = [await service.call(method, path, headers=headers) for _ in range(2)]
    assert answers[0].status == status
    ids = {answer.headers[REQUEST_ID] for answer in answers}
    assert len(ids) == 2
    shape = r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert all(re.fullmatch(shape, request_id) for request_id in ids)
    if status >= 400:
        assert answers[0].error[0] == status
