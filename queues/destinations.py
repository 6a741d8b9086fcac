"""Which addresses of the network may be written to on behalf of tenants.

SECURITY: whoever subscribes chooses what this server connects to. So nothing is reached but
public addresses and what the operator allows: not this machine, not its neighbours, not the
metadata service of a cloud, in whatever notation. The address that is checked is the one
that is connected to; a name is resolved once for both.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from queues.errors import ConfigurationError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: IPv6 addresses that stand for an IPv4 address in their last 32 bits (RFC 4291, RFC 6052).
_EMBEDDING = (ipaddress.ip_network("::ffff:0:0/96"), ipaddress.ip_network("64:ff9b::/96"))

#: Tunnels and the like, of which nobody can tell where they end.
_TUNNELS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.88.99.0/24",
        "::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "fec0::/10",
    )
)


class Destinations(NamedTuple):
    """What may be reached beside public addresses: networks, and hosts by their names."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    def allow(self, host: str, address: Address) -> bool:
        """Say whether `host` may be reached at this address."""
        if host.lower() in self.hosts:
            return True
        meant = _meant(address)
        if any(one in network for one in (address, meant) for network in self.networks):
            return True
        return _is_public(meant)

    def allow_literal(self, host: str) -> bool:
        """Say whether a host may be reached, as far as its name tells: if it is an address."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return True
        return self.allow(host, address)


def parse(text: str) -> Destinations:
    """Return what a list of networks and names of hosts, separated by commas, allows.

    Raises: ConfigurationError naming the entry.
    """
    networks, hosts = [], []
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError as ex:
            if "/" in entry or not entry.isascii() or not entry.isprintable():
                raise ConfigurationError(
                    f"webhook_allow: {entry!r} is no network and no name of a host"
                ) from ex
            hosts.append(entry)
    return Destinations(tuple(networks), frozenset(hosts))


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if any(address in network for network in _TUNNELS):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
