"""The file of keys."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from queues.errors import ConfigurationError
from queues.keys import KeyRing, read

SECRET = base64.b64encode(b"k" * 32).decode()


def _file(tmp_path: Path, text: str) -> str:
    file = tmp_path / "keys.toml"
    file.write_text(text)
    return str(file)


def test_without_a_file_there_are_no_keys() -> None:
    assert read("") == KeyRing()


def test_sections_keep_their_order_so_the_first_key_is_the_current_one(tmp_path: Path) -> None:
    text = f'[signed_urls]\nb = "two"\na = "one"\n[tokens]\nt = "{SECRET}"\n'
    ring = read(_file(tmp_path, text + f'[encryption]\n2026-11 = "{SECRET}"\n'))
    assert list(ring.signed_urls.items()) == [("b", b"two"), ("a", b"one")]
    assert dict(ring.tokens) == {"t": b"k" * 32}
    assert dict(ring.encryption) == {"2026-11": b"k" * 32}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[sigend_urls]\na = "x"', "no section 'sigend_urls'"),
        ('signed_urls = "hush"', "must be a section"),
        ("[signed_urls]\na = 1", "must be a string"),
        ('[signed_urls]\na = ""', "must be a string"),
        ('[signed_urls]\n"a b" = "hush"', "an id has"),
        ('[tokens]\na = "hush!"', "base64"),
        ('[tokens]\na = "aHVzaA=="', "at least 32 bytes"),
        ('[encryption]\na = "aHVzaA=="', "32 bytes"),
        ('[encryption\na = "hush"', "no valid TOML"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_without_the_key(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        read(_file(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value).replace(str(tmp_path), "")
    assert "aHVzaA" not in str(caught.value)


def test_an_absent_file_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml"):
        read("/absent.toml")


def test_the_representation_shows_no_key(tmp_path: Path) -> None:
    assert "hush" not in repr(read(_file(tmp_path, '[signed_urls]\na = "hush"')))
