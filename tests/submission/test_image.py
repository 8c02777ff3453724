"""An image for one submission: what is asked for is checked before anything is built, and what a build says is kept and bounded."""

import json
import socket
import tarfile
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from evaluator import __version__
from evaluator.cli.main import main
from evaluator.errors import ConfigurationError, Verdict
from evaluator.purchase.track import PURCHASE
from evaluator.sandbox.engine import Engine, EngineError
from evaluator.submission.apt import MAX_PACKAGES, parse_apt, read_apt
from evaluator.submission.image import (
    LABEL,
    REPOSITORY,
    How,
    Image,
    ImageError,
    Needs,
    built_image,
    digest_of,
    dockerfile,
    needs_of,
)
from evaluator.submission.validate import examine

BASE = {"Id": "sha256:base", "Size": 1_000, "Config": {"User": "evaluator", "Labels": {}}}
RUN = "from run import ZEWDPCBaseRun\n\n\nclass Mine(ZEWDPCBaseRun):\n    def purchase_phase(self):\n        pass\n"


class FakeEngine:
    """An engine that knows images and builds as it is told."""

    def __init__(self, rows=(), size=1_000, error: Exception | None = None) -> None:
        self.images = {"data-centric-kit": dict(BASE)}
        self.rows, self.size, self.error = rows, size, error
        self.builds: list[dict] = []
        self.context: dict[str, bytes] = {}
        self.asked: list[tuple] = []

    def image(self, name):
        return self.images.get(name)

    def ask(self, method, path, body=None, **query):
        self.asked.append((method, path, query))
        if method == "DELETE":
            self.images.pop(path.removeprefix("/images/"))

    def stream(self, path, body, seconds, **query):
        self.builds.append(query)
        with tarfile.open(fileobj=body) as tar:
            self.context = {member.name: tar.extractfile(member).read() for member in tar}
        yield from self.rows
        if self.error is not None:
            raise self.error
        label = self.context["Dockerfile"].decode().splitlines()[1].removeprefix("LABEL ").partition("=")
        made = {"Id": "sha256:new", "Size": BASE["Size"] + self.size, "Config": {"Labels": {label[0]: label[2]}}}
        self.images[query["t"]] = made


@pytest.fixture
def mine(tmp_path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.py").write_text(RUN)
    (folder / "Dockerfile").write_text("FROM scratch\nRUN steal\n")
    (folder / "apt.txt").write_text("# drawing\nlibgl1\nffmpeg=7:5.1.6-0+deb12u1  # video\n\nlibgl1\n")
    (folder / "requirements.txt").write_text(
        "scikit-image >=0.25,<1  # pictures\npandas[excel]; python_version > '3'\nxxhash==3.5.0 \\\n  --hash=sha256:"
        + "0" * 64
        + "\n"
    )
    return folder


def test_what_a_submission_asks_for_is_read_as_names_and_versions(mine):
    needs = needs_of(mine)
    assert needs.packages == ("libgl1", "ffmpeg=7:5.1.6-0+deb12u1")
    assert needs.requirements == (
        "scikit-image<1,>=0.25",
        'pandas[excel]; python_version > "3"',
        f"xxhash==3.5.0 --hash=sha256:{'0' * 64}",
    )
    assert needs_of(mine / "run.py") == needs, "beside a file"
    assert not needs_of(mine.parent)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "libgl1; rm -rf /",
            "$(id)",
            "`id`",
            "libgl1 libgl2",
            "--allow-unauthenticated",
            "-o",
            "LibGL1",
            "../x",
            "x",
            "libgl1|sh",
        ),
        *("libgl1=", "a=1 b", "libgl1\x00", "lib\u202egl", "https://x/y.deb", "./own.deb", "libgl1&&id", "a" * 100),
    ],
)
def test_what_is_no_name_of_a_debian_package_is_refused(mine, line):
    (mine / "apt.txt").write_text(f"libgl1\n{line}\n")
    with pytest.raises(ImageError, match=r"apt\.txt, line 2: .* is no name of a Debian package") as error:
        needs_of(mine)
    assert error.value.verdict == Verdict.RUNTIME_ERROR
    assert str(error.value).isprintable()
    assert any(finding.place == "apt.txt, line 2" for finding in examine(mine, "purchase", 20).errors)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "-r other.txt",
            "--index-url https://evil",
            "-e .",
            ".",
            "./own.whl",
            "git+https://x/y",
            "x @ https://x/y.whl",
            "numpy>=",
        ),
        *("numpy --index-url https://evil", "numpy --config-settings=a=b", "numpy; rm -rf /", "$(id)", "numpy --hash=sha256:zz"),
        *("file:///etc/passwd", "numpy --global-option=x", "--pre", "x" * 501),
    ],
)
def test_what_could_lead_elsewhere_is_no_requirement(mine, line):
    (mine / "requirements.txt").write_text(f"numpy\n{line}\n")
    with pytest.raises(ImageError, match=r"requirements\.txt, line 2: .* is no requirement of a name and versions"):
        needs_of(mine)


