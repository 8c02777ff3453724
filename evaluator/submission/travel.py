"""What of a submission travels to the worker: one rule, the same in every isolation tier, and the same for the digest.

Regular files travel: sources and data. What lies beside them and does not decide what runs stays behind:

- bytecode (``__pycache__``, ``*.pyc``), which would run without that anybody reads it,
- folders of version control, virtual environments, caches of tools,
- what editors, merges and file managers leave (swap files, backups, ``.DS_Store``),
- at the top of a folder, what describes the submission to people (``aicrowd.json``; README, NOTES, TODO, LICENSE and the like,
  alone or with the ending of a text),
- what is a secret by its name: keys, certificates, tokens of tools. A submission that needs a secret cannot be judged,
- what the file ``.submitignore`` at the top names (``ignore``),
- sockets, named pipes and devices.

Every other file travels, and so it counts: code may read ``words.txt`` or ``prompt.md``, and nobody can tell from outside.
"""

from __future__ import annotations

import stat
import unicodedata
from fnmatch import fnmatchcase

NEVER = frozenset(
    {
        *("__pycache__", ".git", ".hg", ".svn", ".venv", ".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
        *(".tox", ".nox", ".hypothesis", ".coverage", ".idea", ".vscode", ".ropeproject", ".spyproject", ".editorconfig"),
        *("__MACOSX", ".AppleDouble", ".DS_Store", "Icon\r", ".directory", "Thumbs.db", "desktop.ini", "4913"),
        *(".gitignore", ".gitattributes", ".gitkeep", ".gitmodules", ".submitignore"),
    }
)
"""Names that stay behind, of files and of folders."""
PATTERNS = (
    *("*.pyc", "*.pyo", "*~", "#*#", ".#*", "._*", ".*.sw[a-p]", ".sw[a-p]", "*.py.sw[a-p]", "*.kate-swp", ".~lock.*#"),
    *("*.orig", "*.rej", "*.bak", ".nfs*", ".fuse_hidden*", "*.sublime-workspace", "*.sublime-project", "*___jb_tmp___"),
)
"""Patterns of names that stay behind: bytecode, and what editors, merges and file managers leave."""
SECRETS = (
    *(".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx", "*.ppk", "*.asc", "*.gpg"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "authorized_keys", "known_hosts", ".ssh", ".gnupg", ".aws", ".azure"),
    *(".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", ".gitconfig", ".htpasswd", ".dockercfg", ".docker", ".kube"),
    *("kaggle.json", "credentials.json", "client_secret*.json", "service_account*.json", "*.keystore", ".aicrowd", "token.txt"),
)
"""Patterns of names, in any case, that are secrets of their owner; of files and of folders. They never travel."""
ENVIRONMENTS = frozenset({"pyvenv.cfg", "conda-meta"})
"""A folder that holds one of them is a virtual environment and stays behind."""
DESCRIPTIONS = frozenset(
    {
        *("AUTHORS", "CHANGELOG", "CHANGES", "CITATION", "CONTRIBUTING", "COPYING", "HISTORY", "IDEAS"),
        *("LICENCE", "LICENSE", "NOTES", "NOTICE", "README", "TODO"),
    }
)
"""Names, in any case, of files that describe a submission to people; with an ending of ``TEXTS``, and only at its top."""
TEXTS = frozenset({"", "cff", "md", "rst", "txt"})
MANIFEST = "aicrowd.json"


def secret(name: str) -> bool:
    """Whether a file or folder of that name is a secret of its owner."""
    return any(fnmatchcase(name.lower(), pattern) for pattern in SECRETS)


def stays(name: str, top: bool) -> bool:
    """Whether a file or folder of that name stays behind. ``top``: it lies at the top of the submission's folder."""
    if name in NEVER or any(fnmatchcase(name, pattern) for pattern in PATTERNS):
        return True
    stem, _, ending = name.partition(".")
    return top and (name == MANIFEST or (stem.upper() in DESCRIPTIONS and ending.lower() in TEXTS))


def showable(name: str) -> bool:
    """Whether a name can be shown and stored: no half characters (bytes that are not UTF-8), no control characters or line ends."""
    return name.isprintable() or not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)


def kind(mode: int) -> str:
    """What a file is, in words, by its ``st_mode``."""
    kinds = {
        stat.S_IFREG: "a regular file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")
