"""The language of policies, and how credentials and policies meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from queues.authorization import DEFAULTS, Authorization, read
from queues.errors import ConfigurationError, Forbidden
from queues.identity import OPERATIONS, Grant, Identity

ANN = Identity("p1", "ann", frozenset({"member", "reader"}))
RULE = "messages:create"


def _allows(expression: str, who: Identity = ANN, **others: str) -> bool:
    return Authorization({RULE: expression, **others}).allows(RULE, who, "q")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("", True),
        ("@", True),
        ("!", False),
        ("role:member", True),
        ("role:Member", True),
        ("role:admin", False),
        ("user_id:ann", True),
        ("user_id:bob", False),
        ("project_id:p1", True),
        ("project_id:p2", False),
        ("project_id:%(project_id)s", True),
        ("not role:admin", True),
        ("not not role:admin", False),
        ("role:admin or role:member", True),
        ("role:admin and role:member", False),
        ("role:member and role:reader", True),
        ("role:admin and role:member or role:reader", True),
        ("role:admin and (role:member or role:reader)", False),
        ("(role:member)", True),
        ("not (role:member or role:admin)", False),
        ("role:member AND NOT role:admin", True),
        ("(project_id:%(project_id)s and role:member)", True),
    ],
)
def test_an_expression_decides(expression: str, expected: bool) -> None:
    assert _allows(expression) is expected


def test_a_rule_can_refer_to_another_whatever_their_order() -> None:
    assert _allows("rule:trusted", trusted="rule:inner and role:member", inner="user_id:ann")
    assert not _allows("rule:trusted", trusted="role:admin")


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("role:", "no check"),
        ("member", "no check"),
        ("is_admin:True", "no check"),
        ("http://policy/", "no check"),
        ("(role:a", r"'\)' is missing"),
        ("role:a)", r"'\)' is unexpected"),
        ("role:a role:b", "'role:b' is unexpected"),
        ("role:a and", "ends too early"),
        ("or role:a", "no check"),
        ("not", "ends too early"),
        ("rule:absent", "'absent', which is missing"),
        (f"rule:{RULE}", "refers to itself"),
    ],
)
def test_a_wrong_expression_is_told(expression: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Authorization({RULE: expression})


def test_rules_in_a_circle_are_told() -> None:
    with pytest.raises(ConfigurationError, match="refers to itself"):
        Authorization({"one": "rule:two", "two": "rule:one"})


def test_a_rule_that_does_not_exist_is_told() -> None:
    with pytest.raises(ConfigurationError, match="no rule 'messages:creat'"):
        Authorization({"messages:creat": ""})


def test_rules_of_zaqar_that_mean_nothing_here_are_allowed() -> None:
    Authorization({"pools:get_all": "role:admin", "flavors:create": "", "topics:get": "!"})


def test_without_a_file_zaqars_defaults_hold() -> None:
    policy = read("")
    admins = {rule for rule in DEFAULTS if not policy.allows(rule, ANN, None)}
    assert admins == {"health:get", "quotas:get", "quotas:update", "quotas:delete"}
    admin = ANN._replace(roles=frozenset({"admin"}))
    assert all(policy.allows(rule, admin, None) for rule in DEFAULTS)


def test_a_file_replaces_single_rules(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('"messages:create" = "role:poster"\n"poster" = "role:poster"\n')
    policy = read(str(file))
    assert not policy.allows("messages:create", ANN, "q")
    assert policy.allows("messages:get", ANN, "q")


@pytest.mark.parametrize("text", ['"messages:create" = 1', "messages", '"messages:create"'])
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read(str(file))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml"):
        read("/absent.toml")


def _grant(*rules: str, vouched: bool = False) -> Grant:
    return Grant(("c1",), frozenset(rules), ("orders-*",), 10**15, vouched=vouched)


def test_a_grant_narrows_what_the_policy_allows() -> None:
    policy = Authorization({})
    narrowed = ANN._replace(grant=_grant(RULE))
    assert policy.allows(RULE, narrowed, "orders-1")
    assert policy.allows(RULE, narrowed, None)
    assert not policy.allows(RULE, narrowed, "invoices")
    assert not policy.allows("messages:get", narrowed, "orders-1")


def test_a_grant_does_not_widen_what_the_policy_allows() -> None:
    policy = Authorization({RULE: "role:poster"})
    assert not policy.allows(RULE, ANN._replace(grant=_grant(RULE)), "orders-1")


def test_a_vouched_grant_stands_for_the_roles_of_its_maker() -> None:
    policy = Authorization({RULE: "role:poster", "messages:get": "role:reader"})
    bearer = Identity("p1", grant=_grant(RULE, vouched=True))
    assert policy.allows(RULE, bearer, "orders-1")
    assert not policy.allows("messages:get", bearer, "orders-1")


def test_what_is_refused_names_the_rule() -> None:
    with pytest.raises(Forbidden, match=RULE):
        Authorization({RULE: "!"}).check(RULE, ANN, "q")


def test_every_operation_stands_for_rules_that_exist() -> None:
    assert {rule for rules in OPERATIONS.values() for rule in rules} <= set(DEFAULTS)
