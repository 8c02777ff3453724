"""Draws follow from the secret: a submission cannot know them, they repeat within a secret, and nobody is told the secret."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slot_works
from conftest import SUBMISSIONS, TINY
from specs import PAIRS, result, spec
from sweeps import cells, run

import evaluator.purchase.purchased
import local_evaluation
from evaluator.cli.main import main as cli
from evaluator.cli.tracks import TRACKS
from evaluator.data.annotators import annotator_noise
from evaluator.data.painted import size_pairs
from evaluator.errors import ConfigurationError
from evaluator.history.checksum import sealed
from evaluator.history.export import rows
from evaluator.history.groups import conditions
from evaluator.history.store import Store
from evaluator.purchase import cell as cell_module
from evaluator.purchase import profiles
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.pairs import choose_pairs, hidden_pairs
from evaluator.purchase.purchased import buy, sold_labels
from evaluator.purchase.rounds import ROUND2
from evaluator.purchase.track import PURCHASE
from evaluator.records import AnswerRef
from evaluator.sandbox.process import ProcessSandbox
from evaluator.secret import FILE, Secret, read_secret
from evaluator.seeds import derive, generator
from evaluator.specs import digest_of
from evaluator.sweep.settings import read_settings
from evaluator.track import CellInputs, Judged
from evaluator.training.recipes import PIPELINES

RANDOM = SUBMISSIONS / "random_buyer.py"
ONE, OTHER = Secret(2**127 + 0x1234567890ABCDEF1234567890ABCDEF), Secret(0xFEDCBA0987654321FEDCBA0987654321)
DRAWING = replace(TINY, name="drawing", drawn={"training": 7, "unlabelled": 30})


@pytest.fixture
def here(monkeypatch, tmp_path, data_folder, capsys):
    """Run a command on the tiny data set and a folder of results of its own: (exit status, stdout, stderr)."""
    monkeypatch.setitem(profiles.PROFILES, "tiny", TINY)
    monkeypatch.setattr("evaluator.places.DATA", tmp_path / "data")
    monkeypatch.setenv("COLUMNS", "300")

    def call(command, *options: object, out: str = "results"):
        given = ["--profile", "tiny", "--data", data_folder, "--device", "cpu", "--sandbox", "process", "--out", tmp_path / out]
        status = command([str(option) for option in (*given, *options)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def evaluate(arguments):
    return local_evaluation.main(arguments)


def sweep(arguments):
    return cli(["sweep", *arguments])


# -- every draw


@pytest.fixture
def draws(sets, cell_spec, monkeypatch):
    """Every draw of one cell under a secret: what the session is given, what is sold, what is trained on, hidden pairs."""

    def drawn(secret: Secret | None, path: Path = RANDOM, **changes):
        own = replace(sets, secret=secret)
        described = cell_spec(path, secret="" if secret is None else secret.fingerprint, profile=DRAWING, **changes)
        sessions, seeds = [], []

        def session(given, *_):
            sessions.append(given)
            raise InterruptedError

        def train(spec, sets, bought, labels, seed, *_):
            seeds.append(seed)
            raise InterruptedError

        monkeypatch.setattr(evaluator.purchase.purchased, "run_session", session)
        monkeypatch.setattr(cell_module, "train_on_images", train)
        noisy = replace(described, label_quality=0.8)
        with pytest.raises(InterruptedError):
            buy(noisy, CellInputs(path, own, ProcessSandbox()))
        with pytest.raises(InterruptedError):
            cell_module.train_and_score(described, own.of(described), Ledger())
        root = None if secret is None else secret.root(described.root_seed)
        pairs = choose_pairs(("hidden:3",), TINY, 7, root)
        (given,) = sessions
        return {
            "order": given.order.tolist(),
            "seed of the participant": given.seed,
            "mistakes": (given.sold != own.of(described).splits["unlabelled"].labels).tolist(),
            "images": own.of(described).splits["unlabelled"].files,
            "seed of the training": seeds,
            "hidden pairs": [named.pair.name for named in pairs],
        }

    return drawn


def test_the_same_secret_gives_the_same_draws_and_another_gives_others(draws):
    one, again, other, public = draws(ONE), draws(ONE), draws(OTHER), draws(None)
    assert one == again
    for name, drawn in one.items():
        assert drawn != other[name], name
        assert drawn != public[name], name


def test_strategies_are_paired_within_a_secret(draws, strategy):
    assert draws(ONE) == draws(ONE, strategy("    def purchase_phase(self, unlabelled_dataset, budget):\n        return {}\n"))


def test_seeds_and_root_seeds_are_different_draws_within_a_secret(draws):
    one = draws(ONE)
    for changes in ({"seed": 1}, {"root_seed": 2}):
        other = draws(ONE, **changes)
        assert one["order"] != other["order"]
        assert one["seed of the training"] != other["seed of the training"]


def test_public_seeds_draw_what_they_always_drew(draws, sets, cell_spec):
    """To the bit: published figures stand on these draws."""
    public = draws(None)
    assert public["order"] == generator(1, "621:17", 0, "pool order").permutation(30).tolist()
    assert public["seed of the participant"] == derive(1, "621:17", 0, "participant") >> 96
    assert public["seed of the training"] == [derive(1, 0, "training")]
    chosen = np.sort(generator(1, 0, "drawn", "unlabelled").permutation(80)[:30])
    assert public["images"] == tuple(sets.splits["unlabelled"].files[row] for row in chosen)
    assert public["hidden pairs"] == [pair.name for pair in hidden_pairs(ROUND2, 3, 7, frozenset(ROUND2.pairs))]
    noisy = cell_spec(RANDOM, label_quality=0.8)
    truth = sets.splits["unlabelled"].labels
    mistaken = annotator_noise(truth, 1 - 0.8, derive(1, 0, "annotators"), size_pairs(6))
    assert np.array_equal(sold_labels(noisy, sets.of(noisy)), mistaken)
    assert (mistaken != truth).any()


def test_the_spec_of_public_seeds_is_that_of_kits_without_secrets(cell_spec):
    public, secret = cell_spec(RANDOM), cell_spec(RANDOM, secret=ONE.fingerprint)
    assert "secret" not in public.as_dict()
    assert "secret" not in public.answer_dict()
    assert secret.as_dict() == public.as_dict() | {"secret": ONE.fingerprint}
    assert public.digest() != secret.digest()
    assert public.answer_digest() != secret.answer_digest()
    for described in (public, secret):
        assert PURCHASE.spec(json.loads(json.dumps(described.as_dict()))) == described


def test_a_cell_is_not_run_on_data_of_another_secret(sets, cell_spec):
    for own, secret in ((None, ONE.fingerprint), (ONE, ""), (ONE, OTHER.fingerprint)):
        with pytest.raises(ConfigurationError, match="the seeds of the cell are"):
            replace(sets, secret=own).of(cell_spec(RANDOM, secret=secret))


# -- what a submission knows

KNOWS_THE_ORDER = '''
import hashlib, json
import numpy as np
from run import ZEWDPCBaseRun

def split(root, *names):
    found = hashlib.sha256(str(root).encode())
    for name in names:
        text = f"{type(name).__name__}:{name}".encode()
        found.update(len(text).to_bytes(4, "big") + text)
    return int.from_bytes(found.digest()[:16], "big")

class Attack(ZEWDPCBaseRun):
    """Looks for a root seed that gives the seed it was told; the order of the pool would follow from it."""

    def purchase_phase(self, unlabelled_dataset, budget, seed):
        places = [(root, pair, n) for root in range(2500) for pair in ("621:17", "1321:34") for n in range(3)]
        told = lambda place: split(*place, "participant") >> 96
        root, pair, n = next((place for place in places if told(place) == seed), places[0])
        order = np.random.default_rng(split(root, pair, n, "pool order")).permutation(len(unlabelled_dataset))
        names = [hashlib.sha256(image.tobytes()).hexdigest() for image in unlabelled_dataset.images]
        print("PLACES", json.dumps(dict(zip(names, order.tolist(), strict=True))), flush=True)
        unlabelled_dataset.purchase_labels(range(budget))
'''


@pytest.mark.parametrize("public", [True, False], ids=["public seeds", "a secret"])
def test_the_order_of_the_pool_cannot_be_computed(here, sets, submission, tmp_path, public):
    """The attack of a submission that knows the kit: every place with public seeds, as many as by chance with a secret."""
    path = submission(KNOWS_THE_ORDER)
    options = ["--public-seeds"] if public else []
    status, _, err = here(
        evaluate, "--submission", path, "--pair", "621:17", "--pair", "1321:34", "--pipeline", "milliseconds", *options
    )
    assert status == 0, err
    pool = sets.images["unlabelled"].gather(range(80))
    true = {hashlib.sha256(image.tobytes()).hexdigest(): place for place, image in enumerate(pool)}
    logs = [path for path in (tmp_path / "results").glob("*/logs/*.log") if "PLACES" in path.read_text()]
    assert len(logs) == 2
    for log in logs:
        (line,) = [line for line in log.read_text().splitlines() if line.startswith("PLACES ")]
        said = json.loads(line.removeprefix("PLACES "))
        right = sum(true[name] == place for name, place in said.items())
        # A random order has one right place on average, whatever its length; ten or more, once in a million times.
        assert right == 80 if public else right < 10


def test_a_worker_is_given_nothing_of_secret_root_or_order(here, strategy, tmp_path, told):
    """What a submission finds around it: its seed, environment, command lines, the files that its worker has open."""
    path = strategy(
        """
        def purchase_phase(self, unlabelled_dataset, budget, seed):
            def text(path):
                try:
                    return open(path, "rb").read().decode("latin-1")
                except OSError:
                    return ""
            around = [text(f"/proc/{number}/{name}") for number in ("self", os.getppid()) for name in ("cmdline", "environ")]
            tell([seed, around, dict(os.environ), sys.argv])
        """
    )
    (tmp_path / "round.secret").write_text(f"{ONE.number:032x}\n")
    status, _, err = here(
        evaluate, "--submission", path, "--pair", "621:17", "--pipeline", "milliseconds", "--secret", tmp_path / "round.secret"
    )
    assert status == 0, err
    (log,) = (tmp_path / "results").glob("*/logs/*.log")
    ((seed, *around),) = told(log.read_text())
    root = ONE.root(2022)
    assert seed == derive(root, "621:17", 0, "participant") >> 96
    assert around[1]["PYTHONHASHSEED"] == str(seed), "32 bits of a hash, which everybody may know"
    said = json.dumps(around).lower()
    assert [needle for needle in needles(ONE, 2022) if needle.decode("latin-1") in said] == []


def needles(secret: Secret, root_seed: int) -> list[bytes]:
    """Every form in which the secret or the root of the draws could stand in a file."""
    numbers = (secret.number, secret.root(root_seed))
    texts = [text.encode() for number in numbers for text in (f"{number:x}", f"{number:X}", str(number))]
    return texts + [number.to_bytes(16, order) for number in numbers for order in ("big", "little")]


def test_the_secret_reaches_processes_in_memory_only(ready, tmp_path, monkeypatch):
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.setenv(slot_works.PLACE, str(place))
    experiment = ready(pairs=("621:17",), seeds=2, public_seeds=False)
    secret = read_secret(tmp_path / "results" / FILE)
    _, summary, _ = run(experiment, slot_works.seen)
    assert [cell["verdict"] for cell in summary["cells"]] == ["OK", "OK"]
    seen = b"".join(path.read_bytes() for path in place.iterdir())
    assert b"spawn_main" in seen
    assert [needle for needle in needles(secret, 2022) if needle in seen] == []


# -- what is stored


@pytest.mark.slow
@pytest.mark.endurance
def test_no_file_or_output_of_a_run_holds_the_secret(here, tmp_path, strategy):
    """Scored cells and failed ones, a sweep in processes, a single evaluation, an error of the evaluator, an export."""
    bad = strategy("    def purchase_phase(self):\n        raise ZeroDivisionError\n")
    grid = ("--pairs", "621:17", "hidden:1", "--round-seed", 3, "--seeds", 2, "--pipelines", "milliseconds", "--workers", 2)
    said = [*here(sweep, "--submissions", RANDOM, bad, *grid, "--label-quality", 1.0, 0.9)[1:]]
    said += here(evaluate, "--submission", RANDOM, "--pair", "621:17", "--pipeline", "milliseconds", "--json")[1:]
    secret = read_secret(tmp_path / "results" / FILE)
    assert secret.fingerprint in said[0]
    assert json.loads(said[2])["secret"] == secret.fingerprint
    assert cli(["results", "export", str(tmp_path / "cells.csv"), "--out", str(tmp_path / "results")]) == 0
    assert secret.fingerprint in (tmp_path / "cells.csv").read_text()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != tmp_path / "results" / FILE]
    kinds = {path.relative_to(tmp_path / "results").parts[0] for path in files if path.is_relative_to(tmp_path / "results")}
    assert {"cells", "answers", "index.json"} < kinds
    for needle in needles(secret, 2022):
        assert [path for path in files if needle in path.read_bytes()] == []
        assert needle.decode("latin-1") not in "".join(said)


@pytest.mark.slow
@pytest.mark.endurance
def test_a_second_run_reuses_the_cells_of_the_first_and_another_secret_does_not(here, tmp_path):
    options = ("--submission", RANDOM, "--pair", "621:17", "--pipeline", "milliseconds", "--json")
    first = json.loads(here(evaluate, *options)[1])
    again = json.loads(here(evaluate, *options)[1])
    assert again["cells"][0]["cached"]
    afresh = json.loads(here(evaluate, *options, "--fresh")[1])
    assert not afresh["cells"][0]["cached"]
    assert afresh["cells"][0]["fingerprint"] == first["cells"][0]["fingerprint"], "the same secret repeats a run to the bit"
    (tmp_path / "copy").write_bytes((tmp_path / "results" / FILE).read_bytes())
    elsewhere = json.loads(here(evaluate, *options, "--secret", tmp_path / "copy", out="elsewhere")[1])
    assert elsewhere["cells"][0]["fingerprint"] == first["cells"][0]["fingerprint"]
    assert elsewhere["cells"][0]["cell"] == first["cells"][0]["cell"]
    assert not (tmp_path / "elsewhere" / FILE).exists(), "a given secret is not copied"
    for changes in (["--public-seeds"], ["--secret", tmp_path / "other"]):
        (tmp_path / "other").write_text(f"{OTHER.number:032x}\n")
        found = json.loads(here(evaluate, *options, *changes)[1])
        assert not found["cells"][0]["cached"]
        assert found["cells"][0]["fingerprint"] != first["cells"][0]["fingerprint"]


@pytest.mark.slow
@pytest.mark.endurance
def test_public_seeds_repeat_from_folder_to_folder(here, tmp_path):
    options = ("--submission", RANDOM, "--pair", "621:17", "--pipeline", "milliseconds", "--json", "--public-seeds")
    one, other = (json.loads(here(evaluate, *options, out=name)[1]) for name in ("one", "other"))
    assert one["cells"][0]["fingerprint"] == other["cells"][0]["fingerprint"]
    assert one["secret"] == ""
    assert not (tmp_path / "one" / FILE).exists()


def test_a_dry_run_makes_neither_folder_nor_secret(here, tmp_path):
    status, out, _ = here(sweep, "--submissions", RANDOM, "--pairs", "621:17", "--dry-run")
    assert status == 0
    assert "(root 2022, secret " in out
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
@pytest.mark.endurance
def test_a_lost_secret_ends_the_run_and_no_cell_is_mixed_with_others(here, tmp_path):
    options = ("--submission", RANDOM, "--pair", "621:17", "--pipeline", "milliseconds")
    assert here(evaluate, *options)[0] == 0
    file = tmp_path / "results" / FILE
    secret = read_secret(file)
    file.unlink()
    status, _, err = here(evaluate, *options)
    assert status == 2
    assert f"1 cell of secret {secret.fingerprint}" in err
    assert not file.exists()
    file.write_text("")
    status, _, err = here(evaluate, *options)
    assert status == 2
    assert "the file of the secret is empty" in err
    assert len(cells(tmp_path / "results")) == 1


def test_secret_and_public_seeds_exclude_each_other_and_the_command_line_wins(tmp_path):
    file = tmp_path / "sweep.toml"
    common = f'submissions = ["{RANDOM}"]\n'
    with pytest.raises(ConfigurationError, match="--secret and --public-seeds"):
        read_settings({"submissions": [RANDOM], "secret": tmp_path, "public_seeds": True}, PURCHASE)
    file.write_text(common + "public-seeds = true\n")
    assert read_settings({}, PURCHASE, file)[0].public_seeds
    settings, _ = read_settings({"secret": tmp_path / "a"}, PURCHASE, file)
    assert (settings.secret, settings.public_seeds) == (tmp_path / "a", False)
    file.write_text(common + 'secret = "round.secret"\n')
    assert read_settings({}, PURCHASE, file)[0].secret == tmp_path / "round.secret", "relative to the file"
    settings, _ = read_settings({"public_seeds": True}, PURCHASE, file)
    assert (settings.secret, settings.public_seeds) == (None, True)


# -- stored cells of several secrets


@pytest.fixture
def mixed(tmp_path):
    """Cells of four strategies: three seeds under one secret, two under another, one with public seeds; two pipelines."""
    store = Store(tmp_path / "results")
    for seeds, secret in ((3, ONE.fingerprint), (2, OTHER.fingerprint), (1, "")):
        for name in ("random", "a", "b", "c"):
            for pipeline in ("quick", "milliseconds"):
                for seed in range(seeds):
                    described = spec(name, PAIRS[0], seed, secret=secret, pipeline=PIPELINES[pipeline])
                    answer = AnswerRef(file="f" * 32, checksum=f"{name}{seed}{secret}")
                    store.write_cell(Judged(replace(result(described, 0.1 * seed + len(name) / 50), answer=answer)))
    return tmp_path / "results"


def test_cells_of_different_secrets_never_stand_in_one_table(mixed, capsys):
    found, _ = conditions(mixed, TRACKS)
    for condition in found:
        assert condition.rules["secret"] == ONE.fingerprint
        assert len(condition.cells) == 4 * 3
        said = "\n".join(condition.left_out)
        assert f"8 cells of other rules: seeds secret {OTHER.fingerprint}, not secret {ONE.fingerprint}" in said
        assert f"4 cells of other rules: seeds public, not secret {ONE.fingerprint}" in said
    assert cli(["compare", str(mixed)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"3 seeds (root 1, secret {ONE.fingerprint})" in out
    assert OTHER.fingerprint in out
    assert cli(["panel", str(mixed)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"(root 1, secret {ONE.fingerprint})" in out
    assert f"seeds secret {OTHER.fingerprint}, not secret {ONE.fingerprint}" in out


def test_lists_and_cells_name_their_seeds(mixed, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert cli(["results", "list", "--out", str(mixed)]) == 0
    out = capsys.readouterr().out
    for seeds in (ONE.fingerprint[:8], OTHER.fingerprint[:8], " public "):
        assert out.count(seeds) == 8
    for digest, cell in cells(mixed).items():
        assert cli(["results", "show", digest, "--out", str(mixed)]) == 0
        words = capsys.readouterr().out.split()
        shown = " ".join(words[words.index("seeds") :][:3])
        assert shown.startswith(f"seeds secret {cell['spec']['secret']}" if "secret" in cell["spec"] else "seeds public")
    assert {row["secret"] for row in rows(mixed, TRACKS)[0]} == {ONE.fingerprint, OTHER.fingerprint, None}


def test_a_spec_whose_fingerprint_is_none_is_not_used(mixed, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    (path, *_) = (mixed / "cells").glob("*.json")
    for secret in ("", 7, "\x1b[31mred", ONE.fingerprint.upper()):
        content = json.loads(path.read_text())
        del content["checksum"]
        content["spec"]["secret"] = secret
        content["cell"] = digest_of(content["spec"])
        (mixed / "cells" / f"{content['cell']}.json").write_text(sealed(content))
    assert cli(["results", "list", "--out", str(mixed)]) == 0
    assert capsys.readouterr().out.count("holds no usable spec.secret") == 4


def test_cleaning_never_removes_the_secret(mixed, capsys):
    (mixed / FILE).write_text(f"{ONE.number:032x}\n")
    os.utime(mixed / FILE, (0, 0))
    everything = ("--partial", "--failed", "--damaged", "--replaced", "--older-than", "0", "--yes")
    assert cli(["results", "clean", "--out", str(mixed), *everything]) == 0
    assert cells(mixed) == {}
    assert read_secret(mixed / FILE) == ONE


# -- replay


@pytest.mark.slow
@pytest.mark.endurance
def test_a_cell_of_a_secret_is_replayed_with_it_and_not_without(here, tmp_path, data_folder, capsys, sets):
    options = ("--submission", RANDOM, "--pair", "621:17", "--pipeline", "milliseconds", "--label-quality", 0.9)
    assert here(evaluate, *options)[0] == 0
    (cell,) = (tmp_path / "results" / "cells").glob("*.json")
    file = tmp_path / "results" / FILE

    def replay(*more: object) -> tuple[int, str]:
        status = cli(["replay", str(cell), "--data", str(data_folder), *map(str, more)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    status, said = replay()
    assert status == 0
    assert "the stored result, to the bit" in said
    away = tmp_path / "away"
    file.rename(away)
    status, said = replay()
    assert status == 2
    assert f"there is no file {file}" in said
    assert replay("--secret", away)[0] == 0
    file.write_text(f"{OTHER.number:032x}\n")
    status, said = replay()
    assert status == 2
    assert f"the file holds secret {OTHER.fingerprint}" in said
