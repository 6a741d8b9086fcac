"""Make the environments that tests need, ahead of them: `python -m tests.servers.ahead`.

Needs httpx and pytest. A test that comes sooner waits; what could not be made it tries again.
"""

from __future__ import annotations

from tests.e2e.guest import AGENTS
from tests.servers.keystone import prepare_keystone

if __name__ == "__main__":
    prepare_keystone()
    AGENTS.prepare()
