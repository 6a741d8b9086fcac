"""Which addresses may be written to: public ones, and what the operator allows."""

from __future__ import annotations

import ipaddress

import pytest

from queues import destinations
from queues.errors import ConfigurationError

PUBLIC = destinations.parse("")


def allowed(address: str, allow: str = "", host: str = "receiver.example") -> bool:
    return destinations.parse(allow).allow(host, ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_what_is_not_public_is_not_written_to(address: str) -> None:
    assert not allowed(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"],
)
def test_what_is_public_is_written_to(address: str) -> None:
    assert allowed(address)


@pytest.mark.parametrize(
    ("allow", "address", "expected"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "64:ff9b::10.1.2.3", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("fd00::/8", "fd00::1", True),
        ("0.0.0.0/0", "127.0.0.1", True),
        ("0.0.0.0/0", "::1", False),
        (" 10.0.0.0/8 , hooks.internal,", "10.0.0.1", True),
    ],
)
def test_an_operator_allows_networks(allow: str, address: str, expected: bool) -> None:
    assert allowed(address, allow) is expected


def test_an_operator_allows_hosts_wherever_they_are() -> None:
    assert allowed("10.0.0.1", "hooks.internal", host="Hooks.Internal")
    assert not allowed("10.0.0.1", "hooks.internal", host="evil.hooks.internal")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "a/b", "caf\u00e9", "a\x00b"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="webhook_allow"):
        destinations.parse(text)


def test_a_name_is_not_judged_before_it_is_resolved() -> None:
    assert PUBLIC.allow_literal("receiver.example")
    assert PUBLIC.allow_literal("")
    assert not PUBLIC.allow_literal("127.0.0.1")
    assert not PUBLIC.allow_literal("::1")
