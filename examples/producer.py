"""Post messages and lose none: a smallest correct producer, standard library only.

    python examples/producer.py [--server HOST:PORT] QUEUE TEXT...

Each attempt sends the same bytes with the same Idempotency-Key, so a repeat after a lost
answer stores nothing twice.
"""

import argparse
import http.client
import json
import sys
import time
import uuid

#: Pauses between attempts, none shorter than the `Retry-After` of a 503; then it gives up.
PAUSES_S = (2, 2, 4, 8, 16)

HEADERS = {
    "Client-ID": str(uuid.uuid4()),
    "X-Project-ID": "demo",
    "Content-Type": "application/json",
}


def post(server: str, queue: str, bodies: list[object]) -> list[str]:
    """Store one message for each body; return their addresses."""
    path = f"/v2/queues/{queue}/messages"
    document = json.dumps({"messages": [{"body": body} for body in bodies]}).encode()
    headers = {**HEADERS, "Idempotency-Key": str(uuid.uuid4())}
    for pause_s in (*PAUSES_S, None):
        try:
            status, answer = send(server, path, document, headers)
        except (OSError, http.client.HTTPException) as ex:
            status, answer = 503, {"title": repr(ex)}
        if status == 201:
            return answer["resources"]
        if status != 503 or pause_s is None:
            sys.exit(f"{status} {answer.get('title')}: {answer.get('description')}")
        time.sleep(pause_s)
    raise AssertionError("the last attempt returns or exits")


def send(server: str, path: str, document: bytes, headers: dict[str, str]) -> tuple[int, dict]:
    """Send one request; return the status and the document of its answer."""
    connection = http.client.HTTPConnection(server, timeout=10)
    try:
        connection.request("POST", path, document, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Post messages.")
    parser.add_argument("--server", default="127.0.0.1:8888")
    parser.add_argument("queue")
    parser.add_argument("text", nargs="+")
    arguments = parser.parse_args()
    for address in post(arguments.server, arguments.queue, arguments.text):
        sys.stdout.write(f"{address}\n")
