"""The form of stored files: what changed is found whichever key was read, and another layout of the same content counts."""

import hashlib
import json

import pytest

import evaluator.history.reading
from evaluator.history.checksum import members, sealed
from evaluator.history.reading import KINDS, sound
from evaluator.specs import checksum

CELL = {name: {} for name in KINDS["cell"].needed} | {
    "cell": "abc",
    "reason": 'a "quoted":"word",\nand a second line, ü',
    "ledger": [{"order": 0, "index": 7, "seconds": 1.5e-7, "label": [0, 1]}],
    "metrics": {"macro_f1": 0.1 + 0.2, "f1": {"b": 1e300, "a": -0.0}},
    "zulu": None,
}
RAW = sealed(CELL).encode()
ONLY = {"metrics", "verdict"}


def older(content):
    """As kits before this one wrote it."""
    return (json.dumps(content | {"checksum": checksum(content)}, indent=1) + "\n").encode()


def test_a_file_is_json_with_its_checksum_at_the_end():
    assert json.loads(RAW) == CELL | {"checksum": checksum(CELL)}
    assert {name: json.loads(text) for name, text in members(RAW).items()} == json.loads(RAW)
    assert sound(RAW, "cell", "abc") == (CELL, "")
    assert sound(RAW, "cell", "abd") == (None, "does not hold this cell")
    assert sound(RAW, "answer", "abc")[0] is None


def test_a_file_of_this_form_is_checked_without_writing_it_anew(monkeypatch):
    monkeypatch.setattr(evaluator.history.reading, "checksum", lambda content: pytest.fail("written anew"))
    assert sound(RAW, "cell", "abc", ONLY) == ({name: CELL[name] for name in ONLY}, "")


@pytest.mark.parametrize(
    "raw",
    [
        older(CELL),
        json.dumps(json.loads(RAW)).encode(),
        json.dumps(json.loads(RAW), ensure_ascii=False, indent="\t").encode(),
        RAW.replace(b"\n", b"\r\n"),
        RAW.rstrip(),
        b" " + RAW,
    ],
    ids=["older kit", "one line", "tabs", "Windows", "no end of line", "space"],
)
def test_another_layout_of_the_same_content_counts(raw):
    assert members(raw) is None
    assert sound(raw, "cell", "abc") == (CELL, "")
    assert sound(raw, "cell", "abc", {*ONLY, "checksum"})[0] == {name: json.loads(RAW)[name] for name in (*ONLY, "checksum")}


@pytest.mark.parametrize("only", [None, ONLY], ids=["all keys", "two keys"])
def test_no_change_of_a_byte_goes_unnoticed(only):
    right = (CELL if only is None else {name: CELL[name] for name in only}, "")
    noticed = 0
    for i in range(len(RAW)):
        for byte in (b"", b"0", b"1", b"x", b'"', b",", b"\n", b"}", bytes([RAW[i] ^ 32])):
            for raw in (RAW[:i] + byte + RAW[i + 1 :], RAW[:i] + byte + RAW[i:]):
                found = sound(raw, "cell", "abc", only)
                assert found == right or (found[0] is None and raw != RAW), raw
                noticed += found[0] is None
    # What remains is white space between members: the content is the same.
    assert noticed > 12 * len(RAW)


def test_half_a_file_is_damaged_wherever_it_ends():
    assert {sound(RAW[:i], "cell", "abc", ONLY)[1] for i in range(len(RAW) - 1)} == {"is damaged"}


@pytest.mark.parametrize("change", [lambda cell: cell["ledger"].pop(), lambda cell: cell["metrics"].update(macro_f1=0.3)])
@pytest.mark.parametrize("write", [older, sealed])
def test_what_another_program_changed_does_not_fit_its_checksum(change, write):
    text = write(CELL)
    cell = json.loads(text)
    change(cell)
    changed = json.dumps(cell, indent=1).encode()
    assert sound(changed, "cell", "abc", ONLY) == (None, "was changed after it was written")


def test_a_number_that_json_does_not_have_is_neither_written_nor_read():
    with pytest.raises(ValueError, match="JSON"):
        sealed(CELL | {"metrics": float("nan")})
    lines = RAW.replace(b'"zulu":null', b'"zulu":NaN').split(b"\n")
    fits = hashlib.sha256(b"".join(lines[:-3])[:-1] + b"}").hexdigest().encode()
    forged = b"\n".join([*lines[:-3], b'"checksum":"' + fits + b'"', b"}", b""])
    assert members(forged) is not None
    assert sound(forged, "cell", "abc") == (None, "is damaged")
