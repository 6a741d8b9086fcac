"""Start guests and wait until each is ready: a smallest orchestrator, standard library only.

    python examples/boot_and_signal.py [--server HOST:PORT] [--boot COMMAND] NAME GUEST...

A guest is a shell script here, as it would lie in the user data of a machine. It has curl and
one URL, and no account. The server needs a key to sign that URL (keys_file, [signed_urls]).

All steps are safe to repeat: the handle has a name, each signal an id. So whatever is lost on
the way is sent again, and nothing happens twice.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import time
import uuid

TIMEOUT_S = 600
WAIT_S = 30
PAUSE_S = 2

HEADERS = {
    "Client-ID": str(uuid.uuid4()),
    "X-Project-ID": "demo",
    "Content-Type": "application/json",
}

USER_DATA = """
signal() {
  curl -sS --fail --retry 8 --retry-all-errors -X PUT --data "$1" "$URL" >/dev/null
}
signal '{"status": "IN_PROGRESS", "id": "'"$GUEST"'", "reason": "booting"}'
if LOG=$(sh -c "$BOOT" 2>&1); then
  signal '{"status": "SUCCESS", "id": "'"$GUEST"'", "data": {"host": "'"$GUEST"'.example"}}'
else
  signal '{"status": "FAILURE", "id": "'"$GUEST"'", "reason": "the boot command failed"}'
fi
"""


class Handle:
    """A wait handle on the server."""

    def __init__(self, server: str, name: str) -> None:
        self._server = server
        self._path = f"/v2/signals/{name}"

    def make(self, guests: list[str]) -> str:
        """Make the handle, once, and return the URL for the guests."""
        terms = {"count": len(guests), "timeout": TIMEOUT_S, "data": {"guests": guests}}
        made = self._call("PUT", self._path, terms)
        if made["url"] is None:
            sys.exit("The server has no key to sign URLs with: see keys_file.")
        return made["url"]

    def outcome(self) -> dict:
        """Return the handle once the wait is over."""
        while True:
            handle = self._call("GET", f"{self._path}?wait={WAIT_S}")
            if handle["state"] != "in_progress":
                return handle
            sys.stderr.write(f"{handle['received']} of {handle['count']} are ready\n")

    def _call(self, method: str, path: str, document: object = None) -> dict:
        """Send a request until it is answered by more than 'try again'."""
        while True:
            try:
                status, answer = self._send(method, path, document)
            except (OSError, http.client.HTTPException) as ex:
                status, answer = 503, {"title": repr(ex)}
            if status < 300:
                return answer
            if status != 503:
                sys.exit(f"{status} {answer.get('title')}: {answer.get('description')}")
            time.sleep(PAUSE_S)

    def _send(self, method: str, path: str, document: object) -> tuple[int, dict]:
        connection = http.client.HTTPConnection(self._server, timeout=WAIT_S + 10)
        body = None if document is None else json.dumps(document).encode()
        try:
            connection.request(method, path, body, HEADERS)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def start(guest: str, url: str, boot: str) -> subprocess.Popen:
    """Start a guest; all that it is told is its name, the URL, and how to boot."""
    given = {"PATH": os.defpath, "GUEST": guest, "URL": url, "BOOT": boot}
    return subprocess.Popen(["/bin/sh", "-eu", "-c", USER_DATA], env=given)  # noqa: S603


def main(server: str, name: str, guests: list[str], boot: str) -> int:
    """Start the guests, wait, and say how it went."""
    handle = Handle(server, name)
    url = handle.make(guests)
    started = [start(guest, url, boot) for guest in guests]
    ended = handle.outcome()
    for guest in started:
        guest.wait()
    sys.stdout.write(f"{ended['state']}: {ended['reason']}\n")
    for guest, said in ended["signals"].items():
        sys.stdout.write(f"{guest}: {said['status']} {json.dumps(said['data'])}\n")
    return 0 if ended["state"] == "success" else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Start guests and wait for them.")
    parser.add_argument("--server", default="127.0.0.1:8888")
    parser.add_argument("--boot", default="sleep 0.1", metavar="COMMAND")
    parser.add_argument("name")
    parser.add_argument("guest", nargs="+")
    given = parser.parse_args()
    sys.exit(main(given.server, given.name, given.guest, given.boot))
