"""The table of settings is the class of settings."""

from __future__ import annotations

from dataclasses import fields

import pytest

from queues.config import PREFIX, Settings
from tests.docs.markdown import ROOT, rows
from transport.cli import main

_TYPES = {"str": "text", "int": "integer", "float": "number", "bool": "boolean"}


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text or "(empty)"


def _table() -> list[list[str]]:
    return [
        [cell.strip("`") for cell in row]
        for row in rows(ROOT / "docs/operations.md", "Setting")
    ]


def test_every_setting_is_listed_with_variable_type_and_default() -> None:
    real = {
        field.name: [PREFIX + field.name.upper(), _TYPES[field.type], _shown(field.default)]
        for field in fields(Settings)
    }
    assert {row[0]: row[2:5] for row in _table()} == real
    assert all(row[5] for row in _table())


def test_every_flag_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    usage = capsys.readouterr().out.partition("options:")[0].split()
    real = {word.strip("[]") for word in usage if word.startswith("[--")} - {"--config"}
    assert {row[1] for row in _table() if row[1]} == real
