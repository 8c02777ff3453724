"""Commands that are printed can be pasted: a path or a name in them is quoted as a shell needs it."""

import ast
import re
from pathlib import Path

from evaluator.text import as_command

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = re.compile(
    r"python -m evaluator |local_evaluation\.py |chmod -?[\dR{]|git (?:add|push|tag|remote|rm|checkout) |docker (?:rm|build|pull) "
)
PLAIN = {
    "track",
    "self.name",  # of a track
    "terms.track",
    "architecture",
    "name",  # of a profile of the kit
    "practice",  # a profile of the kit
    "profile.name",  # of a profile of the kit, in a round of curation
    "names[-1]",  # of an image of the kit
    "self._id[:12]",
    "path.name",  # of the kit's own weights
    "file",  # of a round: publish/public.toml
}
"""What is put into commands as it is: words that the kit chose, which need no quotes."""


def unquoted(source: str) -> list[str]:
    """Values in texts with a command that stand behind it, and are neither quoted nor chosen by the kit."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                before += part.value
                continue
            value = ast.unparse(part.value)  # type: ignore[attr-defined]
            began = COMMANDS.search(before)
            ended = began and re.search(r"[`;\n]|\. |, ", before[began.end() :])
            if began and not ended and not (value.isupper() or value in PLAIN or value.startswith(("as_command(", "shlex."))):
                found.append(f"line {node.lineno}: {value}")
            before += "{}"
    return found


def test_values_in_commands_are_quoted():
    files = sorted((ROOT / "evaluator").rglob("*.py"))
    found = {str(path.relative_to(ROOT)): values for path in files if (values := unquoted(path.read_text()))}
    assert found == {}, "use evaluator.text.as_command"


def test_the_search_finds_what_it_is_for():
    assert unquoted('f"python -m evaluator round check {root}"') == ["line 1: root"]
    assert unquoted('f"Run `python -m evaluator package PATH` for {root}"') == []


def test_a_command_is_one_line_that_a_shell_reads_back():
    assert (
        as_command("python", "-m", "evaluator", "round", "check", Path("own/runde ä"))
        == "python -m evaluator round check 'own/runde ä'"
    )
    assert as_command("x", "it's", "a;b", "$HOME") == """x 'it'"'"'s' 'a;b' '$HOME'"""
    assert "\n" not in as_command("x", "a\nb")
