"""Over TLS everything works, and a server that cannot prove its name gets no command."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis as client

from queues.errors import StorageUnavailable
from tests.clock import MovableClock
from tests.conformance.handle import QueueHandle
from tests.drivers.redis_storage import opened
from tests.factories import new_message
from tests.servers.process import START_S, ServerFailed, missing
from tests.servers.redis import RedisServer, redis_binary

pytestmark = pytest.mark.redis


class TlsServer(RedisServer):
    """A Redis that speaks TLS only, with a certificate that it signed itself."""

    @property
    def certificate(self) -> Path:
        return self.folder / "server.crt"

    @property
    def url(self) -> str:
        return f"rediss://localhost:{self.port}/0"

    def command(self) -> Sequence[str]:
        tls = ("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no")
        key = ("--tls-key-file", str(self.folder / "server.key"))
        return (*super().command(), *tls, *key, "--tls-cert-file", str(self.certificate))

    def connect(self) -> client.Redis:
        return client.Redis(
            port=self.port, socket_timeout=START_S, ssl=True, ssl_ca_certs=str(self.certificate)
        )

    def certify(self) -> None:
        """Make the key and the certificate, for the name `localhost` and no other."""
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                "-keyout", str(self.folder / "server.key"), "-out", str(self.certificate),
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    for binary in (redis_binary(), shutil.which("openssl")):
        if binary is None:
            missing("redis-server or openssl")
    server = TlsServer(tmp_path_factory.mktemp("tls"))
    server.certify()
    try:
        server.start()
    except ServerFailed:
        if "tls-port" in server.log.read_text():
            pytest.skip("this redis-server was built without TLS")
        raise
    yield server
    server.kill()


async def _refused(url: str) -> str:
    with pytest.raises(StorageUnavailable) as refused:
        async with opened(url, timeout_ms=1000):
            pass
    return str(refused.value)


async def test_a_queue_works_over_tls(
    tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server.certificate))
    async with opened(tls_server.url) as driver:
        handle = QueueHandle(driver, MovableClock())
        await handle.create()
        body = b"x" * 200_000
        seqs = await handle.post(*[new_message(body)] * 5)
        claim = await handle.claim_some(5)
        assert [(m.seq, m.body) for m in claim.messages] == [(seq, body) for seq in seqs]
        assert await handle.delete(*seqs, claim_ids=[claim.id]) == {}


async def test_a_certificate_that_nobody_vouches_for_is_refused(tls_server: TlsServer) -> None:
    assert "certificate" in (await _refused(tls_server.url)).lower()


async def test_a_certificate_of_another_name_is_refused(
    tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server.certificate))
    url = tls_server.url.replace("localhost", "127.0.0.1")
    assert "certificate" in (await _refused(url)).lower()


async def test_a_plain_connection_to_a_tls_port_fails_in_time(tls_server: TlsServer) -> None:
    assert await _refused(tls_server.url.replace("rediss", "redis"))
