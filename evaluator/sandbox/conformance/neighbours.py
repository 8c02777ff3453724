"""Checks of the walls: the processes, the network and the privileges that a tier promises to keep from its workers."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from evaluator.sandbox.conformance.check import Check, check
from evaluator.sandbox.conformance.files import WRITES, refused
from evaluator.sandbox.conformance.stage import SMALL, Stage, Unseen, marked, need

CHECKS: list[Check] = []


# -- processes


def _bystander(token: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)", token], stdin=subprocess.DEVNULL)


@check(CHECKS, "processes")
def other_processes_cannot_be_seen(stage: Stage) -> str:
    """Neither the evaluator nor any other process of the machine is in the worker's /proc."""
    token = secrets.token_hex(8)
    other = _bystander(token)
    code = f"""
    own = (os.getpid(), os.getppid())
    def line(pid): return open(f"/proc/{{pid}}/cmdline").read()
    tell([p for p in os.listdir("/proc") if p.isdigit() and int(p) not in own and {token!r} in str(attempt(lambda: line(p)))])
    tell(sum(p.isdigit() for p in os.listdir("/proc")))
    """
    try:
        told = stage.play(code).told
    finally:
        other.kill()
        other.wait()
    need(told and told[0] == [], "another process's command line can be read")
    need(told[1] <= 8, f"the worker sees {told[1]} processes")
    return f"it sees {told[1]} processes"


@check(CHECKS, "processes")
def other_processes_cannot_be_signalled(stage: Stage) -> None:
    """No number, group or broadcast that a worker signals reaches the evaluator or another process of the machine."""
    other = _bystander("dck")
    code = f"""
    for number in ({other.pid}, {os.getpid()}, -{other.pid}):
        attempt(lambda: os.kill(number, signal.SIGURG if abs(number) == {os.getpid()} else signal.SIGKILL))
    attempt(lambda: os.kill(-1, signal.SIGURG))
    tell(attempt(lambda: os.kill({other.pid}, 0)))
    """
    try:
        stage.play(code)
        need(other.poll() is None, f"another process was ended by the worker (it ended with {other.poll()})")
    finally:
        other.kill()
        other.wait()


@check(CHECKS, "processes")
def the_first_process_is_not_the_machines(stage: Stage) -> None:
    """Process 1 of the worker's view is its room's, and its namespaces of processes and of IPC are its own."""
    code = """
    tell([attempt(lambda: os.readlink("/proc/self/ns/" + n)) for n in ("pid", "ipc", "mnt", "net", "uts")])
    tell(attempt(lambda: open("/proc/1/cmdline").read()))
    """
    told = stage.play(code).told
    names = ("pid", "ipc", "mnt", "net", "uts")
    same = [name for name, link in zip(names, told[0], strict=True) if link == os.readlink(f"/proc/self/ns/{name}")]
    need(not same, f"the worker shares the machine's namespaces {same}")
    need(told[1] != Path("/proc/1/cmdline").read_text(), "process 1 is the machine's")


@check(CHECKS, "processes")
def two_workers_do_not_see_each_other(stage: Stage) -> None:
    """Of two workers side by side neither sees the other's processes, files, shared memory or System V segments."""
    token = secrets.token_hex(6)
    first = f"""
    open(os.path.join(os.path.expanduser("~"), "{token}"), "w").write("x")
    attempt(lambda: open("/dev/shm/{token}", "w").write("x"))
    ctypes.CDLL(None).shmget(0x{token[:7]}, 4096, 0o1666)
    time.sleep(600)
    """
    second = f"""
    seen = [p for p in os.listdir("/proc") if p.isdigit() and attempt(lambda: open(f"/proc/{{p}}/comm").read()).startswith("OTHER")]
    places = [os.path.join(r, "{token}") for r in ("/dev/shm", "/scratch", "/tmp", os.path.expanduser("~"))]
    tell([seen, [p for p in places if os.path.exists(p)], ctypes.CDLL(None).shmget(0x{token[:7]}, 0, 0) != -1])
    """
    with stage.cast(first) as one:
        one.await_processes(1)
        one.answer(0.5)
        seen = stage.play(second.replace("OTHER", one.mark)).only()
    need(seen == [[], [], False], f"(processes, files, segment) of the other that were seen: {seen}")


# -- network