def test_files_that_are_no_lists_are_refused(mine):
    assert read_apt(mine.parent / "gone").packages == ()
    for name, content, said in (
        ("apt.txt", b"\xff", "apt.txt: it is not text in UTF-8"),
        ("apt.txt", b"#" * 20_000, "apt.txt: it is no regular file of at most"),
        ("requirements.txt", b"\xff", "requirements.txt: it is not text in UTF-8"),
        ("requirements.txt", b"#" * 70_000, "requirements.txt: it is no regular file"),
        ("requirements.txt", b"numpy\n" * 501, "more than 500 lines"),
    ):
        before = (mine / name).read_bytes()
        (mine / name).write_bytes(content)
        with pytest.raises(ImageError, match=said):
            needs_of(mine)
        (mine / name).write_bytes(before)
    many = parse_apt("\n".join(f"lib{number}" for number in range(MAX_PACKAGES + 1)))
    assert "at most" in many.faults[0][1]


def test_the_dockerfile_is_ours_and_holds_nothing_but_checked_words(mine):
    text = dockerfile(needs_of(mine), "data-centric-kit", How(), "evaluator")
    assert text.splitlines() == [
        "FROM data-centric-kit",
        "USER root",
        "RUN export DEBIAN_FRONTEND=noninteractive && apt-get update && apt-get install -y --no-install-recommends -- libgl1 "
        "ffmpeg=7:5.1.6-0+deb12u1 && rm -rf /var/lib/apt/lists/*",
        "COPY needs /tmp/needs",
        "RUN python -m pip list --format freeze --exclude pip --disable-pip-version-check > /tmp/needs/kit.txt && python -m pip "
        "install --no-cache-dir --disable-pip-version-check --no-input --progress-bar off --root-user-action ignore "
        "--only-binary :all: --constraint /tmp/needs/kit.txt -r /tmp/needs/requirements.txt && rm -rf /tmp/needs",
        "USER evaluator",
    ]
    assert "--only-binary" not in dockerfile(Needs((), ("x",)), "b", How(sources=True))
    assert "apt-get" not in dockerfile(Needs((), ("x",)), "b", How())
    assert "pip" not in dockerfile(Needs(("libgl1",)), "b", How())
    assert "--index-url https://mirror/simple" in dockerfile(Needs((), ("x",)), "b", How(index="https://mirror/simple"))


def test_the_digest_covers_what_decides_the_image_and_nothing_else(mine, tmp_path):
    (tmp_path / "wheels").mkdir()
    needs = needs_of(mine)
    same = digest_of(needs, "sha256:base", How())
    (mine / "run.py").write_text("# other code\n" + RUN)
    (mine / "apt.txt").write_text("libgl1\nffmpeg=7:5.1.6-0+deb12u1")
    assert digest_of(needs_of(mine), "sha256:base", How(seconds=5, network="host")) == same
    others = {
        digest_of(needs, "sha256:other", How()),
        digest_of(needs, "sha256:base", How(sources=True)),
        digest_of(needs, "sha256:base", How(index="https://mirror")),
        digest_of(Needs(needs.packages), "sha256:base", How()),
        digest_of(Needs((), needs.requirements), "sha256:base", How()),
        digest_of(Needs(needs.packages[::-1], needs.requirements), "sha256:base", How()),
    }
    assert len(others) == 6
    assert same not in others


