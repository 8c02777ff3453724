"""A submission's own names win in the worker, and every process that it starts finds its code by them."""

from __future__ import annotations

import textwrap

import pytest

from evaluator.errors import Verdict
from evaluator.sandbox.bubblewrap import BubblewrapSandbox
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.tiers import state


@pytest.fixture(params=[ProcessSandbox, BubblewrapSandbox], ids=["process", "bubblewrap"])
def tier(request):
    if state(request.param.name).reason:
        pytest.skip(state(request.param.name).reason)
    return request.param()


def write(folder, files):
    """Files by their path within the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


CHILDREN = """
import multiprocessing, pickle, sys
from joblib import Parallel, delayed
from run import ZEWDPCBaseRun, OutOfBudgetError

class Model:
    pass

def double(n):
    return 2 * n, isinstance(Model(), Model)

class Mine(ZEWDPCBaseRun):
    def purchase_phase(self, unlabelled_dataset, budget):
        for module in PICKLED:
            assert type(pickle.loads(f"c{module}\\nModel\\n(tR.".encode())) is Model, module
        for way in ("spawn", "forkserver", "fork"):
            with multiprocessing.get_context(way).Pool(1) as pool:
                assert pool.map(double, [3]) == [(6, True)], way
        assert Parallel(n_jobs=2)(delayed(double)(n) for n in (1, 2)) == [(2, True), (4, True)]
        try:
            unlabelled_dataset.purchase_labels(range(budget + 1))
        except OutOfBudgetError:
            unlabelled_dataset.purchase_labels(range(budget))
"""


@pytest.mark.parametrize("name", ["mine/run.py", "mine/own.py", "mine/my-own.py", "package/run.py", "numpy/run.py"])
@pytest.mark.endurance
def test_processes_and_pickles_find_what_an_entry_of_any_name_holds(name, tmp_path, session):
    folder, _, entry = name.partition("/")
    pickled = ("run", "__main__") if entry == "run.py" else ("__main__",)
    files = {name: f"PICKLED = {pickled}\n{CHILDREN}"}
    if folder != "mine":
        files[f"{folder}/__init__.py"] = ""
    result = session(write(tmp_path, files) / folder)
    assert result.verdict is Verdict.OK, (result.reason, result.trace)
    assert len(result.ledger) == 12


def test_packages_of_the_kits_names_are_the_submissions(tmp_path, session, tier):
    files = {
        "evaluator/__init__.py": "MINE = 1\n",
        "evaluator/trainer.py": "EPOCHS = 10\n",
        "evaluator/exceptions.py": "class OutOfBudgetException(Exception): pass\nclass Other(Exception): pass\n",
        "run.py": """
        from evaluator import MINE
        from evaluator.dataset import ZEWDPCBaseDataset
        from evaluator.exceptions import Other, OutOfBudgetException
        from evaluator.strategies.uncertainty import mean_entropy
        from evaluator.trainer import EPOCHS
        from evaluator.worker.datasets import ImageDataset

        class ZEWDPCBaseRun:
            def pre_training_phase(self, training_dataset):
                assert isinstance(training_dataset, ZEWDPCBaseDataset) and ZEWDPCBaseDataset is ImageDataset
            def purchase_phase(self, unlabelled_dataset, purchase_budget):
                try:
                    while True:
                        for index in range(80):
                            unlabelled_dataset.purchase_label(index)
                except OutOfBudgetException:
                    assert EPOCHS + MINE == 11 and Other and mean_entropy
            def prediction_phase(self, test_dataset):
                return [[0] * 6] * len(test_dataset)
        """,
    }
    result = session(write(tmp_path / "whole", files), sandbox=tier)
    assert result.verdict is Verdict.OK, (result.reason, result.trace)
    assert (len(result.ledger), result.class_name) == (12, "ZEWDPCBaseRun")


def test_the_trusted_half_cannot_be_imported_by_a_plain_name_in_any_tier(strategy, session, told, tier):
    path = strategy("""
        def purchase_phase(self):
            import importlib
            for name in ("evaluator.purchase.market", "evaluator.training", "baselines", "local_evaluation", "tests"):
                try:
                    importlib.import_module(name)
                    tell(name)
                except ModuleNotFoundError:
                    pass
    """)
    assert told(session(path, sandbox=tier)) == []
