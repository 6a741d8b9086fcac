"""What every request must carry, and in which order it is looked at."""

from __future__ import annotations

import pytest

from tests.transport.conftest import Start
from tests.transport.service import CLIENT, OTHER_CLIENT, Service

FORM = "application/x-www-form-urlencoded"
NO_CLIENT = (400, "Missing header value")
BAD_CLIENT = (400, "Wrong UUID value")
NO_PROJECT = (400, "Project-Id Missing")
EMPTY_PROJECT = (400, "Empty project header not allowed")
BAD_QUEUE = (400, "Invalid queue identification")
BAD_FORM = (400, "Invalid Content-Type")
NOT_ACCEPTABLE = (406, "406 Not Acceptable")
NO_METHOD = (405, "405 Method Not Allowed")
NO_ROUTE = (404, "404 Not Found")

BAD_NAME = "/v2/queues/bad%20name"

# Each row breaks one rule less than the one before it: a rule is looked at before all below.
ORDER = {
    "the route": ("PUT", "/nowhere", {}, NO_ROUTE),
    "an HTML form": ("POST", BAD_NAME, {}, BAD_FORM),
    "Accept": ("POST", BAD_NAME, {"Content-Type": None}, NOT_ACCEPTABLE),
    "Client-ID": ("POST", BAD_NAME, {"Content-Type": None, "Accept": None}, NO_CLIENT),
    "Client-ID's shape": (
        "POST",
        BAD_NAME,
        {"Content-Type": None, "Accept": None, "Client-ID": "x"},
        BAD_CLIENT,
    ),
    "X-Project-ID": (
        "POST",
        BAD_NAME,
        {"Content-Type": None, "Accept": None, "Client-ID": CLIENT},
        NO_PROJECT,
    ),
    "the queue name": (
        "POST",
        BAD_NAME,
        {"Content-Type": None, "Accept": None, "Client-ID": CLIENT, "X-Project-ID": "p"},
        BAD_QUEUE,
    ),
    "the method": (
        "POST",
        "/v2/queues/good",
        {"Content-Type": None, "Accept": None, "Client-ID": CLIENT, "X-Project-ID": "p"},
        NO_METHOD,
    ),
}


@pytest.mark.parametrize("row", ORDER.values(), ids=ORDER)
async def test_checks_run_in_zaqars_order(
    service: Service, row: tuple[str, str, dict[str, str | None], tuple[int, str]]
) -> None:
    method, path, headers, error = row
    broken = {
        "Content-Type": FORM,
        "Accept": "text/html",
        "Client-ID": None,
        "X-Project-ID": None,
    }
    answer = await service.call(method, path, data=b"a=b", headers={**broken, **headers})
    assert answer.error == error


HEX = "3381af922b9e11e3b19171861300734c"
CLIENT_IDS = {
    "dashed": (CLIENT, None),
    "undashed": (HEX, None),
    "in capitals": (CLIENT.upper(), None),
    "in braces": (f"{{{CLIENT}}}", None),
    "with the urn prefix": (f"urn:uuid:{CLIENT}", None),
    "with dashes at odd places": (f"{HEX[:3]}-{HEX[3:]}", None),
    "empty": ("", BAD_CLIENT),
    "too short": (HEX[:-1], BAD_CLIENT),
    "too long": (HEX + "0", BAD_CLIENT),
    "not hexadecimal": ("z" * 32, BAD_CLIENT),
    "not ASCII": ("é" * 32, BAD_CLIENT),
}


@pytest.mark.parametrize(("client_id", "error"), CLIENT_IDS.values(), ids=CLIENT_IDS)
async def test_a_client_id_is_a_uuid_however_it_is_written(
    service: Service, client_id: str, error: tuple[int, str] | None
) -> None:
    answer = await service.get("/v2/queues", headers={"Client-ID": client_id})
    if error is None:
        assert answer.status == 200
    else:
        assert answer.error == error


async def test_a_client_knows_its_own_messages_however_it_writes_its_id(
    service: Service,
) -> None:
    await service.post_bodies("q", "mine")
    own = await service.get("/v2/queues/q/messages", headers={"Client-ID": HEX})
    others = await service.get("/v2/queues/q/messages", headers={"Client-ID": OTHER_CLIENT})
    assert (len(own.json["messages"]), len(others.json["messages"])) == (0, 1)


LENGTHS = {"9": 400, "10": 200, "36": 200, "37": 400}


@pytest.mark.parametrize(("length", "status"), LENGTHS.items())
async def test_without_the_uuid_rule_a_client_id_has_10_to_36_characters(
    start: Start, length: str, status: int
) -> None:
    async with start(client_id_uuid_safe="off") as service:
        answer = await service.get("/v2/queues", headers={"Client-ID": "x" * int(length)})
    assert answer.status == status
    if status == 400:
        assert answer.error == BAD_CLIENT


