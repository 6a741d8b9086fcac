"""Signatures of notifications: as the Standard Webhooks specification has them."""

from __future__ import annotations

import base64

import pytest

from queues import webhook_signatures
from queues.errors import InvalidRequest

#: From the test suite of the specification's reference implementations.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIME_S = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_vector_of_the_specification_holds() -> None:
    assert webhook_signatures.headers([SECRET], ID, TIME_S, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": str(TIME_S),
        "webhook-signature": SIGNATURE,
    }


def test_each_secret_signs() -> None:
    other = webhook_signatures.new_secret()
    both = webhook_signatures.headers([other, SECRET], ID, TIME_S, BODY)["webhook-signature"]
    first, second = both.split(" ")
    assert second == SIGNATURE
    alone = webhook_signatures.headers([other], ID, TIME_S, BODY)
    assert first == alone["webhook-signature"] != SIGNATURE


def test_new_secrets_are_long_and_no_two_alike() -> None:
    made = {webhook_signatures.new_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        webhook_signatures.check("s", [secret])
        assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize(
    "value",
    [
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        [],
        [SECRET] * 5,
        [5],
        [SECRET.removeprefix("whsec_")],
        ["whsec_"],
        ["whsec_????"],
        ["whsec_" + base64.b64encode(b"k" * 23).decode()],
        ["whsec_" + base64.b64encode(b"k" * 65).decode()],
        ["whsk_" + base64.b64encode(b"k" * 32).decode()],
    ],
)
def test_what_is_no_list_of_secrets_is_refused_without_being_shown(value: object) -> None:
    with pytest.raises(InvalidRequest, match=r"^s") as refused:
        webhook_signatures.check("s", value)
    assert "MfKQ" not in str(refused.value)
