"""Cells on a real Ray cluster of several nodes on this machine: the local results, whatever dies."""

import os
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import slot_works
from conftest import SUBMISSIONS
from sweeps import cells, conducted, lasting, run

from evaluator.errors import ConfigurationError, Verdict
from evaluator.history.predictions import read_predictions
from evaluator.runner import cluster as clusters
from evaluator.runner.cluster import ClusterWorkers
from evaluator.sweep.settings import Settings

ray = pytest.importorskip("ray", reason="pip install ray")
pytestmark = [pytest.mark.slow, pytest.mark.endurance]
TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """A head that computes nothing, and two nodes of two CPUs each."""
    from ray.cluster_utils import Cluster

    place = tmp_path_factory.mktemp("works")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(slot_works.PLACE, str(place))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS.parent), str(TESTS)]))
        patch.setenv("RAY_health_check_timeout_ms", "5000")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        workers = [made.add_node(num_cpus=2) for _ in range(2)]
        made.wait_for_nodes()
        yield made, workers, place
        ray.shutdown()
        made.shutdown()


def on_cluster(experiment, address, work=clusters.judged):
    """Run an experiment on the cluster: its cells as they ended."""
    ended = []
    with ClusterWorkers(address, work=work) as workers:
        assert workers.count == 4
        conducted(experiment, finished=ended.append, workers=workers)
    return ended


def test_a_cluster_gives_the_serial_results_to_the_bit(ready, nodes, tmp_path):
    made, *_ = nodes
    path = SUBMISSIONS / "random_buyer.py"
    secret = tmp_path / "round.secret"  # which the nodes get with the data
    secret.write_text("0123456789abcdef" * 2)
    there = ready(path, out=tmp_path / "there", seeds=2, secret=secret, public_seeds=False)
    here = ready(path, out=tmp_path / "here", seeds=2, secret=secret, public_seeds=False)
    assert all(not cell.cached for cell in on_cluster(there, made.address))
    assert "ray" not in os.environ.get("PYTHONBREAKPOINT", ""), "breakpoint() is the person's, and not Ray's"
    run(here, work=clusters.judged)
    found, expected = cells(tmp_path / "there"), cells(tmp_path / "here")
    assert found.keys() == expected.keys()
    assert len(found) >= 2
    for digest, cell in expected.items():
        assert lasting(found[digest]) == lasting(cell)
        kept = [read_predictions(tmp_path / place, where[digest]) for place, where in (("there", found), ("here", expected))]
        assert np.array_equal(*kept)


def test_nodes_say_how_far_they_are_and_the_board_may_die(ready, nodes, monkeypatch):
    made, *_ = nodes
    monkeypatch.setattr(clusters, "SECONDS_BETWEEN_LOOKS", 0.05)
    experiment = ready(SUBMISSIONS / "random_buyer.py", seeds=1)
    said = []
    with ClusterWorkers(made.address, work=slot_works.telling_slowly) as workers:
        conducted(experiment, progress=lambda spec, what, share: said.append((spec.digest(), what, share)), workers=workers)
        for spec in experiment.cells:
            assert (spec.digest(), "training", 0.0) in said
            assert (spec.digest(), "halfway", 0.5) in said
        assert any(what.endswith("_phase") for _, what, _ in said)
    ended = []
    with ClusterWorkers(made.address, work=slot_works.instant) as workers:
        ray.kill(workers._board)
        conducted(ready(SUBMISSIONS / "random_buyer.py", seeds=1, root_seed=8), finished=ended.append, workers=workers)
    assert [cell.result.verdict for cell in ended] == [Verdict.OK] * len(experiment.cells)


def test_cells_of_a_node_that_dies_run_elsewhere_and_count_once(ready, nodes, tmp_path):
    made, workers, place = nodes
    experiment = ready(SUBMISSIONS / "random_buyer.py", seeds=6)

    def kill():
        began = time.monotonic()
        while not (at := [file.name.split(".")[1] for file in place.glob("*.*.*")]):
            assert time.monotonic() - began < 100, "no cell began"
            time.sleep(0.02)
        (dying,) = (worker for worker in workers if worker.node_id == at[0])
        made.remove_node(dying, allow_graceful=False)
        workers.remove(dying)
        (place / slot_works.GONE).write_text(dying.node_id)

    killer = threading.Thread(target=kill)
    killer.start()
    ended = on_cluster(experiment, made.address, slot_works.held)
    killer.join()
    workers.append(made.add_node(num_cpus=2))  # for the tests that follow
    made.wait_for_nodes()
    began = Counter(file.name.split(".")[0] for file in place.glob("*.*.*"))
    assert set(began) == {spec.digest() for spec in experiment.cells}
    assert sum(began.values()) > len(experiment.cells), "a cell was under way on the node that died, and began again"
    digests = [cell.spec.digest() for cell in ended]
    assert sorted(digests) == sorted(spec.digest() for spec in experiment.cells), "each once, none lost"
    assert all(cell.result.verdict is Verdict.OK for cell in ended)
    assert len(cells(experiment.settings.out)) == len(experiment.cells)


def test_faults_and_refusals_are_those_of_the_local_executor(ready, nodes):
    made, *_ = nodes
    ended = on_cluster(ready(SUBMISSIONS / "random_buyer.py", seeds=2), made.address, slot_works.faulty)
    wrong = [cell for cell in ended if cell.result.verdict is Verdict.INFRASTRUCTURE]
    assert {cell.spec.seed for cell in wrong} == {0}
    assert "a fault of ours" in wrong[0].result.reason
    with pytest.raises(ConfigurationError, match="nothing can be done here"):
        on_cluster(ready(SUBMISSIONS / "random_buyer.py", seeds=1, root_seed=7), made.address, slot_works.refusing)


def test_a_node_with_another_kit_or_without_the_files_is_refused(ready, nodes, monkeypatch):
    made, *_ = nodes
    monkeypatch.setattr(clusters, "_fingerprint", lambda: "another kit")
    with pytest.raises(ConfigurationError, match=r"the node .* has the kit .*the driver has another kit"):
        on_cluster(ready(SUBMISSIONS / "random_buyer.py", seeds=1), made.address)


def test_what_a_node_does_not_see_is_named(tmp_path):
    found = clusters._guarded(lambda: "done", [tmp_path / "nowhere"], clusters.fingerprint())
    assert isinstance(found, ConfigurationError)
    assert "nowhere" in str(found)
    assert clusters._guarded(lambda: "done", [tmp_path], clusters.fingerprint()) == "done"


def test_a_cluster_that_is_not_there_is_said():
    with pytest.raises(ConfigurationError, match="ray start --head"):
        ClusterWorkers("127.0.0.1:1")


def test_workers_are_rays_to_count():
    with pytest.raises(ConfigurationError, match="--ray"):
        Settings((Path("x"),), ray="auto", workers=2)
