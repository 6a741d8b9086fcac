"""Whom a resource answers."""

from __future__ import annotations

from enum import Enum


class Audience(Enum):
    """Whom a resource answers, and so which headers a request for it must carry.

    SECURITY: a resource that does not say so in its `audience` answers a `PROJECT`.
    """

    #: The same document for everybody: no header matters.
    ANYBODY = "anybody"
    #: Whoever watches over the service, like a load balancer, which cannot send our headers.
    WATCHERS = "watchers"
    #: Whoever runs the service: where identity is proved, the policy says who that is.
    OPERATORS = "operators"
    #: A client that says for which project it calls.
    PROJECT = "project"


def audience(resource: object) -> Audience:
    """Return whom a resource answers."""
    found: Audience = getattr(resource, "audience", Audience.PROJECT)
    return found