def test_an_image_is_built_once_and_of_the_two_lists_alone(mine, tmp_path):
    engine, lines = FakeEngine([{"stream": "Step 1/6 : FROM\n"}, {"stream": "\x1b[32mok\x1b[0m\x07\n"}]), []
    made = built_image(mine, engine=engine, log=tmp_path / "log", said=lines.append)
    assert (made.built, made.bytes, made.id) == (True, 1_000, "sha256:new")
    assert made.name.startswith(f"{REPOSITORY}:")
    assert sorted(engine.context) == ["Dockerfile", "needs/requirements.txt"]
    assert b"steal" not in engine.context["Dockerfile"]
    assert engine.builds[0]["networkmode"] == "default"
    assert engine.images[made.name]["Config"]["Labels"] == {LABEL: made.name.partition(":")[2]}
    assert "Step 1/6" in (tmp_path / "log").read_text()
    assert "\x1b" not in (tmp_path / "log").read_text() + "".join(lines)
    again = built_image(mine, engine=engine)
    assert (again.name, again.built) == (made.name, False)
    assert len(engine.builds) == 1
    engine.images["data-centric-kit"]["Id"] = "sha256:newer"
    assert built_image(mine, engine=engine).name != made.name, "another base is another image"


def test_who_wants_the_same_image_at_the_same_time_finds_it(mine):
    class Slow(FakeEngine):
        def stream(self, *args, **query):
            time.sleep(0.3)
            yield from super().stream(*args, **query)

    engine, made, turns = Slow(), [], []

    def turn():
        turns.append(1)
        return nullcontext()

    threads = [threading.Thread(target=lambda: made.append(built_image(mine, engine=engine, turn=turn))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(image.built for image in made) == [False, False, True]
    assert (len(engine.builds), len(turns)) == (1, 1), "who finds it waits for no turn"


def test_the_layers_of_a_build_that_was_left_go_when_its_container_has_ended(mine):
    class Late(FakeEngine):
        left = 3

        def ask(self, method, path, body=None, **query):
            super().ask(method, path, body, **query)
            if path == "/images/json":
                self.left -= 1
                return [{}] * self.left

    engine = Late(error=TimeoutError())
    with pytest.raises(ImageError, match="was not built within"):
        built_image(mine, engine=engine)
    assert [path for _, path, _ in engine.asked] == ["/images/prune", "/images/json"] * 3


def test_a_submission_that_asks_for_nothing_runs_in_the_kits_own_image(submission):
    assert built_image(submission(RUN), engine=FakeEngine()) == Image("data-centric-kit", "sha256:base")


@pytest.mark.parametrize(
    ("engine", "verdict", "said"),
    [
        (
            FakeEngine([{"stream": "Unable to locate package a\n"}, {"error": "status 100"}]),
            "RUNTIME_ERROR",
            "locate package",
        ),
        (FakeEngine([{"stream": "Temporary failure resolving 'deb'\n"}, {"error": "status 100"}]), "INFRASTRUCTURE", "resolving"),
        (FakeEngine([{"error": "write /x: No space left on device"}]), "INFRASTRUCTURE", "No space left"),
        (FakeEngine(error=TimeoutError()), "RUNTIME_ERROR", "was not built within 900 s"),
        (FakeEngine(error=EngineError(500, "the Docker engine refused: no")), "INFRASTRUCTURE", "refused: no"),
        (FakeEngine(error=ConnectionResetError("gone")), "INFRASTRUCTURE", "the Docker engine failed"),
        (FakeEngine(size=9 << 30), "RUNTIME_ERROR", "at most 8,589,934,592 are allowed"),
    ],
)
def test_a_build_that_fails_says_whose_fault_it_is(mine, tmp_path, engine, verdict, said):
    with pytest.raises(ImageError) as error:
        built_image(mine, engine=engine, log=tmp_path / "log")
    assert error.value.verdict == verdict
    assert said in str(error.value)
    assert (tmp_path / "log").exists()
    assert sorted(engine.images) == ["data-centric-kit"], "nothing is left of it"
    assert engine.asked[0][:2] == (("DELETE", engine.asked[0][1]) if engine.size > 1_000 else ("POST", "/images/prune"))


def test_a_log_keeps_its_end(mine, tmp_path):
    rows = [{"stream": f"line {number} {'x' * 90}\n"} for number in range(1_000)] + [{"error": "no such thing"}]
    with pytest.raises(ImageError) as error:
        built_image(mine, engine=FakeEngine(rows), how=How(log_bytes=5_000), log=tmp_path / "log")
    assert len(error.value.log) < 6_000
    assert "no such thing" in error.value.log
    assert (tmp_path / "log").read_text().startswith("(the beginning was cut)")


def test_without_the_kits_image_it_is_said_how_to_build_it(mine):
    engine = FakeEngine()
    engine.images = {}
    with pytest.raises(OSError, match=rf"no image data-centric-kit:{__version__} or data-centric-kit; build it"):
        built_image(mine, engine=engine)


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": "bridge2"},
        {"index": "ftp://x"},
        {"index": "https://x y"},
        {"index": "https://x; id"},
        {"seconds": 0},
        {"memory": 0},
    ],
)
def test_options_of_a_build_are_checked(wrong):
    with pytest.raises(ConfigurationError):
        How(**wrong)


