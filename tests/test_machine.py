"""What the kit says of the machine, on made-up machines of several kinds and on this machine."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator import machine
from evaluator.machine import Load, cores, load, versions

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Files of a made-up machine by name, and the cores of this process's affinity."""

    def make(files: dict[str, str], affinity: int = 8) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
        monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "sys")
        monkeypatch.setattr(machine, "_affinity", lambda: set(range(affinity)))

    return make


V2, V1 = {"proc/self/cgroup": "0::/a/b\n"}, {"proc/self/cgroup": "5:cpu,cpuacct:/a/b\n4:memory:/a\n1:name=systemd:/\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        (V2, 8),
        (V2 | {"sys/a/b/cpu.max": "max 100000\n"}, 8),
        (V2 | {"sys/a/b/cpu.max": "250000 100000\n"}, 2),
        (V2 | {"sys/a/b/cpu.max": "max 100000\n", "sys/a/cpu.max": "300000 100000\n"}, 3),
        (V2 | {"sys/cpu.max": "150000 100000\n"}, 1),
        (V2 | {"sys/a/b/cpu.max": "50000 100000\n"}, 1),
        (V2 | {"sys/a/b/cpu.max": "6400000 100000\n"}, 8),
        (V2 | {"sys/a/b/cpu.max": "nonsense"}, 8),
        (V1 | {"sys/cpu/a/b/cpu.cfs_quota_us": "-1\n", "sys/cpu/a/b/cpu.cfs_period_us": "100000\n"}, 8),
        (V1 | {"sys/cpu/a/b/cpu.cfs_quota_us": "400000\n", "sys/cpu/a/b/cpu.cfs_period_us": "100000\n"}, 4),
        (V1 | {"sys/cpu,cpuacct/cpu.cfs_quota_us": "199999\n", "sys/cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_cores_are_the_affinity_within_the_quota_of_every_group(made_up, files, expected):
    made_up(files)
    assert cores() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_cores_follow_the_affinity_of_this_process():
    core = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{core}}}); from evaluator.machine import cores; print(cores())"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout.strip() == b"1"
    assert 1 <= cores() <= len(os.sched_getaffinity(0))


def test_cores_without_affinity_are_all_cores(made_up, monkeypatch):
    made_up({}, affinity=0)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores() == 6


def test_versions_name_everything_that_computes_and_import_nothing():
    code = "import sys, json; from evaluator.machine import versions; print(json.dumps([versions(), sorted(sys.modules)]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    found, modules = json.loads(done.stdout)
    assert found == versions()
    assert list(found)[:4] == ["kit", "python", "machine", "processor"]
    assert {name: found[name] for name in machine.LIBRARIES} == {n: importlib.metadata.version(n) for n in machine.LIBRARIES}
    assert not {"numpy", "scipy", "sklearn", "PIL", "torch", "torchvision", "timm"} & set(modules)
    assert all(found.values())


def test_a_library_that_is_not_installed_is_absent(monkeypatch):
    monkeypatch.setattr(machine, "LIBRARIES", ("numpy", "no-such-library"))
    assert versions()["no-such-library"] == "absent"


def test_a_library_is_looked_up_once_however_many_cells_ask(monkeypatch):
    asked = []
    monkeypatch.setattr(machine, "LIBRARIES", ("library-of-this-test",))
    monkeypatch.setattr(machine, "version", lambda name: asked.append(name) or "1.0")
    assert versions()["library-of-this-test"] == versions()["library-of-this-test"] == "1.0"
    assert asked == ["library-of-this-test"]


def test_the_processor_is_the_model_that_the_system_names(made_up):
    made_up({"proc/cpuinfo": "processor : 0\nmodel name\t: Fast   CPU @ 3 GHz\nmodel name : other\n"})
    assert machine.processor() == "Fast CPU @ 3 GHz"


def stat(busy: int, idle: int, number: int = 2) -> str:
    rows = [f"cpu{core} {busy} 0 0 {idle} 0 0 0 0 0 0" for core in range(number)]
    return "\n".join([f"cpu  {busy * number} 0 0 {idle * number} 0 0 0 0 0 0", *rows, "intr 1 2 3"]) + "\n"


