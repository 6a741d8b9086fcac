"""Work on messages until they are done: a smallest correct consumer, standard library only.

    python examples/consumer.py [--server HOST:PORT] [--until-empty] QUEUE

A message is deleted after the work, and only under its claim. A worker that dies in between
loses nothing: the lease ends, and somebody else gets the message. So work must be safe to
do twice.
"""

import argparse
import contextlib
import http.client
import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator

LEASE = {"ttl": 60, "grace": 60}
RENEW_AFTER_S = LEASE["ttl"] / 3
WAIT_S = 30

#: Pauses between attempts, none shorter than the `Retry-After` of a 503; then it gives up.
PAUSES_S = (2, 2, 4, 8, 16)

HEADERS = {
    "Client-ID": str(uuid.uuid4()),
    "X-Project-ID": "demo",
    "Content-Type": "application/json",
}


def work(body: object) -> None:
    """Do what the message asks for. Raise to have it done again, by whoever claims it next."""
    sys.stdout.write(f"{json.dumps(body)}\n")
    sys.stdout.flush()


class Queue:
    """One queue on a server."""

    def __init__(self, server: str, name: str) -> None:
        self.server = server
        self.path = f"/v2/queues/{name}"

    def claim(self, wait_s: int) -> dict | None:
        """Return a message under a new claim, or None when there was none for so long."""
        path = f"{self.path}/claims?limit=1&wait={wait_s}"
        status, answer = self.call("POST", path, LEASE, key=str(uuid.uuid4()))
        if status not in {201, 204}:
            sys.exit(f"{status} {answer['title']}: {answer['description']}")
        return answer["messages"][0] if answer else None

    @contextlib.contextmanager
    def renewed(self, claim_id: str) -> Iterator[None]:
        """Renew the claim in the background within the block."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(RENEW_AFTER_S):
                self.call("PATCH", f"{self.path}/claims/{claim_id}", LEASE)

        renewer = threading.Thread(target=renew, daemon=True)
        renewer.start()
        try:
            yield
        finally:
            done.set()
            renewer.join()

    def call(
        self, method: str, path: str, document: object = None, key: str | None = None
    ) -> tuple[int, dict | None]:
        """Return status and document of the answer; repeat the request until there is one."""
        headers = {**HEADERS, "Idempotency-Key": key} if key else HEADERS
        body = None if document is None else json.dumps(document).encode()
        for pause_s in PAUSES_S:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, answer = self.send(method, path, body, headers)
                if status < 500:
                    return status, answer
            time.sleep(pause_s)
        sys.exit(f"{self.server} does not answer")

    def send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, dict | None]:
        """Send one request."""
        connection = http.client.HTTPConnection(self.server, timeout=10 + WAIT_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()


def consume(queue: Queue, wait_s: int = WAIT_S) -> bool:
    """Work on one message; return False if there was none for so long."""
    message = queue.claim(wait_s)
    if message is None:
        return False
    claim_id = message["href"].rpartition("=")[2]
    try:
        with queue.renewed(claim_id):
            work(message["body"])
    except Exception as ex:
        sys.stderr.write(f"message {message['id']} failed: {ex!r}\n")
        queue.call("DELETE", f"{queue.path}/claims/{claim_id}")
        return True
    status, answer = queue.call("DELETE", message["href"])
    if status != 204:
        # The lease ended before the work did: somebody else has the message by now.
        sys.stderr.write(f"message {message['id']}: {answer['description']}\n")
    return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Work on messages.")
    parser.add_argument("--server", default="127.0.0.1:8888")
    parser.add_argument("--until-empty", action="store_true")
    parser.add_argument("queue")
    arguments = parser.parse_args()
    source = Queue(arguments.server, arguments.queue)
    wait_s = 0 if arguments.until_empty else WAIT_S
    while consume(source, wait_s) or not arguments.until_empty:
        pass
