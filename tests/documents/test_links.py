"""No link of a page is broken: files, anchors, pictures; nor is a page that a message or a docstring names."""

import json
import re

import pytest

from tests.documents.markdown import PAGES, ROOT, anchor, anchors, blocks, links

NOTEBOOKS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.ipynb"))


def broken(page: str, targets: list[str]) -> list[str]:
    found = []
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, name = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists():
            found.append(f"{page}: links to {target}, which is not there")
        elif name and file.suffix == ".md":
            there = anchors(str(file.resolve().relative_to(ROOT)))
            if there.count(name) != 1:
                found.append(f"{page}: links to {target}; that page has {there.count(name)} headings of this name")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_no_link_of_a_page_is_broken(page):
    assert broken(page, links(page)) == []


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_no_link_of_a_notebook_is_broken(page):
    cells = json.loads((ROOT / page).read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    targets = re.findall(r"\]\(([^()\s]+)\)", text)
    assert targets
    assert broken(page, targets) == []


def test_a_broken_link_is_found():
    assert broken("README.md", ["nowhere.md"]) == ["README.md: links to nowhere.md, which is not there"]
    assert broken("README.md", ["docs/glossary.md#no-such-heading"]) == [
        "README.md: links to docs/glossary.md#no-such-heading; that page has 0 headings of this name"
    ]
    assert broken("README.md", ["#profiles", "docs/participants.md#look-into-your-code---debug", "https://example.org/x"]) == []


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Verdicts, and what to do", "verdicts-and-what-to-do"),
        ("0:00  Does it run?", "000--does-it-run"),
        ("Look into your code: `--debug`", "look-into-your-code---debug"),
        ("The *filter* of [calls](x.md)", "the-filter-of-calls"),
        ("An entry: `entries/<hash>.json`", "an-entry-entrieshashjson"),
        ("Prüfen & senden", "prüfen--senden"),
    ],
)
def test_anchors_are_those_of_a_repositorys_web_site(heading, expected):
    assert anchor(heading) == expected


def test_pages_that_the_code_names_are_there():
    files = [*(ROOT / "evaluator").rglob("*.py"), *(ROOT / "experiments").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    named = {
        (str(file.relative_to(ROOT)), page, name)
        for file in [*files, ROOT / "run.py", ROOT / "local_evaluation.py", ROOT / "Makefile"]
        for page, name in re.findall(r"\b(docs/[a-z0-9-]+\.md)(?:#([\w-]+))?", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name[1]).is_file()] == []
    assert [name for name in sorted(named) if name[2] and name[2] not in anchors(name[1])] == []


def test_every_block_ends_and_comments_belong_to_the_block_after_them():
    text = "# a\n<!-- not run: takes minutes -->\n```bash\nx\n```\n\n<!-- file: a.py -->\nwords\n```python\n# not a heading\n```\n"
    first, second = blocks("a.md", text)
    assert (first.language, first.text, first.notes, first.line) == ("bash", "x\n", {"not run": "takes minutes"}, 3)
    assert (second.language, second.notes) == ("python", {})
    with pytest.raises(AssertionError, match="does not end"):
        list(blocks("a.md", "```\nx\n"))
