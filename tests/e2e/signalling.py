"""Senders of signals who know nothing but a URL and try until they are acknowledged."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.nusku import NuskuServer

PAUSE_S = 0.02


def with_keys(folder: Path, **settings: str) -> tuple[str, str]:
    """Return the flags of a server that can sign URLs, and has these settings."""
    keys, config = folder / "keys.toml", folder / "nusku.toml"
    keys.write_text('[signed_urls]\nfirst = "a secret of many characters"\n')
    given = {"keys_file": str(keys), **settings}
    config.write_text("".join(f'{name} = "{value}"\n' for name, value in given.items()))
    return "--config", str(config)


def make(server: NuskuServer, name: str, **terms: Any) -> str:
    """Make a wait handle and return path and query of its URL."""
    with server.client() as client:
        made = client.put(f"/v2/signals/{name}", json=terms)
    assert made.status_code == 201, made.text
    url: str = made.json()["url"]
    assert url.startswith(server.url)
    return url.removeprefix(server.url)


def wait_for_end(server: NuskuServer, name: str) -> dict[str, Any]:
    """Wait like an orchestrator: ask again until it is over, whatever happens to servers."""
    while True:
        try:
            with server.client() as client:
                answer = client.get(f"/v2/signals/{name}?wait=20", timeout=30)
        except httpx.TransportError:
            time.sleep(PAUSE_S)
            continue
        document: dict[str, Any] = answer.json()
        if answer.status_code == 200 and document["state"] != "in_progress":
            return document


class Sender(threading.Thread):
    """Sends signals with ids of its own, each until it is acknowledged, by any server."""

    def __init__(
        self, servers: Sequence[NuskuServer], path: str, name: str, count: int
    ) -> None:
        super().__init__(name=name)
        self.acknowledged: list[str] = []
        self._servers = itertools.cycle(servers)
        self._path = path
        self._count = count

    def run(self) -> None:
        for number in range(self._count):
            while not self._is_acknowledged(f"{self.name}-{number}"):
                time.sleep(PAUSE_S)

    def _is_acknowledged(self, sender: str) -> bool:
        body = {"Status": "SUCCESS", "UniqueId": sender, "Data": f"data of {sender}"}
        url = next(self._servers).url + self._path
        try:
            answer = httpx.put(url, json=body, timeout=20)
        except httpx.TransportError:
            return False
        if answer.status_code == 200:
            self.acknowledged.append(sender)
        return answer.status_code == 200
