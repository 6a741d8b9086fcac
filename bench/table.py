"""`python -m bench table`: the tables of runs that were kept, in Markdown."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.report import tables

_MEASURED = Path(__file__).parent / "measured"


def run(flags: argparse.Namespace) -> dict[str, Any]:
    """Print the tables of each file; without any, of all in `measured/`."""
    for file in flags.files or sorted(_MEASURED.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        print(f"\n### {file.stem} ({content['date'][:10]})\n\n{tables(content)}")
    return {}