PROJECTS = {
    "of 256 characters": ("p" * 256, None),
    "of 257 characters": ("p" * 257, BAD_QUEUE),
    "missing": (None, NO_PROJECT),
    "empty": ("", EMPTY_PROJECT),
    "with a slash": ("a/b", None),
    "with braces": ("{a}{}", None),
    "in UTF-8": ("prøjekt".encode().decode("latin-1"), None),
    "of 256 characters in UTF-8": (("ø" * 256).encode().decode("latin-1"), None),
    "in another charset": ("pr\xf8jekt", BAD_QUEUE),
}


@pytest.mark.parametrize(("project", "error"), PROJECTS.values(), ids=PROJECTS)
async def test_a_project_id_has_any_characters_up_to_256(
    service: Service, project: str | None, error: tuple[int, str] | None
) -> None:
    for method, path, status in (("PUT", "/v2/queues/q", 201), ("GET", "/v2/queues", 200)):
        answer = await service.call(method, path, headers={"X-Project-ID": project})
        if error is None:
            assert answer.status == status
        else:
            assert answer.error == error


async def test_projects_do_not_see_each_other(service: Service) -> None:
    (message_id,) = await service.post_bodies("q", 1)
    claim_id = await service.claim("q")
    stranger = {"X-Project-ID": "p2"}
    for method, path in (
        ("GET", f"/v2/queues/q/messages/{message_id}"),
        ("GET", f"/v2/queues/q/messages?ids={message_id}"),
        ("GET", f"/v2/queues/q/claims/{claim_id}"),
    ):
        assert (await service.call(method, path, headers=stranger)).status == 404
    for path in (
        f"/v2/queues/q/messages/{message_id}?claim_id={claim_id}",
        f"/v2/queues/q/messages?ids={message_id}",
        f"/v2/queues/q/claims/{claim_id}",
        "/v2/queues/q",
    ):
        assert (await service.delete(path, headers=stranger)).status == 204
    assert (await service.get("/v2/queues", headers=stranger)).json["queues"] == []
    assert (await service.get(f"/v2/queues/q/claims/{claim_id}")).status == 200


ACCEPTS = {
    "nothing said": (None, "application/json"),
    "anything": ("*/*", "application/json"),
    "any application": ("application/*", "application/json"),
    "JSON": ("application/json", "application/json"),
    "JSON with a parameter": ("application/json; charset=utf-8", "application/json"),
    "MessagePack": ("application/msgpack", "application/msgpack"),
    "MessagePack by its old name": ("application/x-msgpack", "application/msgpack"),
    "MessagePack rather than JSON": (
        "application/json;q=0.5, application/msgpack",
        "application/msgpack",
    ),
    "HTML or else anything": ("text/html, */*;q=0.1", "application/json"),
    "HTML only": ("text/html", None),
    "no JSON": ("application/json;q=0", None),
    "gibberish": (";;;", None),
}


@pytest.mark.parametrize(("accept", "content_type"), ACCEPTS.values(), ids=ACCEPTS)
async def test_accept_chooses_the_encoding(
    service: Service, accept: str | None, content_type: str | None
) -> None:
    answer = await service.get("/v2/queues", headers={"Accept": accept})
    if content_type is None:
        assert answer.error == NOT_ACCEPTABLE
    else:
        assert (answer.status, answer.headers["content-type"]) == (200, content_type)


async def test_an_html_form_is_refused_only_with_a_body(service: Service) -> None:
    form = {"Content-Type": FORM}
    assert (await service.get("/v2/queues", headers=form)).status == 200
    assert (await service.put("/v2/queues/q", {}, headers=form)).error == BAD_FORM
    for spelling in (FORM.upper(), f"{FORM}; charset=UTF-8", f"{FORM};charset=utf-8"):
        other = {"Content-Type": spelling}
        assert (await service.put("/v2/queues/q", {}, headers=other)).error == BAD_FORM
    assert (await service.put("/v2/queues/q", headers=form)).status == 201


async def test_json_needs_no_content_type(service: Service) -> None:
    for index, kind in enumerate((None, "text/plain", "application/json; charset=utf-8")):
        headers = {"Content-Type": kind}
        answer = await service.put(f"/v2/queues/q{index}", {"a": 1}, headers=headers)
        assert answer.status == 201
        assert (await service.get(f"/v2/queues/q{index}")).json["a"] == 1


@pytest.mark.parametrize(
    "path", ["/", "/v2", "/v2/", "/v2/ping", "/v2/health", "/v2/openapi.json"]
)
async def test_what_belongs_to_no_project_needs_no_caller(service: Service, path: str) -> None:
    nobody = {"Client-ID": None, "X-Project-ID": None}
    assert (await service.get(path, headers=nobody)).status in {200, 204, 300}
    assert (await service.get("/v2/queues", headers=nobody)).error == NO_CLIENT
