"""The servers of the tests: found or missing, started, failed, killed and restarted."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.servers.process import Server, ServerFailed, free_port, missing

LISTEN = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    listener.accept()[0].close()
"""


class Listener(Server):
    """Accepts connections and closes them."""

    def command(self) -> Sequence[str]:
        return (sys.executable, "-c", LISTEN, str(self.port))

    def is_ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Broken(Listener):
    """Says why and ends."""

    def command(self) -> Sequence[str]:
        return (sys.executable, "-c", "import sys; sys.exit('no such option')")


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    server = Listener(tmp_path / "listener")
    yield server
    server.kill()


def test_a_missing_server_is_skipped_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="redis-server"):
        missing("redis-server")


def test_a_missing_server_is_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="redis-server"):
        missing("redis-server")


def test_a_free_port_can_be_listened_on_together_with_that_of_the_cluster_bus() -> None:
    port = free_port()
    for number in (port, port + 10_000):
        socket.create_server(("127.0.0.1", number)).close()


def test_a_server_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    server = Broken(tmp_path)
    with pytest.raises(ServerFailed, match="no such option"):
        server.start()


def test_a_killed_server_is_gone_and_a_restart_brings_it_back_on_its_port(
    listener: Listener,
) -> None:
    listener.start()
    port = listener.port
    listener.kill()
    assert not listener.is_ready()
    listener.restart()
    assert listener.is_ready()
    assert listener.port == port
    listener.kill()
    listener.kill()
    assert listener.log.read_text().count("listening") == 2


def test_a_paused_server_goes_on_when_told(listener: Listener) -> None:
    listener.start()
    listener.pause()
    with socket.create_connection(("127.0.0.1", listener.port), timeout=1) as connection:
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        listener.resume()
        connection.settimeout(5)
        assert connection.recv(1) == b""
