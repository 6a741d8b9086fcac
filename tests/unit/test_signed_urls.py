"""Signatures of URLs: Zaqar's vectors, and that nothing else opens anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from queues import signed_urls
from queues.errors import InvalidRequest
from queues.signed_urls import Terms, UrlTerms

KEY = b"notreallysecret"
KEYS = {"new": b"another", "old": KEY}
TERMS = Terms(
    ("/v2/queues/demo/messages",),
    ("GET",),
    "518b51ea133c4facadae42c328d6b77b",
    "2030-01-01T00:00:00",
)


def test_the_signatures_are_those_of_zaqar() -> None:
    assert signed_urls.sign(TERMS, KEY) == (
        "49a8b0618d0f5db10f27bb387f0b5b5b4c73807dac2603032bbc8d38906bee86"
    )
    paths = ("/v2/queues/demo/messages", "/v2/queues/demo/claims")
    terms = Terms(paths, ("POST", "GET"), "None", "2030-01-01T00:00:00")
    assert signed_urls.sign(terms, KEY) == (
        "a64771d8c537b762955615919d9591d5d6bc99dceef89c48c413991237c23284"
    )


def test_any_of_the_keys_will_do_so_that_they_can_be_rotated() -> None:
    for key in KEYS.values():
        assert signed_urls.is_signed(TERMS, signed_urls.sign(TERMS, key), KEYS)
    assert not signed_urls.is_signed(TERMS, signed_urls.sign(TERMS, b"third"), KEYS)
    assert not signed_urls.is_signed(TERMS, signed_urls.sign(TERMS, KEY), {})


@pytest.mark.parametrize("signature", ["", "0" * 64, "ä", "49a8"])
def test_a_made_up_signature_is_none(signature: str) -> None:
    assert not signed_urls.is_signed(TERMS, signature, KEYS)


@pytest.mark.parametrize(
    "change",
    [
        {"paths": ("/v2/queues/other/messages",)},
        {"paths": (*TERMS.paths, "/v2/queues/demo/claims")},
        {"methods": ("GET", "DELETE")},
        {"project": "other"},
        {"expires": "2031-01-01T00:00:00"},
    ],
)
def test_other_terms_need_another_signature(change: dict[str, object]) -> None:
    changed = TERMS._replace(**change)  # type: ignore[arg-type]
    assert not signed_urls.is_signed(changed, signed_urls.sign(TERMS, KEY), KEYS)


def test_a_url_by_itself_is_bound_to_its_id_and_to_whether_uses_count() -> None:
    url = UrlTerms(TERMS, "s1", counted=True)
    signature = signed_urls.sign(url, KEY)
    assert signed_urls.is_signed(url, signature, KEYS)
    assert not signed_urls.is_signed(url._replace(share_id="s2"), signature, KEYS)
    assert not signed_urls.is_signed(url._replace(counted=False), signature, KEYS)
    assert not signed_urls.is_signed(TERMS, signature, KEYS)
    assert not signed_urls.is_signed(url, signed_urls.sign(TERMS, KEY), KEYS)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/queues/demo/messages", True),
        ("/v2/queues/demo/messages/abc", True),
        ("/v2/queues/demo/messages/", False),
        ("/v2/queues/demo/messages/a/b", False),
        ("/v2/queues/demo/messages-of-others", False),
        ("/x/v2/queues/demo/messages", False),
        ("/v2/queues/demo", False),
        ("/v2/queues/Demo/messages", False),
        ("/v2/queues/demo/claims", False),
        ("/", False),
        ("", False),
    ],
)
def test_a_path_opens_itself_and_its_children(path: str, expected: bool) -> None:
    assert signed_urls.covers(TERMS.paths, path) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2030-01-01T00:00:00", datetime(2030, 1, 1, tzinfo=UTC)),
        ("2030-01-01", datetime(2030, 1, 1, tzinfo=UTC)),
        ("2030-01-01T00:00:00Z", datetime(2030, 1, 1, tzinfo=UTC)),
        ("2030-01-01T02:00:00+02:00", datetime(2030, 1, 1, tzinfo=UTC)),
        ("2030-01-01T00:00:00.987654", datetime(2030, 1, 1, 0, 0, 0, 987654, tzinfo=UTC)),
    ],
)
def test_expiry_is_a_moment_however_it_is_written(text: str, expected: datetime) -> None:
    assert signed_urls.expiry(text) == expected
    assert signed_urls.written(signed_urls.expiry(text)) == "2030-01-01T00:00:00"


@pytest.mark.parametrize("text", ["", "soon", "20300101", "1893456000", "2030-13-01", "0"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="ISO 8601"):
        signed_urls.expiry(text)


def test_milliseconds_forget_the_fraction_that_is_not_signed() -> None:
    zone = timezone(timedelta(hours=2))
    moment = datetime(1970, 1, 1, 2, 0, 1, 999999, tzinfo=zone)
    assert signed_urls.milliseconds(moment) == 1000


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v2/queues/q/messages", "q"),
        ("/v2/queues/q/messages/1", "q"),
        ("/v2/queues/q/claims", "q"),
        ("/v2/signals/s/signal", "s"),
        ("/v2/signals/s", None),
        ("/v2/signals/s/messages", None),
        ("/v2/queues/q/signal", None),
        ("/v2/queues/q/stats", None),
        ("/v2/tokens", None),
        ("", None),
    ],
)
def test_a_signed_path_leads_to_a_queue_or_a_signal_or_nowhere(
    path: str, name: str | None
) -> None:
    target = signed_urls.target(path)
    assert (target and target[0]) == name