def test_the_verb_shows_the_dockerfile_and_names_what_is_wrong(mine, capsys):
    assert main(["image", "build", str(mine), "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("FROM data-centric-kit\nUSER root\nRUN export DEBIAN_FRONTEND")
    (mine / "apt.txt").write_text("Lib GL\n")
    assert main(["image", "build", str(mine)]) == 1
    assert "apt.txt, line 1: 'Lib GL' is no name" in capsys.readouterr().err
    assert main(["image", "build", str(mine), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], "line 1" in told["reason"]) == ("RUNTIME_ERROR", True)
    assert main(["image", "build", str(mine / "gone")]) == 2


def test_a_dockerfile_that_is_not_used_is_said(mine):
    found = examine(mine, "purchase", 20)
    assert [finding.text[:14] for finding in found.warnings if finding.place == "Dockerfile"] == ["it is not used"]
    assert not found.errors


def test_what_an_image_will_hold_is_no_error_where_there_are_images(submission):
    asks = submission("import absent_package\n" + RUN, requirements__txt="absent-package\n")
    assert PURCHASE.examined(asks, 20).errors
    found = PURCHASE.examined(asks, 20, image=True)
    assert not found.errors
    assert any("absent_package" in finding.text for finding in found.warnings)
    alone = submission("import absent_package\n" + RUN)
    assert PURCHASE.examined(alone, 20, image=True).errors, "nobody asked for it"


# -- the engine's answers, line by line


def answering(tmp_path, *parts: bytes, pause: float = 0.0) -> Engine:
    """An engine whose socket answers one request with these parts."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen(1)

    def serve() -> None:
        peer, _ = listener.accept()
        with peer, listener:
            peer.recv(1 << 16)
            with suppress(BrokenPipeError):
                for part in parts:
                    peer.sendall(part)
                    time.sleep(pause)

    threading.Thread(target=serve, daemon=True).start()
    return Engine(tmp_path / "socket")


def rows(engine: Engine, tmp_path, seconds: float = 5.0) -> list[dict]:
    (tmp_path / "body").write_bytes(b"tar")
    with open(tmp_path / "body", "rb") as body:
        return list(engine.stream("/build", body, seconds, t="x"))


def test_answers_come_line_by_line(tmp_path):
    lines = json.dumps({"stream": "a\n"}).encode() + b"\r\nno json\n\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    engine = answering(tmp_path, head, f"{len(lines):x}\r\n".encode() + lines + b"\r\n0\r\n\r\n")
    assert rows(engine, tmp_path) == [{"stream": "a\n"}, {"stream": "no json\n"}]


def test_a_build_that_does_not_end_is_left(tmp_path):
    engine = answering(tmp_path, b"HTTP/1.1 200 OK\r\n\r\n", *[b'{"stream": "."}\n'] * 50, pause=0.05)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        rows(engine, tmp_path, 0.3)
    assert time.monotonic() - began < 2


def test_an_engine_that_refuses_is_quoted(tmp_path):
    engine = answering(tmp_path, b'HTTP/1.1 400 Bad Request\r\nContent-Length: 20\r\n\r\n{"message": "a typo"}')
    with pytest.raises(EngineError, match=r"refused: .*a typ"):
        rows(engine, tmp_path)
    with pytest.raises(OSError, match="no Docker engine answers"):
        rows(Engine(tmp_path / "none"), tmp_path)
