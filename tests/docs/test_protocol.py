"""The protocol in words names the routes, errors and limits that there are."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from importlib import resources

from queues import errors
from queues.limits import Limits
from queues.metadata import _CHECKS
from tests.docs.markdown import ROOT, rows
from transport.errors import _ANSWERS

PAGE = ROOT / "docs/http-api.md"

#: Errors that no client sees: one ends the start, the others are dealt with by the core.
_INTERNAL = {
    errors.NuskuError,
    errors.ConfigurationError,
    errors.QueueChanged,
    errors.MessageSealed,
}

#: Errors that say more than status and title: each has a handler of its own.
_HANDLED: dict[type[errors.NuskuError], tuple[str, str]] = {
    errors.QuotaExceeded: ("403", "Quota exceeded: …"),
    errors.RateExceeded: ("429", "Too many requests"),
    errors.StorageUnavailable: ("503", "Service temporarily unavailable"),
}


def _codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_route_is_listed_and_every_listed_route_exists() -> None:
    described = json.loads(resources.files("transport").joinpath("openapi.json").read_text())
    real = {
        (method.upper(), _plain(path))
        for path, item in described["paths"].items()
        for method in item
        if method in {"get", "head", "post", "put", "patch", "delete"}
    }
    listed = {
        (method, _plain(path))
        for row in [*rows(PAGE, "Method"), *_service_routes()]
        for method in _codes(row[0])
        for path in _codes(row[1])
    }
    assert listed == real


def _service_routes() -> list[list[str]]:
    """Return the service routes, written `METHOD path`, as rows of method and path."""
    found = [_codes(row[0])[0].split() for row in rows(PAGE, "Route")]
    return [[f"`{method}`", f"`{path}`"] for method, path in found]


def _plain(path: str) -> str:
    """Return a path without its query, its last slash and the names of its variables."""
    return re.sub(r"\{\w+\}", "{}", path.partition("?")[0]).rstrip("/")


def test_every_error_is_listed_with_its_status_and_title() -> None:
    real = {(str(status)[:3], title, kind.code) for kind, (status, title) in _ANSWERS.items()}
    real |= {(status, title, kind.code) for kind, (status, title) in _HANDLED.items()}
    listed = {(row[0], row[1], row[2].strip("`")) for row in rows(PAGE, "Status")}
    assert {row for row in listed if row[2].isascii()} == real


def test_no_kind_of_error_is_forgotten() -> None:
    kinds = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.NuskuError)
    }
    assert kinds - _INTERNAL == {*_ANSWERS, *_HANDLED}


def test_every_limit_is_listed() -> None:
    limits = " ".join(cell for row in rows(PAGE, "What") for cell in row)
    numbers = set(re.findall(r"\d+", limits))
    assert {str(value) for value in asdict(Limits()).values()} <= numbers


def test_every_reserved_attribute_is_listed() -> None:
    assert {row[0].strip("`") for row in rows(PAGE, "Attribute")} == set(_CHECKS)