@pytest.mark.parametrize(
    ("idle_share", "own_share", "running"), [(1.0, 0.0, 0.0), (0.0, 0.0, 2.0), (0.25, 0.0, 1.5), (0.0, 1.0, 1.0), (0.5, 1.5, 0.0)]
)
def test_running_is_the_time_of_other_programs_on_the_cores_of_this_process(made_up, monkeypatch, idle_share, own_share, running):
    made_up({"proc/stat": stat(0, 0)}, affinity=2)
    ticks, own, clock = os.sysconf("SC_CLK_TCK"), [0.0], [0.0]

    def sleep(seconds):
        idle = round(seconds * ticks * idle_share)
        made_up({"proc/stat": stat(round(seconds * ticks) - idle, idle)}, affinity=2)
        own[0] += seconds * own_share
        clock[0] += seconds

    monkeypatch.setattr(machine.time, "sleep", sleep)
    monkeypatch.setattr(machine.time, "process_time", lambda: own[0])
    monkeypatch.setattr(machine.time, "perf_counter", lambda: clock[0])
    found = load(1.0)
    assert found.running == pytest.approx(running, abs=0.02)
    assert found.cores == 2
    assert found.free_memory is None


def test_on_many_cores_with_a_small_quota_only_what_is_missing_counts(made_up, monkeypatch):
    made_up({"proc/stat": stat(0, 0, 8)} | V2 | {"sys/a/b/cpu.max": "200000 100000"}, affinity=8)
    clock, ticks = [0.0], os.sysconf("SC_CLK_TCK")

    def sleep(seconds):
        made_up({"proc/stat": stat(ticks // 2, ticks // 2, 8)}, affinity=8)
        clock[0] += seconds

    monkeypatch.setattr(machine.time, "sleep", sleep)
    monkeypatch.setattr(machine.time, "process_time", lambda: 0.0)
    monkeypatch.setattr(machine.time, "perf_counter", lambda: clock[0])
    assert load(1.0) == Load(running=0.0, free_memory=None, cores=2)


def test_without_proc_the_load_average_is_taken(made_up, monkeypatch):
    made_up({}, affinity=0)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "getloadavg", lambda: (2.5, 9.0, 9.0))
    assert load() == Load(running=2.5, free_memory=None, cores=4)
    monkeypatch.delattr(os, "getloadavg")
    assert load() == Load(running=None, free_memory=None, cores=4)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 8 * 2**30),
        (V2 | {"sys/a/memory.max": "max", "sys/a/memory.current": "5"}, 8 * 2**30),
        (V2 | {"sys/a/memory.max": "1000", "sys/a/memory.current": "900", "sys/a/memory.stat": "anon 1\ninactive_file 40\n"}, 140),
        (V2 | {"sys/a/memory.max": "1000", "sys/a/memory.current": "1100"}, 0),
        (V1 | {"sys/memory/a/memory.limit_in_bytes": "1000", "sys/memory/a/memory.usage_in_bytes": "400"}, 600),
    ],
)
def test_free_memory_is_what_the_machine_and_its_groups_leave(made_up, files, free):
    made_up({"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable: {8 * 2**20} kB\n"} | files)
    assert load(0.0).free_memory == free


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Load(0.0, 8 * 2**30, 2), ""),
        (Load(0.4, None, 1), ""),
        (Load(None, None, 2), ""),
        (Load(1.97, 8 * 2**30, 2), "2.0 of 2 cores are busy with other programs"),
        (Load(3.9, 8 * 2**30, 16), ""),
        (Load(4.0, 8 * 2**30, 16), "4.0 of 16 cores are busy with other programs"),
        (Load(0.0, 2**29, 2), "only 0.5 GiB of memory is free"),
        (Load(0.5, 2**29, 2), "0.5 of 2 cores are busy with other programs; only 0.5 GiB of memory is free"),
    ],
)
def test_a_busy_machine_is_said_in_a_plain_sentence(found, said):
    assert found.busy() == said


def test_this_machine_tells_its_load():
    found = load()
    assert found.cores == cores()
    assert found.running is None or 0 <= found.running <= found.cores
    assert found.free_memory is None or found.free_memory > 0
