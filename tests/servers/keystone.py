"""The real Keystone, from its package, in an environment of its own.

The environment and a freshly filled database are made once, and kept in `.tox`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.servers.environment import Environment, run
from tests.servers.process import Server

VERSION = "30.0.0"
ADMIN_PASSWORD = "secret"
DOMAIN = {"id": "default"}

_ENVIRONMENT = Environment(f"keystone-{VERSION}", f"keystone=={VERSION}")
_PYTHON = _ENVIRONMENT.python
_SEED = _ENVIRONMENT.place / "seed"
# It is run with -P, since this folder has a keystone.py, too.
_PROCESS = Path(__file__).with_name("keystone_process.py")


def prepare_keystone() -> None:
    """Make sure that Keystone is there; skip the test if it cannot be had, fail in CI."""
    _ENVIRONMENT.prepare(_fill)


def _fill() -> None:
    _SEED.mkdir()
    run(_PYTHON, "-P", _PROCESS, "seed", ADMIN_PASSWORD, cwd=_SEED).check_returncode()


class KeystoneServer(Server):
    """A Keystone with the user `admin`; `call` is for what the tests need beyond the verbs."""

    # Its imports alone take five seconds of a processor.
    start_s = 90.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._admin_token = ""

    @property
    def url(self) -> str:
        """Where to log in."""
        return f"http://127.0.0.1:{self.port}/v3"

    def command(self) -> Sequence[str]:
        return (str(_PYTHON), "-P", str(_PROCESS), "serve", str(self.port))

    def is_ready(self) -> bool:
        try:
            return httpx.get(self.url, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def start(self) -> None:
        """Start it, with only the administrator in it if it is new."""
        if not self.folder.exists():
            shutil.copytree(_SEED, self.folder)
        super().start()

    def call(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        """Call the API, by default as the administrator; return what the answer is about."""
        headers = {"X-Auth-Token": token or self.admin_token()}
        answer = httpx.request(method, self.url + path, json=body, headers=headers, timeout=20)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        document = answer.json() if answer.content else {}
        return next((value for key, value in document.items() if key != "links"), None)

    def admin_token(self) -> str:
        """Return a token of the administrator in the project `admin`."""
        if not self._admin_token:
            project = {"name": "admin", "domain": DOMAIN}
            self._admin_token = self.token("admin", ADMIN_PASSWORD, {"project": project})
        return self._admin_token

    def token(self, user: str, password: str, scope: Any = None) -> str:
        """Log in with a password, into `scope`, which may be "unscoped"."""
        who = {"name": user, "domain": DOMAIN, "password": password}
        return self.log_in({"methods": ["password"], "password": {"user": who}}, scope)

    def log_in(self, identity: dict[str, Any], scope: Any = None) -> str:
        """Log in by any method and return the token."""
        auth = {"identity": identity} | ({"scope": scope} if scope is not None else {})
        answer = httpx.post(f"{self.url}/auth/tokens", json={"auth": auth}, timeout=20)
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def revoke(self, token: str) -> None:
        """Make a token invalid."""
        headers = {"X-Auth-Token": self.admin_token(), "X-Subject-Token": token}
        answer = httpx.delete(f"{self.url}/auth/tokens", headers=headers, timeout=20)
        assert answer.status_code == 204, answer.text

    def new_project(self, name: str) -> str:
        """Create a project and return its id."""
        return str(self.call("POST", "/projects", {"project": {"name": name}})["id"])

    def new_user(self, name: str, password: str) -> str:
        """Create a user and return its id."""
        user = {"name": name, "password": password}
        return str(self.call("POST", "/users", {"user": user})["id"])

    def role(self, name: str) -> str:
        """Return the id of a role, which is created if need be."""
        found = self.call("GET", f"/roles?name={name}")
        role = found[0] if found else self.call("POST", "/roles", {"role": {"name": name}})
        return str(role["id"])

    def grant(self, user: str, project: str, *roles: str) -> None:
        """Give a user roles in a project."""
        for role in roles:
            self.call("PUT", f"/projects/{project}/users/{user}/roles/{self.role(role)}")

    def register(self, kind: str, url: str) -> None:
        """Put a service with a public endpoint into the catalog, the only one of its type."""
        for former in self.call("GET", f"/services?type={kind}"):
            self.call("DELETE", f"/services/{former['id']}")
        service = self.call("POST", "/services", {"service": {"type": kind, "name": kind}})
        endpoint = {"service_id": service["id"], "interface": "public", "url": url}
        self.call("POST", "/endpoints", {"endpoint": endpoint})
