"""A submission's requirements.txt against an environment: what is not met is named, and nothing in the file can do harm."""

import os
from contextlib import suppress

import pytest
from hypothesis import strategies as st

from evaluator.submission.environment import MAX_LINES, NAMED, NoRequirement, parsed, read_requirements, unmet, warning
from evaluator.submission.image import ImageError, needs_of
from tests.fuzzing import counts, hold

INSTALLED = {"torch": "2.15.0+cpu", "scikit-learn": "1.9.1", "numpy": "2.4.0", "odd": "not-a-version"}


def found(text):
    return [(finding.line, finding.unmet) for finding in unmet(text, INSTALLED.get)]


@pytest.mark.parametrize(
    "line",
    [
        *("", "# a note", "torch", "torch==2.15.0", "torch>=2,<3  # the round's", "Scikit_Learn>=1.9", "numpy[extra]~=2.4"),
        *("absent; python_version < '3'", "numpy>=2 --hash=sha256:00", "numpy \\\n  >=2"),
    ],
)
def test_what_is_met_is_not_named(line):
    assert found(line) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("absent", "absent is asked for, and not installed"),
        ("torch>=3", "torch>=3 is asked for, and 2.15.0+cpu is installed"),
        ("absent; python_version > '3'", "not installed"),
        ("numpy \\\n  >=3", "2.4.0 is installed"),
    ],
)
def test_what_is_not_met_is_named_with_its_line(line, said):
    (finding,) = unmet(f"numpy\n\n{line}\n", INSTALLED.get)
    assert (finding.line, finding.unmet) == (3, True)
    assert said in finding.text


@pytest.mark.parametrize(
    "line",
    [
        *("-r other.txt", "--index-url https://x", "git+https://x/y", "https://x/y.whl", "./local", "x @ https://x/y.whl"),
        *("numpy>=", "???", "numpy; nonsense == 1", "odd>=1", "x" * 501),
        *(
            "numpy; os_name ~= 'x'",
            "numpy; python_version ~= os_name",
            "a;" + "(" * 498,
            "a;" + "(" * 21 + "os_name == 'x'" + ")" * 21,
        ),
        *("numpy; extras == 'x'", "numpy; dependency_groups == 'x'", "numpy ;" + " not" * 100),
    ],
)
def test_what_cannot_be_checked_is_said_and_is_not_unmet(line):
    assert found(line) == [(1, False)]


def test_a_hostile_file_gives_short_and_harmless_text(tmp_path):
    text = "\n".join(f"absent{i}\x1b[2J\u202e==1" for i in range(3 * MAX_LINES)) + "\nabsent" + "\\\n" * 5000
    findings = unmet(text, INSTALLED.get)
    assert len(findings) <= MAX_LINES + 1
    said = warning("mine\x1b[2J", findings)
    assert said.isprintable()
    assert len(said) < 200 * (NAMED + 2)
    assert f"and {len(findings) - NAMED} more" in said


def test_the_file_of_a_folder_and_of_one_file_is_read(tmp_path):
    (tmp_path / "run.py").write_text("")
    assert read_requirements(tmp_path) == read_requirements(tmp_path / "run.py") == []
    (tmp_path / "requirements.txt").write_bytes(b"\xef\xbb\xbfabsent-of-this-name>=1\n")
    for path in (tmp_path, tmp_path / "run.py"):
        (finding,) = read_requirements(path)
        assert finding.unmet


def test_a_pipe_a_large_file_and_bytes_are_not_read(tmp_path):
    path = tmp_path / "requirements.txt"
    os.mkfifo(path)
    assert [f.unmet for f in read_requirements(tmp_path)] == [False]
    path.unlink()
    for content in (b"#" * 70_000, b"\xff\xfe"):
        path.write_bytes(content)
        assert [f.unmet for f in read_requirements(tmp_path)] == [False]


def test_no_password_of_a_line_is_shown():
    lines = "--index-url https://fox:hunter2@host/simple\nx @ https://fox:hunter2@host/x.whl\n-e git+https://hunter2@host/x\n"
    found = unmet(lines)
    assert len(found) == 3
    assert "hunter2" not in "".join(finding.text for finding in found)
    assert "https://host/simple" in found[0].text


@pytest.mark.parametrize("line", ["numpy; os_name ~= 'x'", "a;" + "(" * 498, "(" * 5000, "numpy; extras == 'x'"])
def test_a_line_that_the_parser_fails_on_is_refused_by_an_image_too(tmp_path, line):
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    with pytest.raises(ImageError, match=r"requirements\.txt, line 1: "):
        needs_of(tmp_path)


WORDS = [
    "numpy",
    "absent",
    "os_name",
    "extra",
    "extras",
    "python_version",
    "implementation_version",
    "'x'",
    "'3.*'",
    "''",
    "'1!1'",
    "'\u0660'",
]
WORDS += [
    "==",
    "~=",
    "===",
    "in",
    "not in",
    "<",
    ">=",
    "!=1.*",
    "===foo",
    "@ https://x",
    "[a]",
    "(",
    ")",
    ";",
    "and",
    "or",
    ",",
    " ",
    "1",
]


@counts(300)
def test_no_line_of_words_that_the_parser_knows_gets_past_it(count):
    """Whatever the parser or the evaluation of a marker raises is an answer about the line, and nothing else."""

    def check(words):
        line = " ".join(words)
        with suppress(NoRequirement):
            parsed(line)
        unmet(f"numpy ; {line}\n{line}", INSTALLED.get)

    hold(count, check, st.lists(st.sampled_from(WORDS), max_size=12))
