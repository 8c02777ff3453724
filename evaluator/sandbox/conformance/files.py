"""Checks of the walls: what a tier promises to keep of the machine's files from its workers."""

from __future__ import annotations

import os
import secrets
import sys
import sysconfig
from pathlib import Path

from evaluator.sandbox.conformance.check import Check, check
from evaluator.sandbox.conformance.stage import Stage, need

CHECKS: list[Check] = []
KIT = Path(__file__).resolve().parents[3]
# Every way tried changes nothing where it works: a tier that lets a worker through must not cost the machine its files.
WRITES = """
def writes(path):
    'Which ways to change a file or a folder work.'
    def make():
        place = os.path.join(path, "dck-written")
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_EXCL))
        os.unlink(place)
    info = os.stat(path)
    ways = {
        "make": make if os.path.isdir(path) else lambda: open(path, "ab").close(),
        "chmod": lambda: os.chmod(path, info.st_mode & 0o7777),
        "utime": lambda: os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns)),
    }
    return [name for name, way in ways.items() if attempt(way) is None]
"""


def _on_the_way(folder: Path) -> set[str]:
    """Names in ``folder`` that lead to the interpreter or its packages, which the worker must see."""
    wanted = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable), Path(os.path.realpath(sys.executable))}
    wanted |= {Path(path) for path in sysconfig.get_paths().values()}
    return {path.relative_to(folder).parts[0] for path in wanted if path != folder and path.is_relative_to(folder)}


def refused(seen: dict[str, list[str]]) -> None:
    """Need that nothing that ``writes`` tried has worked."""
    need(not any(seen.values()), f"can be changed: { {path: ways for path, ways in seen.items() if ways} }")


@check(CHECKS, "files")
def the_evaluators_files_cannot_be_seen(stage: Stage) -> None:
    """A file beside the worker's images is not there, by its path, by links, and by the roots and folders of other processes."""
    code = """
    home = os.path.expanduser("~")
    os.symlink(SECRET, os.path.join(home, "link"))
    ways = [SECRET, os.path.join(home, "link"), "/proc/self/root" + SECRET, "/proc/1/root" + SECRET, "/proc/1/cwd/" + SECRET]
    ways += [f"/proc/{p}/{n}{SECRET}" for p in os.listdir("/proc") if p.isdigit() for n in ("root", "cwd")]
    ways += [os.path.join(os.path.dirname(p), "labels.csv") for p in (IMAGES, SUBMISSION, os.path.dirname(SUBMISSION))]
    def read(path):
        with open(path) as file:
            return file.read()
    tell([w for w in ways if "hunter2" in str(attempt(lambda: read(w)))])
    tell(attempt(lambda: os.link(SECRET, os.path.join(home, "hard"))))
    """
    told = stage.play(code).told
    need(told and told[0] == [], f"the file can be read as {told[:1]}")
    need("hard" not in os.listdir(stage.folder), "a hard link was made")


@check(CHECKS, "contents")
def contents_of_the_evaluators_files_cannot_be_read(stage: Stage) -> None:
    """A file beside the worker's images, the kit's own data and the evaluator's memory and environment cannot be read in any way,
    nor by a link that the worker makes."""
    code = f"""
    home = os.path.expanduser("~")
    os.symlink(SECRET, os.path.join(home, "link"))
    attempt(lambda: os.link(SECRET, os.path.join(home, "hard")))
    ways = [SECRET, os.path.join(home, "link"), os.path.join(home, "hard"), "/proc/self/root" + SECRET, "/proc/self/cwd/" + SECRET]
    ways += [f"/proc/{{p}}/{{n}}{{SECRET}}" for p in os.listdir("/proc") if p.isdigit() for n in ("root", "cwd")]
    def read(path):
        with open(path) as file:
            return file.read()
    tell([w for w in ways if "hunter2" in str(attempt(lambda: read(w)))])
    others = ({os.getpid()}, os.getppid())
    tell([f"{{p}}/{{n}}" for p in others for n in ("environ", "mem", "maps", "fd/1") if "Error" not in str(attempt(
        lambda: open(f"/proc/{{p}}/{{n}}", "rb").read(1)))])
    tell(attempt(lambda: read({str(KIT / "README.md")!r})[:20]))
    """
    told = stage.play(code).told
    need(len(told) == 3 and told[0] == [], f"the file can be read as {told[:1]}")
    need(told[1] == [], f"of other processes can be read: {told[1]}")
    need("Error" in told[2], "a file of the kit that is not given can be read")


