"""Every curl of the documents is run, in order, and answers as the page shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.docs.likeness import Answer, answers, check
from tests.docs.markdown import ROOT, Block, blocks
from tests.e2e.nusku import NuskuServer

DEFAULT_URL = "http://127.0.0.1:8888"
MARK = "=== next script ==="


def _is_script(block: Block) -> bool:
    return block.language == "sh" and ("curl" in block.text or DEFAULT_URL in block.text)


def _scripts(page: Path) -> list[tuple[str, list[Answer]]]:
    """Return each script of the page with the answers that are shown for it."""
    found: list[tuple[str, list[Answer]]] = []
    for block in blocks(page):
        if _is_script(block):
            found.append((block.text, []))
        elif block.language == "http":
            found[-1][1].extend(answers(block.text))
    return found


def _run(scripts: list[str], url: str, folder: Path) -> list[str]:
    """Run the scripts in one shell, and return what each printed."""
    program = "".join(f"printf '\\n{MARK}\\n'\n{script}\n" for script in scripts)
    # The only change to the text of the page: the address of the server.
    program = program.replace(DEFAULT_URL, url)
    done = subprocess.run(
        ["/bin/sh", "-eu"],
        input=program,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(MARK)[1:]


@pytest.mark.parametrize(
    ("page", "at_least"),
    [("README.md", 14), ("docs/http-api.md", 25), ("docs/authentication.md", 4)],
    ids=str,
)
def test_every_curl_answers_as_shown(
    page: str, at_least: int, nusku: NuskuServer, tmp_path: Path
) -> None:
    scripts = _scripts(ROOT / page)
    printed = _run([text for text, _ in scripts], nusku.url, tmp_path)
    checked = 0
    for (text, shown), output in zip(scripts, printed, strict=True):
        real = answers(output)
        assert len(shown) == len(real), f"{text}\n{output}"
        for expected, answer in zip(shown, real, strict=True):
            check(expected, answer, text)
            checked += 1
    assert checked >= at_least


def test_the_readme_repeats_a_post_and_gets_the_same_ids(
    nusku: NuskuServer, tmp_path: Path
) -> None:
    scripts = [text for text, _ in _scripts(ROOT / "README.md")[:3]]
    first, again = answers(_run(scripts, nusku.url, tmp_path)[-1])
    assert first.document == again.document


def test_the_readme_begins_with_the_two_commands() -> None:
    first = blocks(ROOT / "README.md")[0]
    assert first.text.splitlines() == [
        "python -m pip install . && nusku serve",
        "python -m pip install tox && python -m tox",
    ]


def test_no_curl_is_hidden_in_a_block_that_is_not_run() -> None:
    for page in map(ROOT.joinpath, ("README.md", "docs/http-api.md", "docs/authentication.md")):
        for block in blocks(page):
            assert _is_script(block) or "curl" not in block.text