@check(CHECKS, "network")
def the_machines_own_addresses_cannot_be_reached(stage: Stage) -> None:
    """A server of this machine on 127.0.0.1 gets neither a connection nor a datagram from the worker."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        code = f"""
        import socket
        def connect(): return bool(socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 1))
        tell(attempt(connect))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        attempt(lambda: udp.sendto(b"x", ("127.0.0.1", {datagrams.getsockname()[1]})))
        """
        outcome = stage.play(code)
        server.settimeout(0.2)
        datagrams.settimeout(0.2)
        for what, wait in (("a connection", server.accept), ("a datagram", lambda: datagrams.recv(10))):
            try:
                wait()
            except TimeoutError:
                continue
            need(False, f"{what} arrived")
    need(outcome.only() is not True, "the worker connected to a server of its own address and port")


@check(CHECKS, "network")
def abstract_sockets_cannot_be_reached(stage: Stage) -> None:
    """An abstract Unix socket of this machine cannot be connected to: it has no file that could be hidden."""
    name = "\0dck-" + secrets.token_hex(8)
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.bind(name)
        except OSError as error:
            raise Unseen(f"this system has no abstract sockets ({error})") from None
        server.listen()
        code = f"import socket\ntell(attempt(lambda: socket.socket(socket.AF_UNIX).connect({name!r})))\n"
        seen = stage.play(code).only()
    need(seen is not None, "the worker connected")


@check(CHECKS, "network")
def sockets_in_files_cannot_be_reached(stage: Stage) -> None:
    """A Unix socket in a file beside the worker's images cannot be connected to."""
    path = str(stage.folder / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        os.chmod(path, 0o777)
        server.listen()
        code = f"import socket\ntell(attempt(lambda: socket.socket(socket.AF_UNIX).connect({path!r})))\n"
        seen = stage.play(code).only()
    need(seen is not None, "the worker connected")


@check(CHECKS, "network")
def there_is_no_interface_but_its_own_loopback(stage: Stage) -> None:
    """The worker has no network interface but a loopback of its own, and no name is resolved."""
    code = """
    import socket
    tell(sorted(name for _, name in socket.if_nameindex()))
    tell(attempt(lambda: socket.getaddrinfo("pypi.org", 443) and "resolved"))
    """
    told = stage.play(code).told
    # Tunnels of the kernel's own are in every new namespace; they are down and lead nowhere.
    up = [name for name in told[0] if name != "lo" and not name.startswith(("sit", "tunl", "ip6", "gre", "erspan", "ip_vti"))]
    need(not up, f"there are the interfaces {up}")
    need(told[1] != "resolved", "a name was resolved")


# -- privileges


@check(CHECKS, "privileges")
def the_worker_is_not_root(stage: Stage) -> str:
    """Real, effective and saved user and group are not 0, within the room and, where root runs the evaluator, outside."""
    with stage.cast("tell([os.getresuid(), os.getresgid(), os.getgroups()])\ntime.sleep(600)\n") as actor:
        actor.await_processes(1)
        actor.answer(0.3)
        outside = Path(f"/proc/{marked(actor.mark)[0]}/status").read_text()
        told = actor.end().only()
    ids = {line.split(":")[0]: line.split()[1:] for line in outside.splitlines() if line.startswith(("Uid", "Gid"))}
    need(0 not in [*told[0], *told[1]], f"within the room it is user {told[0]}, group {told[1]}")
    need(0 not in told[2], f"it is in the groups {told[2]}")
    need(os.geteuid() != 0 or "0" not in ids["Uid"] + ids["Gid"], f"on the machine it is user {ids['Uid']}, group {ids['Gid']}")
    return f"user {ids['Uid'][0]} on this machine"


@check(CHECKS, "privileges")
def the_worker_has_no_capabilities(stage: Stage) -> None:
    """No capability is effective, permitted, inheritable or ambient, and programs with a set-user-ID bit give none."""
    told = stage.play("tell(open('/proc/self/status').read())").only()
    fields = dict(line.split(":\t", 1) for line in told.splitlines() if ":\t" in line)
    held = {name: fields[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb") if int(fields[name], 16)}
    need(not held, f"it holds {held}")
    need(fields.get("NoNewPrivs") == "1", "programs may give it new privileges (NoNewPrivs is not 1)")


@check(CHECKS, "privileges")
def a_namespace_of_its_own_opens_nothing(stage: Stage) -> None:
    """If the worker can make a user and mount namespace at all, it cannot make what is read-only writable in it."""
    code = (
        WRITES
        + """
libc = ctypes.CDLL(None, use_errno=True)
seen = libc.unshare(0x10000000 | 0x00020000)
if seen:
    tell({})
    os._exit(0)
for place in (b"/", b"/usr/lib", os.path.dirname(IMAGES).encode(), SUBMISSION.encode()):
    libc.mount(None, place, None, 0x20 | 0x1000, None)
    libc.mount(None, place, None, 0x20, None)
    libc.umount2(place, 2)
libc.mount(b"proc", b"/proc", b"proc", 0, None)
tell({p: writes(p) for p in ("/", "/usr/lib", IMAGES, SUBMISSION)})
"""
    )
    refused(stage.play(code).only())


@check(CHECKS, "privileges")
def the_worker_cannot_become_root_again(stage: Stage) -> None:
    """Taking back user 0, changing root folder, host name or clock, and a better place in the queue are refused."""
    code = """
    import socket
    ways = {
        "setuid": lambda: os.setuid(0) is None,
        "setgid": lambda: os.setgid(0) is None,
        "setgroups": lambda: os.setgroups([0]) is None,
        "chroot": lambda: os.chroot("/") is None,
        "sethostname": lambda: socket.sethostname(socket.gethostname()) is None,
        "nice": lambda: os.nice(-5) < 0,
        "clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()) is None,
    }
    tell([name for name, way in ways.items() if attempt(way) is True])
    """
    seen = stage.play(code, limits=SMALL).only()
    need(not seen, f"done: {seen}")
