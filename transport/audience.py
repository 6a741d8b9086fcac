"""Whom a resource answers."""

from __future__ import annotations

from enum import Enum

from falcon.constants import COMBINED_METHODS

from queues.authorization import DEFAULTS


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


def check_rules(resource: object) -> None:
    """Refuse to serve what the policy is not asked about.

    Every method of a resource for projects or operators has a rule, and the policy knows it.

    Raises: TypeError naming the resource.
    """
    if audience(resource) not in (Audience.OPERATORS, Audience.PROJECT):
        return
    methods = {
        method for method in COMBINED_METHODS if hasattr(resource, f"on_{method.lower()}")
    }
    rules: dict[str, str] = getattr(resource, "rules", {})
    if methods != rules.keys() or not set(rules.values()) <= DEFAULTS.keys():
        raise TypeError(f"{type(resource).__name__} has methods without a rule of the policy")
