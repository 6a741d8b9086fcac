"""The description of the API: valid, complete, and true."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import jsonschema_rs
import msgpack
import pytest
import schemathesis
from falcon.inspect import inspect_routes
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks
from schemathesis.generation.modes import GenerationMode

from queues import errors
from queues.clock import SystemClock
from queues.config import Settings
from storage_drivers import open_storage
from tests.transport.service import CALLER, JSON, MSGPACK, PATCH
from transport.composition import application
from transport.headers import EVENTS

DOCUMENT: dict[str, Any] = json.loads(
    resources.files("transport").joinpath("openapi.json").read_text()
)
METHODS = {"get", "head", "post", "put", "patch", "delete"}
OPERATIONS = [
    (method, path)
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if method in METHODS
]

checks.load_all_checks()
CHECKS = checks.CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "missing_required_header",
        "unsupported_method",
        "allow_header_conformance",
    ]
)


@schemathesis.serializer(MSGPACK)
def _pack(ctx: object, value: object) -> bytes:
    try:
        packed: bytes = msgpack.packb(value)
    except (OverflowError, ValueError):
        return b"\xc1"  # What MessagePack cannot say is as good as malformed.
    return packed


@schemathesis.serializer(PATCH)
def _pack_patch(ctx: object, value: object) -> bytes:
    return json.dumps(value).encode()


@schemathesis.hook
def filter_query(ctx: object, query: dict[str, Any] | None) -> bool:
    """Leave out what is not wrong: a parameter without a value is as good as absent."""
    return "" not in (query or {}).values()


@schemathesis.deserializer(MSGPACK)
def _unpack(ctx: object, response: schemathesis.Response) -> object:
    return msgpack.unpackb(response.content)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("described")
    keys = folder / "keys.toml"
    token_key = base64.b64encode(b"k" * 32).decode()
    keys.write_text(f'[signed_urls]\nk = "secret"\n[tokens]\nk = "{token_key}"\n')
    storage = open_storage(f"sqlite:///{folder / 'nusku.db'}", timeout_ms=5000)
    # Hypothesis objects to random numbers while it generates, and a sweep begins with one.
    configured = Settings(sweep_interval_s=3600, keys_file=str(keys))
    app = application(configured, storage, SystemClock())
    found = schemathesis.openapi.from_asgi("/v2/openapi.json", app)
    # A made-up signature opens nothing, and then nothing else would be looked at.
    found.config.generation.with_security_parameters = False
    return found


def test_it_is_openapi_3_1(described: Any) -> None:
    assert described.raw_schema["openapi"].startswith("3.1")
    described.validate()
    assert described.raw_schema == DOCUMENT


BOUNDED = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


# Everything that is generated from the description, and what has to be answered in both
# encodings. What is wrong is wrong in both.
RUNS = [
    (GenerationMode.POSITIVE, JSON),
    (GenerationMode.POSITIVE, MSGPACK),
    (GenerationMode.NEGATIVE, JSON),
]


#: Any other parameter, so what generators make of it is right, whatever they think.
FILTERS = {"$ref": "#/components/parameters/MetadataFilter"}


@pytest.mark.parametrize(("mode", "accept"), RUNS)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_service_does_as_described(
    described: Any, method: str, path: str, mode: GenerationMode, accept: str
) -> None:
    operation = described[path][method.upper()]
    parameters = operation.definition.raw.get("parameters", ())
    if mode is GenerationMode.NEGATIVE and not parameters:
        pytest.skip("nothing could be wrong")
    if mode is GenerationMode.NEGATIVE and FILTERS in parameters:
        pytest.skip("a parameter with a wrong name is a filter; see test_parameters.py")

    @given(case=operation.as_strategy(generation_mode=mode))
    @BOUNDED
    def conforms(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, headers={"Accept": accept, "X-Roles": "admin"})

    conforms()


BODIES = [
    (method, path, media)
    for method, path in OPERATIONS
    for media in DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", ())
]


@pytest.mark.parametrize(("method", "path", "media"), BODIES)
def test_an_example_can_be_sent_in_each_encoding(
    described: Any, method: str, path: str, media: str
) -> None:
    content = DOCUMENT["paths"][path][method]["requestBody"]["content"]
    case = described[path][method.upper()].Case(
        path_parameters={
            "queue": "orders",
            "claim_id": "a",
            "cursor": "c",
            "signal": "boot-17",
            "subscription_id": "a",
        },
        query={"project": "demo"},
        headers={**CALLER, "X-Roles": "admin"},
        body=content.get(media, {}).get("example") or content[JSON]["example"],
        media_type=media,
    )
    answer = case.call()
    # The claim to be renewed and the key to be replaced are not there.
    assert answer.status_code < 300 or answer.status_code in (404, 409), answer.text


def test_it_names_the_routes_that_there_are_and_no_others(described: Any) -> None:
    routes = {
        (method.method.lower(), route.path)
        for route in inspect_routes(described.app)
        for method in route.methods
        if not method.internal and method.method != "WEBSOCKET"
    }
    assert set(OPERATIONS) == routes


def examples(node: object, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield place, schema and example of everything below `node` that has an example."""
    if isinstance(node, dict):
        if "example" in node and "schema" in node:
            yield place, node["schema"], node["example"]
        for key, value in node.items():
            yield from examples(value, f"{place}/{key}")


