"""What the kernel is told about connections."""

from __future__ import annotations

import socket
import time

import pytest

from transport import listener

MORE_THAN_BUFFERS_HOLD = b"x" * 50_000_000


@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no such time-out"
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_client_that_never_reads_its_answer_is_cut_off(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MAX_STALL_MS", 500)
    with (
        listener.listen(host, 0) as server,
        socket.create_connection(server.getsockname()[:2]),
        server.accept()[0] as connection,
    ):
        connection.settimeout(20)
        began_s = time.monotonic()
        with pytest.raises(OSError, match=r"Connection timed out|reset|Broken pipe"):
            connection.sendall(MORE_THAN_BUFFERS_HOLD)
        assert time.monotonic() - began_s < 10
