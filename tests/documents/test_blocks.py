"""Every block of code in a page is looked at: the kit has its commands, Python compiles, and whatever is not run says why."""

import re
from collections import Counter

import pytest

from tests.documents.commands import OTHER, commands, fault, is_shell
from tests.documents.markdown import PAGES, Block, blocks, inline

REASONS = {
    "takes minutes": "with real sizes; the verbs are run small elsewhere",
    "takes hours": "a measurement of a study",
    "needs a GPU": "",
    "needs a network": "installs or fetches something",
    "needs a container engine": "",
    "needs a cluster": "",
    "needs data that the kit does not have": "official archives, ImageNet, predictions of published models",
    "changes the checkout": "writes environments, hooks or committed pages",
    "has no end": "runs until it is stopped",
}
"""Why a block is not run: the comment ``<!-- not run: REASON -->`` right before it. It is a closed set."""
UNFINISHED = "arguments are required|expected at least one argument|a command is missing"
"""Of a command that a sentence only names."""
EXAMPLE = r"\||\"\""
"""Several commands in one, and an option with an empty value, which is refused: no commands to type."""
ALL = [block for page in PAGES for block in blocks(page)]
CODE = [block for block in ALL if is_shell(block) or block.language == "python"]


def test_a_block_names_a_language_that_is_known():
    assert [
        f"{block.where}: {block.language}" for block in ALL if block.language and block not in CODE and block.language not in OTHER
    ] == []


@pytest.mark.parametrize("page", sorted({block.page for block in CODE}))
def test_the_blocks_of_a_page_are_such_that_the_kit_has(page):
    found = []
    for block in CODE:
        if block.page == page and block.language == "python":
            compile(block.text, block.where, "exec")
        elif block.page == page:
            found += [f"{command.where}: {command.text}\n    {why}" for command in commands(block) if (why := fault(command))]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("page", PAGES)
def test_commands_within_sentences_are_such_that_the_kit_has(page):
    found = []
    for text in inline(page):
        if not re.search(EXAMPLE, text) and re.match(
            r"(python -m [a-z]|python local_evaluation\.py|local_evaluation\.py --|dck |make [a-z])", text
        ):
            words = text if text.startswith(("python", "dck", "make")) else f"python {text}"
            (command,) = commands(Block(page, 0, "bash", f"{words}\n", {}))
            if (why := fault(command)) and not re.search(UNFINISHED, why):
                found.append(f"{text}\n    {why}")
    assert found == [], "\n".join(found)


def test_what_is_not_run_says_why_in_a_word_of_the_list(capsys):
    notes = Counter(block.notes["not run"] for block in CODE if "not run" in block.notes)
    with capsys.disabled():
        run = len(CODE) - notes.total()
        print(f"\nblocks of code in the pages: {len(CODE)}; run by a test: {run}; not run: {dict(notes.most_common())}")
    assert set(notes) <= set(REASONS)
    assert notes.total() < len(CODE) / 2, "most blocks are run"


def block(text: str, language: str = "bash") -> Block:
    return Block("page.md", 0, language, text, {})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("python -m evaluator sweep --submissions baselines/random --sedes 3", "there is no option '--sedes'"),
        ("python -m evaluator swep", "there is no 'swep'"),
        ("python -m evaluator results lst", "there is no 'lst'"),
        ("python local_evaluation.py --seeds many", "invalid int value"),
        ("python local_evaluation.py --profile quik", "there is no profile quik"),
        ("python local_evaluation.py --pipeline quikc", "there is no pipeline quikc"),
        (
            "python -m evaluator sweep --track cleaning --submissions baselines/cleaning/random --pairs public",
            "there is no option '--pairs'",
        ),
        ("python -m evaluator sweep --submissions baselines/none.py", "there is no baselines/none.py"),
        ("python -m experiments.nothing", "there is no -m experiments.nothing"),
        ("python -m docs.make_keys --chek", "docs/make_keys.py has no option --chek"),
        ("make evalute", "the Makefile has no evalute"),
        ("make test WORKERZ=1", "the Makefile has no WORKERZ=1"),
        ("pip install -r requirements-none.txt", "there is no requirements-none.txt"),
        ("frobnicate", "no program that"),
    ],
)
def test_a_command_that_the_kit_has_not_is_found(line, said):
    (command,) = commands(block(line))
    assert said in fault(command)


@pytest.mark.parametrize(
    "line",
    [
        "python -m evaluator sweep --track cleaning --submissions baselines/cleaning/random --seeds 3 ...",
        "python -m evaluator report results/<run> --out page.html   # a page",
        'python -m evaluator sweep --submissions "baselines/*" --pairs grid:500,1000x15,30 > out.txt',
        "make test ARGS='-k market' TORCH=cpu",
        "OMP_NUM_THREADS=1 python -m evaluator doctor",
    ],
)
def test_a_command_that_the_kit_has_is_taken(line):
    (command,) = commands(block(line))
    assert fault(command) == ""


def test_a_block_is_split_as_a_shell_splits_it():
    text = "a --b 1 \\\n  --c '2 # 3'   # words\n# nothing\ncd x && d > out.json\n"
    found = commands(block(text))
    assert [(command.words, command.written) for command in found] == [
        (("a", "--b", "1", "--c", "2 # 3"), ""),
        (("cd", "x"), ""),
        (("d",), "out.json"),
    ]
    assert [command.words for command in commands(block("$ make help\nmake evaluate\n$ dck doctor\n", "console"))] == [
        ("make", "help"),
        ("dck", "doctor"),
    ]
