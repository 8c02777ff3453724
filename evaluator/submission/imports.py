"""What a Python source imports, as far as its text says so; found by searching the text, in time linear in its length.

The text is not parsed. Python's own parser and ``ast`` are not made for sources of strangers: a module of 200,000 signs ``-`` or
brackets ends the process in them. The search finds too much where a comment or a string looks like an import, which costs nothing
but a file that travels in vain. It finds too little where an import is hidden (``importlib.import_module("x")``, an encoding that
is not a superset of ASCII); such a module does not travel, so it is missing in every isolation tier alike, and nothing runs that no
digest covers.
"""

from __future__ import annotations

import re
import unicodedata

_JOINED = re.compile(rb"\\(?:\r\n|\r|\n)")
_BEGINS = rb"(?:\A(?:\xef\xbb\xbf)?|[\n\r;:])[ \t\f]*"
"""Where a statement may begin. Two matches never share the blanks, so the search stays linear."""
_IMPORT = re.compile(_BEGINS + rb"import[ \t\f]+([^\n\r;#]*)")
_FROM = re.compile(_BEGINS + rb"from[ \t\f]+([\w\x80-\xff]+)")
_NAME = re.compile(rb"[ \t\f]*([\w\x80-\xff]+)")
_STRATEGIES = re.compile(rb"\bevaluator[\s\\]*\.[\s\\]*strategies\b|\bfrom[\s\\]+evaluator[\s\\]+import\b")


def modules(text: bytes) -> set[str]:
    """First names of the modules that a source imports from its surroundings; relative imports are not among them."""
    text = _JOINED.sub(b" ", text)
    named = [part for match in _IMPORT.finditer(text) for part in match[1].split(b",")]
    named += [match[1] for match in _FROM.finditer(text)]
    found = (_NAME.match(part) for part in set(named))
    # Python compares names in this form, too.
    return {unicodedata.normalize("NFKC", match[1].decode("utf-8", "replace")) for match in found if match is not None}


def uses_strategies(text: bytes) -> bool:
    """Whether a source names the kit's package ``evaluator.strategies``, or imports something from ``evaluator``."""
    return _STRATEGIES.search(text) is not None
