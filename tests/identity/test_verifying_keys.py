"""Keys that verify tokens: which serves what, where they come from, and how they change."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from queues.errors import ConfigurationError
from tests.clock import MovableClock
from tests.identity.issuer import KeySet, SigningKey
from transport.identity import verifying_keys
from transport.identity.verifying_keys import KeysUnavailable, VerifyingKey, choose, source

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")


def _file(tmp_path: Path, content: bytes) -> str:
    file = tmp_path / "key"
    file.write_bytes(content)
    return str(file)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_key_in_a_file_serves_its_own_algorithm_alone(
    tmp_path: Path, clock: MovableClock, algorithm: str
) -> None:
    keys = source(_file(tmp_path, SigningKey(algorithm).public), clock)
    for other in (*ALGORITHMS, "HS512", "PS256", "none", "NONE"):
        found = await keys.find(None, other)
        assert (found is not None) is (other == algorithm)


async def test_a_key_set_in_a_file_may_hold_a_secret(
    tmp_path: Path, clock: MovableClock
) -> None:
    secret = {"kty": "oct", "kid": "s", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}
    document = json.dumps({"keys": [secret, SigningKey("EdDSA", "e").jwk]}).encode()
    keys = source(_file(tmp_path, document), clock)
    assert (await keys.find("s", "HS256")) is not None
    assert (await keys.find("e", "EdDSA")) is not None
    assert (await keys.find("e", "HS256")) is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"short", "32 bytes"),
        (b"-----BEGIN PUBLIC KEY-----\nrubbish\n-----END PUBLIC KEY-----", "jwt_keys"),
        (b'{"keys": []}', "no key that can be used"),
        (b'{"kty": "oct"}', "no JSON Web Key Set"),
        (b"{", "jwt_keys"),
    ],
)
def test_a_key_that_will_not_do_is_told_in_one_line(
    tmp_path: Path, clock: MovableClock, content: bytes, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        source(_file(tmp_path, content), clock)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_is_absent_is_told(clock: MovableClock) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.pem"):
        source("/absent.pem", clock)


@pytest.mark.parametrize(
    "url", ["http://issuer.example/keys", "ftp://127.0.0.1/keys", "file:///etc/passwd"]
)
def test_keys_from_elsewhere_need_https(clock: MovableClock, url: str) -> None:
    with pytest.raises(ConfigurationError, match="https"):
        source(url, clock)


def test_the_key_id_chooses_and_ambiguity_does_not() -> None:
    one, two = VerifyingKey("1", "RS256", "a"), VerifyingKey("2", "RS256", "b")
    nameless = VerifyingKey(None, "RS256", "c")
    assert choose([one, two], "2", "RS256") is two
    assert choose([one, two], None, "RS256") is None
    assert choose([one], None, "RS256") is one
    assert choose([one, two], "3", "RS256") is None
    assert choose([nameless], "3", "RS256") is nameless
    assert choose([one], "1", "HS256") is None


async def test_a_published_set_is_read_once_and_kept(clock: MovableClock) -> None:
    key = SigningKey("ES256", "k1")
    with KeySet(key) as published:
        keys = source(published.url, clock)
        found = await asyncio.gather(*(keys.find("k1", "ES256") for _ in range(20)))
        assert all(found)
        assert published.reads == 1


async def test_a_new_key_is_found_and_one_taken_out_stops_to_work(clock: MovableClock) -> None:
    old, new = SigningKey("ES256", "old"), SigningKey("ES256", "new")
    with KeySet(old) as published:
        keys = source(published.url, clock)
        assert await keys.find("old", "ES256")
        published.keys = [new]
        clock.advance(ms=verifying_keys.PAUSE_MS + 1)
        before = keys.version
        assert await keys.find("new", "ES256")
        assert not await keys.find("old", "ES256")
        assert keys.version != before


async def test_made_up_key_ids_do_not_make_us_read_for_each_of_them(
    clock: MovableClock,
) -> None:
    with KeySet(SigningKey("ES256", "k1")) as published:
        keys = source(published.url, clock)
        assert await keys.find("k1", "ES256")
        for number in range(50):
            assert await keys.find(f"made up {number}", "ES256") is None
        assert published.reads == 1
        clock.advance(ms=verifying_keys.PAUSE_MS + 1)
        for number in range(50):
            assert await keys.find(f"made up {number}", "ES256") is None
        assert published.reads == 2


async def test_a_set_is_read_again_now_and_then_without_anybody_waiting(
    clock: MovableClock,
) -> None:
    with KeySet(SigningKey("ES256", "k1"), SigningKey("ES256", "k2")) as published:
        keys = source(published.url, clock)
        assert await keys.find("k1", "ES256")
        del published.keys[0]
        clock.advance(ms=verifying_keys.REFRESH_MS + 1)
        assert await keys.find("k1", "ES256"), "the old keys answer while the new are read"
        async with asyncio.timeout(5):
            while await keys.find("k1", "ES256"):  # noqa: ASYNC110 (the source has no event)
                await asyncio.sleep(0.01)
        assert published.reads == 2


async def test_keys_go_on_working_for_a_day_while_their_address_is_away(
    clock: MovableClock,
) -> None:
    with KeySet(SigningKey("ES256", "k1")) as published:
        keys = source(published.url, clock)
        assert await keys.find("k1", "ES256")
        published.fails = True
        clock.advance(ms=verifying_keys.STALE_MS - 1000)
        assert await keys.find("k1", "ES256")
        clock.advance(ms=verifying_keys.PAUSE_MS + 1001)
        with pytest.raises(KeysUnavailable):
            await keys.find("k1", "ES256")
        published.fails = False
        clock.advance(ms=verifying_keys.PAUSE_MS + 1)
        assert await keys.find("k1", "ES256")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"keys": [1, {}]}', b"\xff"])
async def test_rubbish_instead_of_keys_is_as_good_as_none(
    clock: MovableClock, content: bytes
) -> None:
    with KeySet() as published:
        published.content = content
        with pytest.raises(KeysUnavailable):
            await source(published.url, clock).find("k1", "ES256")


async def test_a_published_secret_is_no_key(clock: MovableClock) -> None:
    with KeySet(SigningKey("ES256", "k1")) as published:
        secret = {
            "kty": "oct",
            "kid": "s",
            "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0",
        }
        published.content = json.dumps({"keys": [secret, published.keys[0].jwk]}).encode()
        keys = source(published.url, clock)
        assert await keys.find("k1", "ES256")
        assert not await keys.find("s", "HS256")


async def test_keys_for_encryption_or_another_algorithm_are_skipped(
    clock: MovableClock,
) -> None:
    with KeySet(SigningKey("RS256", "k1")) as published:
        good = published.keys[0].jwk
        other = [{**good, "kid": "enc", "use": "enc"}, {**good, "kid": "ps", "alg": "PS256"}]
        published.content = json.dumps({"keys": [*other, good]}).encode()
        keys = source(published.url, clock)
        assert await keys.find("k1", "RS256")
        assert not await keys.find("enc", "RS256")
        assert not await keys.find("ps", "RS256")
