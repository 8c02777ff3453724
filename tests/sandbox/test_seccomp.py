"""The filters of system calls leave strategies what they need. What they close is checked by the conformance list."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evaluator.sandbox import seccomp, tiers
from evaluator.sandbox.conformance.stage import Stage
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.process import ProcessSandbox

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="seccomp is Linux's")

USES = """
import numpy as np, subprocess, multiprocessing as mp, shutil, sqlite3, asyncio, tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
seen = {}
def use(action):
    seen[action.__name__] = attempt(action)
def torch_training():
    import torch
    torch.set_num_threads(2)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 30 * 30, 4))
    model(torch.randn(8, 3, 32, 32)).sum().backward()
    return model[0].weight.grad is not None
def loaders():
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    data = TensorDataset(torch.arange(32.0))
    def total(context):
        return sum(float(b[0].sum()) for b in DataLoader(data, 8, num_workers=2, multiprocessing_context=context))
    return [total("fork"), total("spawn")]
def shared_tensor():
    import torch
    return torch.zeros(10).share_memory_().is_shared()
def joblib_processes():
    from joblib import Parallel, delayed
    table = np.ones((400, 400))
    return Parallel(n_jobs=2, max_nbytes=1000)(delayed(np.sum)(table) for _ in range(2))[0].item()
def forests():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.cluster import KMeans
    table = np.random.default_rng(0).random((200, 5))
    RandomForestClassifier(n_jobs=2, n_estimators=8).fit(table, table[:, 0] > 0.5)
    return bool(KMeans(3, n_init=1).fit(table).inertia_ > 0)
def executors():
    with ProcessPoolExecutor(2, mp_context=mp.get_context("spawn")) as pool, ThreadPoolExecutor(2) as threads:
        return list(pool.map(abs, [-1, -2])) + list(threads.map(abs, [-3]))
def manager():
    with mp.Manager() as m:
        shared = m.list([1])
        shared.append(2)
        return list(shared)
def program():
    return subprocess.run(["/bin/echo", "hi"], capture_output=True, text=True).stdout.strip()
def coroutine():
    async def run():
        return await (await asyncio.create_subprocess_exec("/bin/true")).wait()
    return asyncio.run(run())
def database():
    with sqlite3.connect("x.db") as connection:
        return connection.execute("select 1").fetchone()[0]
def files():
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("x")
        file.flush()
        return os.path.exists(shutil.copy2(file.name, "copy"))
torch = (torch_training, loaders, shared_tensor)
for action in (*torch, joblib_processes, forests, executors, manager, program, coroutine, database, files):
    use(action)
tell(seen)
"""


@pytest.mark.slow
@pytest.mark.parametrize("tier", [pytest.param("process", marks=pytest.mark.endurance), "bubblewrap"])
@pytest.mark.endurance
def test_libraries_of_strategies_work_under_the_filters(tier: str, tmp_path: Path) -> None:
    reason = tiers.state(tier).reason
    if reason:
        pytest.skip(reason)
    seen = Stage(tiers.SANDBOXES[tier](False), tmp_path).play(USES, seconds=300, limits=Limits(), threads=2).only()
    assert seen == {
        "torch_training": True,
        "loaders": [496.0, 496.0],
        "shared_tensor": True,
        "joblib_processes": 160000.0,
        "forests": True,
        "executors": [1, 2, 3],
        "manager": [1, 2],
        "program": "hi",
        "coroutine": 0,
        "database": 1,
        "files": True,
    }


def test_the_filters_are_programs_that_the_kernel_takes() -> None:
    allowed, refused = seccomp.filters()
    for program in (allowed, refused):
        assert program
        assert len(program) % 8 == 0
        assert len(program) // 8 <= 4096
    assert seccomp.filters(gpu=True)[0] != allowed


def test_without_the_library_a_room_is_refused_in_words_and_the_portable_tier_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise OSError("no such library")

    monkeypatch.setattr(seccomp.ctypes, "CDLL", missing)
    with pytest.raises(OSError, match="apt-get install libseccomp2"):
        seccomp.filters.__wrapped__()
    monkeypatch.undo()
    monkeypatch.setattr("evaluator.sandbox.process.filters", missing)
    assert Stage(ProcessSandbox(), tmp_path).play("tell(1)").only() == 1
