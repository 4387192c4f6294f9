"""What the documents point at is there: files, headings, targets of make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.house.tree import ROOT

FOLDERS = ("docs", "conformance", "bench", "examples")
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))

FENCE = re.compile(r"^(```|~~~).*?^\1`*\s*$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
# [text](target "title") and [label]: target
LINK = re.compile(
    r"\[[^\]\[]*(?:\[[^\]]*\][^\]\[]*)*\]\(\s*<?([^\s)>]+)>?[^)]*\)|^\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE
)
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def prose(text: str) -> str:
    """A document without its code."""
    return CODE_SPAN.sub("", FENCE.sub("", text))


def code(text: str) -> list[str]:
    """The code of a document: blocks, then spans."""
    return [match.group() for match in FENCE.finditer(text)] + [
        match.group(2) for match in CODE_SPAN.finditer(FENCE.sub("", text))
    ]


def targets(text: str) -> list[str]:
    return [first or second for first, second in LINK.findall(prose(text))]


def anchors(text: str) -> set[str]:
    """The fragments that lead to a document's headings, made as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?)(?: +#+)?$", FENCE.sub("", text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = base = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        number = 0
        while slug in found:
            number += 1
            slug = f"{base}-{number}"
        found.add(slug)
    return found


def broken_links(document: Path) -> Iterator[str]:
    for target in targets(document.read_text(encoding="utf-8")):
        if OUTSIDE.match(target):
            continue
        path, _, fragment = unquote(target).partition("#")
        place = document.parent / path if path else document
        if not place.exists():
            yield f"{document.name}: {target}: no such file"
        elif fragment and fragment not in anchors(place.read_text(encoding="utf-8")):
            yield f"{document.name}: {target}: no such heading"


def make_targets_named(text: str) -> set[str]:
    return {name for piece in code(text) for name in re.findall(r"\bmake ([a-z][a-z-]*)", piece)}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_the_documents_are_found() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in DOCUMENTS}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md", "conformance/README.md"} <= names
    assert {"docs/design.md", "CHANGELOG.md"} <= set(targets((ROOT / "README.md").read_text(encoding="utf-8")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    assert list(broken_links(document)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_targets_of_make_exist(document: Path) -> None:
    assert make_targets_named(document.read_text(encoding="utf-8")) - make_targets() == set()


def test_the_readme_names_targets_of_make() -> None:
    assert make_targets_named((ROOT / "README.md").read_text(encoding="utf-8"))


# --- the checks themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a](b.md)", []),
        ("[a](b.md#one-two)", []),
        ("[a](#here-1) \n# Here\n# Here\n", []),
        ("[a](https://example.com/none) [m](mailto:a@example.com)", []),
        ("`[a](none.md)` and\n```\n[a](none.md)\n```\n", []),
        ("``a ` [a](none.md)`` [b](b.md)", []),
        ("[a](none.md)", ["no such file"]),
        ("[`a`](sub/none.md) [b]\n\n[b]: none.md\n", ["no such file", "no such file"]),
        ("[a\nb](b.md#none)", ["no such heading"]),
        ("[a](#none)\n```\n# None\n```\n", ["no such heading"]),
    ],
)
def test_a_broken_link_is_found(text: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# One, `two`!\n", encoding="utf-8")
    document = tmp_path / "a.md"
    document.write_text(text, encoding="utf-8")
    broken = list(broken_links(document))
    assert [line.rpartition(": ")[2] for line in broken] == found


def test_targets_of_make_are_read_from_code_only() -> None:
    text = "make sure of `make test` and\n```console\n$ make test-peers ARGS=x\n$ FOO=1 make bench\n```\nmake up"
    assert make_targets_named(text) == {"test", "test-peers", "bench"}