@check(CHECKS, "contents")
def files_can_be_written_only_in_its_home(stage: Stage) -> None:
    """No file of the system, the interpreter, the kit, the submission or the evaluator can be made, emptied, removed or renamed."""
    places = ["/", "/usr/lib", "/etc", "/tmp", "/var/tmp", sys.prefix, str(KIT), str(stage.folder)]
    code = f"""
    def make(folder):
        place = os.path.join(folder, "dck-written")
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_EXCL))
        os.unlink(place)
    import run
    ways = {{p: lambda p=p: make(p) for p in {places!r} + [SUBMISSION] if os.path.isdir(p)}}
    ways |= {{p + " append": lambda p=p: open(p, "ab").close() for p in (run.__file__, os.__file__, SECRET)}}
    ways["truncate"] = lambda: os.truncate(SECRET, {stage.secret.stat().st_size})
    ways["rename"] = lambda: os.rename(SECRET, SECRET + ".moved")
    ways["remove"] = lambda: os.unlink(SECRET)
    tell([name for name, way in ways.items() if "Error" not in str(attempt(way))])
    """
    before = stage.secret.read_bytes()
    seen = stage.play(code).only()
    need(seen == [], f"this could be done: {seen}")
    need(stage.secret.read_bytes() == before, "the evaluator's file has changed")


@check(CHECKS, "files")
def the_kits_data_and_results_cannot_be_seen(stage: Stage) -> None:
    """Of the kit's own folder only run.py, the worker package and the strategies are there, and an interpreter that lies in it."""
    code = f"""
    kit = {str(KIT)!r}
    import evaluator.worker.frames as f
    inside = os.path.abspath(os.path.join(os.path.dirname(f.__file__), "..", ".."))
    tell(sorted({{n for place in (kit, inside) for n in (os.listdir(place) if os.path.isdir(place) else ())}}))
    tell(sorted(os.listdir(os.path.join(inside, "evaluator"))))
    """
    told = stage.play(code).told
    need(len(told) == 2, "the kit's place could not be listed")
    more = set(told[0]) - {"run.py", "evaluator"} - _on_the_way(KIT)
    need(not more, f"the worker sees {sorted(more)}")
    need(set(told[1]) <= {"__init__.py", "strategies", "worker"}, f"of the package the worker sees {told[1]}")


@check(CHECKS, "files")
def homes_and_secrets_of_the_machine_cannot_be_seen(stage: Stage) -> None:
    """Home folders, the machine's passwords, its logs and its own temporary files are not there."""
    code = """
    places = ["/root", "/home", "/etc/shadow", "/etc/ssh", "/var/log", "/var/lib/docker", "/run/docker.sock", "/boot", "/srv"]
    tell([p for p in places if attempt(lambda: bool(os.listdir(p))) is True or attempt(lambda: open(p).read(1) != "") is True])
    tell([n for n in (os.listdir("/tmp") if os.path.isdir("/tmp") else [])])
    """
    told = stage.play(code).told
    # The interpreter itself may lie in a home folder; then its own path is there, and nothing beside it.
    seen = [p for p in told[0] if not _on_the_way(Path(p))]
    need(not seen, f"the worker sees {seen}")
    temporary = set(told[1]) - _on_the_way(Path("/tmp"))
    need(not temporary, f"the worker sees files in /tmp: {sorted(temporary)[:5]}")


