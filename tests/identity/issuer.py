"""An identity provider of the tests: keys of every kind, tokens, and a published key set."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.clock import MovableClock

ISSUER = "https://issuer.example"
AUDIENCE = "nusku"

_WRITERS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


class SigningKey:
    """A key of the provider; `algorithm` is HS256, RS256, ES256 or EdDSA."""

    def __init__(self, algorithm: str, key_id: str | None = None) -> None:
        self.algorithm = algorithm
        self.key_id = key_id
        self.key: Any = _KINDS[algorithm]()

    @property
    def public(self) -> bytes:
        """What a verifier needs, as it stands in a file."""
        if isinstance(self.key, bytes):
            return self.key
        pem: bytes = self.key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        return pem

    @property
    def jwk(self) -> dict[str, Any]:
        """What stands in a key set."""
        written = _WRITERS[self.algorithm].to_jwk(self.key.public_key(), as_dict=True)
        return {**written, "kid": self.key_id, "use": "sig"}

    def token(self, clock: MovableClock, **claims: Any) -> str:
        """Return a token that is right, but for the given claims; None leaves one out."""
        now_s = clock.now_ms() // 1000
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": now_s + 600,
            "sub": "ann",
            "project_id": "p1",
            "roles": ["Member"],
            **claims,
        }
        kept = {name: value for name, value in payload.items() if value is not None}
        headers = {"kid": self.key_id} if self.key_id else None
        return jwt.encode(kept, self.key, algorithm=self.algorithm, headers=headers)


_KINDS: dict[str, Any] = {
    "HS256": lambda: b"a secret of at least thirty-two bytes",
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class KeySet:
    """A key set published over HTTP, that can change, fail, and count who reads it."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.content: bytes | None = None
        self.fails = False
        self.reads = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"

    def __enter__(self) -> KeySet:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _document(self) -> bytes:
        if self.content is not None:
            return self.content
        return json.dumps({"keys": [key.jwk for key in self.keys]}).encode()

    def _handler(key_set) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                key_set.reads += 1
                self.send_response(500 if key_set.fails else 200)
                self.end_headers()
                self.wfile.write(key_set._document())

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        return Handler
