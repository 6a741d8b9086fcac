from __future__ import annotations

import pytest

from queues.errors import ConfigurationError
from storage_drivers.redis import Driver
from storage_drivers.redis.url import Kind, parse


def test_the_smallest_url_names_a_host() -> None:
    target = parse("redis://db.example")
    assert (target.kind, target.tls, target.addresses) == (
        Kind.STANDALONE,
        False,
        (("db.example", 6379),),
    )
    assert (target.username, target.password, target.db) == (None, None, 0)
    assert target.namespace == "nusku"


def test_a_url_says_how_to_log_in_and_where_the_data_is() -> None:
    target = parse("rediss://me:s%40fe%2F@[::1]:7000/3?namespace=blue")
    assert target.tls
    assert target.addresses == (("::1", 7000),)
    assert (target.username, target.password) == ("me", "s@fe/")
    assert (target.db, target.namespace) == (3, "blue")


def test_a_cluster_is_found_by_any_of_its_nodes() -> None:
    target = parse("redis+cluster://:pw@a:7000,b")
    assert target.kind is Kind.CLUSTER
    assert target.addresses == (("a", 7000), ("b", 6379))


def test_a_master_is_found_by_name() -> None:
    target = parse("rediss+sentinel://me:pw@a,b:26380/orders/2")
    assert target.kind is Kind.SENTINEL
    assert target.addresses == (("a", 26379), ("b", 26380))
    assert (target.master_name, target.db) == ("orders", 2)


@pytest.mark.parametrize(
    "url",
    [
        "http://:s3cret@a",
        "redis+socket://:s3cret@a",
        "redis://:s3cret@",
        "redis://:s3cret@a:0",
        "redis://:s3cret@a:70000",
        "redis://:s3cret@a:port",
        "redis://:s3cret@a,b",
        "redis://:s3cret@a/zero",
        "redis://:s3cret@a/0/1",
        "redis://:s3cret@[::1",
        "redis+cluster://:s3cret@a/1",
        "redis+sentinel://:s3cret@a",
        "redis+sentinel://:s3cret@a/orders/x",
        "redis://:s3cret@a?name=blue",
        "redis://:s3cret@a?namespace=",
        "redis://:s3cret@a?namespace={blue}",
        "redis://:s3cret@a#fragment",
        "redis://:s?3cret@a",
        "redis://:s#3cret@a",
        "redis://:s/3cret@a",
    ],
)
def test_a_wrong_url_is_refused_in_one_line_that_shows_no_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Driver(url, timeout_ms=1000)
    text = str(caught.value)
    assert text.startswith("Redis URL: ")
    assert "\n" not in text
    assert "3cret" not in text


def test_a_target_can_be_logged_without_its_password() -> None:
    assert "s3cret" not in repr(parse("redis://me:s3cret@a"))