@check(CHECKS, "files")
def the_system_cannot_be_changed(stage: Stage) -> None:
    """Root folder, system folders, interpreter, its packages and /etc can be changed in no way."""
    places = [
        "/",
        "/usr",
        "/usr/lib",
        "/usr/bin",
        "/etc",
        "/etc/passwd",
        "/proc/sys/kernel/hostname",
        "/dev",
        sys.prefix,
        os.__file__,
    ]
    code = WRITES + f"\ntell({{p: writes(p) for p in {places!r} if os.path.exists(p)}})\n"
    refused(stage.play(code).only())


@check(CHECKS, "files")
def the_kit_cannot_be_changed(stage: Stage) -> None:
    """The kit's files that the worker runs can be changed in no way."""
    code = "import evaluator.worker.frames as f, evaluator as e\n" + WRITES
    code += "run = os.path.abspath(os.path.join(os.path.dirname(f.__file__), '..', '..', 'run.py'))\n"
    code += "files = [run, f.__file__, e.__file__, sys.modules['_dck_worker'].__file__]\n"
    code += "tell({p: writes(p) for p in files + [os.path.dirname(os.path.abspath(q)) for q in files]})\n"
    refused(stage.play(code).only())


@check(CHECKS, "files")
def what_is_given_cannot_be_changed(stage: Stage) -> None:
    """Images, submission and weights can be changed in no way, from within or as seen from outside."""
    before = [path.read_bytes() for path in (stage.images, stage.weights / "b4.pth")]
    code = WRITES + "w = os.environ['TORCH_HOME']\n"
    code += "tell({p: writes(p) for p in (IMAGES, SUBMISSION, os.path.join(SUBMISSION, 'run.py'), w, os.path.join(w, 'b4.pth'))})\n"
    outcome = stage.play(code, weights=stage.weights)
    refused(outcome.only())
    need([path.read_bytes() for path in (stage.images, stage.weights / "b4.pth")] == before, "a file has changed")


@check(CHECKS, "files")
def a_mapped_image_cannot_be_written_through(stage: Stage) -> None:
    """A shared, writable mapping of the images is refused, as is opening them for writing by their descriptor's path."""
    code = """
    import mmap
    file = open(IMAGES, "rb")
    def share(): return bool(mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
    def reopen(): return bool(os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDWR))
    tell([attempt(share), attempt(reopen)])
    """
    seen = stage.play(code).only()
    need(True not in seen, f"a writable (mapping, descriptor) was given: {seen}")


@check(CHECKS, "files")
def files_in_memory_are_gone_with_the_run(stage: Stage) -> None:
    """What a run leaves in /dev/shm, /tmp and /var/tmp is found neither by the next one nor on this machine."""
    mark = "dck-left-" + secrets.token_hex(6)
    places = ["/dev/shm", "/tmp", "/var/tmp", "/run", "/dev/mqueue"]
    code = f"""
    paths = [os.path.join(p, {mark!r}) for p in {places!r}]
    tell([p for p in paths if os.path.exists(p)])
    for path in paths:
        attempt(lambda: open(path, "w").write("state"))
    """
    seen = [stage.play(code).only() for _ in range(2)]
    left = [path for place in places if os.path.exists(path := os.path.join(place, mark))]
    for path in left:
        os.unlink(path)
    need(seen == [[], []], f"the second run found {seen[1]}")
    need(not left, f"left on this machine: {left}")


@check(CHECKS, "files")
def there_are_no_devices_but_harmless_ones(stage: Stage) -> None:
    """No disk, memory, kernel log or terminal of the machine is there as a device that can be opened."""
    code = """
    import stat
    found = []
    for place, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(place, name)
            info = attempt(lambda: os.stat(path))
            if not isinstance(info, str) and (stat.S_ISBLK(info.st_mode) or name in ("mem", "kmem", "kmsg", "port", "vsock")):
                found.append(path)
    tell(found)
    """
    seen = stage.play(code).only()
    need(not seen, f"there are {seen}")