EXAMPLES = list(examples(DOCUMENT))


@pytest.mark.parametrize(("place", "schema", "example"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_an_example_is_as_described(place: str, schema: dict[str, Any], example: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(whole).validate(example)


def test_every_document_has_an_example_and_both_encodings() -> None:
    media = [
        node["content"]
        for _, node in contents(DOCUMENT)
        if {"application/json", MSGPACK} & set(node["content"])
    ]
    with_parameters = [content for content in media if MSGPACK in content]
    assert all(set(content) - {EVENTS} == {JSON, MSGPACK} for content in with_parameters)
    assert all("example" in content[JSON] for content in with_parameters)
    # The versions, this description and what is no WebSocket are the same for everybody.
    assert len(media) - len(with_parameters) == 3


def contents(node: object, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every request body and answer that has a document."""
    if isinstance(node, dict):
        if "content" in node:
            yield place, node
        for key, value in node.items():
            yield from contents(value, f"{place}/{key}")


def test_the_limits_in_it_are_the_defaults() -> None:
    parameters = DOCUMENT["components"]["parameters"]
    limits = Settings()
    assert parameters["Limit"]["schema"]["maximum"] == limits.max_messages_per_page
    assert parameters["Pop"]["schema"]["maximum"] == limits.max_messages_per_claim_or_pop
    metadata = DOCUMENT["components"]["schemas"]["Metadata"]["properties"]
    for name, maximum in (
        ("_max_messages_post_size", limits.max_messages_post_bytes),
        ("_default_message_ttl", limits.max_message_ttl_s),
        ("_default_message_delay", limits.max_message_delay_s),
    ):
        assert metadata[name]["maximum"] == maximum
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["NewToken"]["properties"]["ttl"]["maximum"] == limits.max_token_ttl_s
    shown = parameters["CredentialLimit"]["schema"]["maximum"]
    assert shown == limits.max_credentials_per_page
    assert parameters["SignalLimit"]["schema"]["maximum"] == limits.max_signals_per_page
    assert parameters["DataLimit"]["schema"]["maximum"] == limits.max_signals_per_page
    assert parameters["Wait"]["schema"]["maximum"] == limits.max_wait_s
    timeout = schemas["NewSignal"]["properties"]["timeout"]
    assert timeout["maximum"] == limits.max_signal_timeout_s
    lease = schemas["Lease"]["properties"]
    assert lease["ttl"]["maximum"] == limits.max_claim_ttl_s
    assert lease["grace"]["maximum"] == limits.max_claim_grace_s


def test_it_knows_all_codes_of_errors() -> None:
    named = set(DOCUMENT["components"]["schemas"]["Error"]["properties"]["code"]["enum"])
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    codes = {cls.code for cls in classes if issubclass(cls, errors.NuskuError)}
    assert named == codes - {"error", "configuration", "queue_changed", "message_sealed"}
