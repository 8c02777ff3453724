"""The pages of a board are whole, small and harmless, hold nothing hidden, and are written so that no reader meets a dead link."""

import csv
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from benchmarks.harness.board import DATA, PAIRS, result
from evaluator.files import hold, unheld
from evaluator.judging import site
from evaluator.judging.board import scored
from evaluator.judging.pages.render import made_of
from evaluator.judging.published import COLUMNS
from evaluator.judging.site import BOARD, CSV, JSON, LOCK, SUBMISSIONS, write_site, writing
from evaluator.purchase.track import PURCHASE
from evaluator.report.colours import luminance
from evaluator.scoring.intervals import t_interval

F1 = PURCHASE.metric("macro_f1")
NOW = 1_800_000_000.0


def judged(number=1, participant="fox", skill=0.5, version=1, name="mine", failed=False, **changes):
    """A judged submission, as the queue gives it back."""
    content = result(number, skill, version, failed) | changes
    row = {"submission": number, "participant": participant, "name": name, "received": NOW + number, "sha256": f"{number:064x}"}
    row |= {"verdict": "TIME_LIMIT" if failed else "OK", "version": version, "ended": NOW + number + 60, "result": content}
    return scored(row, F1, "pair")


def write(folder: Path, parts) -> str:
    with writing(folder, folder.parent):
        write_site(folder, "Labels 2026", parts, F1, "pair", NOW)
    return (folder / BOARD).read_text()


def page(folder: Path, number: int) -> str:
    return (folder / "submissions" / f"{number}.html").read_text()


class Parsed(HTMLParser):
    """Collects links, what a page would load or run, headings, and elements without what they need."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.scripts = 0
        self.headings: list[int] = []
        self.unnamed: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        if tag == "a":
            self.links.append(held["href"])
        self.scripts += tag == "script"
        self.ids += [held["id"]] if "id" in held else []
        if tag in ("iframe", "object", "form", "base") or "src" in held or any(name.startswith("on") for name in held):
            self.loads.append(tag)
        if tag == "link" and held.get("href") != "data:,":
            self.loads.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        named = held.get("aria-label") or held.get("aria-hidden") == "true" or held.get("aria-labelledby")
        if (tag in ("svg", "img") or held.get("role") == "region") and not named:
            self.unnamed.append(tag)
        if tag == "th" and "scope" not in held:
            self.unnamed.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def dead_links(folder: Path, start: Path) -> list[str]:
    """Links of a page that lead to no file of the site."""
    targets = [link.partition("#")[0] for link in Parsed(start.read_text()).links if not link.startswith(("#", "https:"))]
    return [target for target in targets if not (start.parent / unquote(target)).is_file()]


def test_every_link_leads_to_a_page_and_nothing_is_loaded(tmp_path):
    found = [judged(1, "fox"), judged(2, "owl", 0.6), judged(3, "owl", 0.4, failed=True)]
    text = write(tmp_path, {"public": found, "private": found[:1]})
    assert sorted(path.name for path in tmp_path.iterdir()) == [CSV, JSON, BOARD, "submissions", SUBMISSIONS]
    pages = [*tmp_path.rglob("*.html")]
    assert len(pages) == 5
    for path in pages:
        read = Parsed(path.read_text())
        assert (read.loads, read.scripts, read.unnamed) == ([], 1, [])
        assert dead_links(tmp_path, path) == []
        assert read.headings[0] == 1
        assert read.headings.count(1) == 1
        assert all(after - before <= 1 for before, after in zip(read.headings, read.headings[1:], strict=False)), read.headings
        assert len(set(read.ids)) == len(read.ids)
        assert re.search(r"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'", path.read_text())
    value = found[1].value
    assert f"{value.mean:.3f}" in text
    assert f"[{value.low:.3f}, {value.high:.3f}]" in text


def test_a_score_of_models_that_learnt_nothing_bears_a_mark_wherever_it_stands(tmp_path):
    whole = [judged(1, "fox"), judged(2, "owl", 0.6)]
    for cell in whole[0].detail["cells"][:2]:
        cell["collapsed"] = True
    fell = judged(1, "fox", cells=whole[0].detail["cells"])
    text = write(tmp_path, {"public": [fell, whole[1]]})
    shown = " ".join(Parsed(text).texts)
    assert "!: 2 cells of 1 participant collapsed: a model learnt nothing" in shown
    for path, marked in ((BOARD, True), (SUBMISSIONS, True), ("submissions/1.html", True), ("submissions/2.html", False)):
        assert ("2 cells collapsed" in (tmp_path / path).read_text()) == marked, path
    lines = json.loads((tmp_path / JSON).read_text())["parts"]["public"]["lines"]
    assert {line["participant"]: line["collapsed"] for line in lines} == {"fox": 2, "owl": 0}


def test_a_page_of_a_submission_says_how_it_was_judged_and_draws_what_was_stored(tmp_path):
    write(tmp_path, {"public": [judged(3, "fox")]})
    text = page(tmp_path, 3)
    shown = " ".join(Parsed(text).texts)
    for said in ("F1 of each class", "Training loss", "Labels bought", "rules 1, metric 1", "0 to 4", f"{3:064x}"):
        assert said in shown, said
    for pair in PAIRS:
        assert f"<bdi>{pair}</bdi>" in text
    assert f"validation {DATA['validation'][:12]}" in shown
    assert text.count('<svg viewBox="0 0 360') == 5
    assert "https://code.example/team/3" in text
    assert len(text) < 80_000


def test_nothing_of_hidden_tasks_and_of_the_private_part_is_shown(tmp_path):
    known = [pair for pair in PAIRS if pair != PAIRS[1]]
    hidden = judged(1, known=known, figures=[])
    assert hidden.value.mean != pytest.approx(judged(1).value.mean)
    private = judged(1, skill=0.7, figures=result(1, 0.7)["figures"])
    write(tmp_path, {"public": [hidden], "private": [private]})
    text = page(tmp_path, 1)
    assert PAIRS[1] not in text
    assert "Hidden pairs were run as well" in text
    assert text.count("<table") == 1, "a table of the public part alone"
    assert f"{private.value.mean:.3f}" in text
    assert "Training loss" not in text, "figures of the private part are not drawn, even if some were stored"
    older = judged(2)
    del older.detail["known"]
    write(tmp_path / "older", {"public": [older]})
    assert "<table" not in page(tmp_path / "older", 2), "a result that does not say which tasks are known names none"


def test_no_digest_of_what_is_hidden_stands_in_a_page(tmp_path):
    """Two results that differ in single hidden scores alone, and in none of the means that are shown, give the same bytes."""
    known = [pair for pair in PAIRS if pair != PAIRS[1]]

    def content(folder: str, shift: float) -> str:
        public, private = judged(1, known=known, figures=[]), judged(1, skill=0.7)
        for of, pairs, signs in ((public, PAIRS[1:2], (1,)), (private, PAIRS[:2], (1, -1))):
            for cell in of.detail["cells"]:
                if cell["pair"] in pairs:
                    cell["score"] += shift * signs[pairs.index(cell["pair"])]
        write(tmp_path / folder, {"public": [public], "private": [private]})
        return page(tmp_path / folder, 1)

    assert content("a", 0.0) == content("b", 0.125)


def test_a_pair_whose_seeds_gave_the_same_figure_has_no_interval(tmp_path):
    cells = judged(1).detail["cells"]
    for cell in cells:
        if cell["pair"] == PAIRS[0]:
            cell["score"] = 0.25
    write(tmp_path, {"public": [judged(1, cells=cells)]})
    row = re.search(rf"<tr>(?:(?!</tr>).)*{re.escape(PAIRS[0])}.*?</tr>", page(tmp_path, 1), re.DOTALL)[0]
    assert "0.250" in row
    assert "[0.250" not in row


def test_the_private_part_stands_first_with_the_rank_of_the_public_part(tmp_path):
    public = [judged(1, "fox", 0.6), judged(2, "owl", 0.5)]
    private = [judged(1, "fox", 0.4), judged(2, "owl", 0.7)]
    text = write(tmp_path, {"public": public, "private": private})
    assert text.index("Private part") < text.index("Public part")
    assert text.count("Public rank") == 1
    first = re.search(r"<tbody>.*?</tr>", text, re.DOTALL)[0]
    assert "owl" in first
    assert '<td data-value="2" class="number">2</td>' in first


def test_ties_are_shown_as_ties(tmp_path):
    text = write(tmp_path, {"public": [judged(1, "a", 0.5), judged(2, "b", 0.5), judged(3, "c", 0.2)]})
    ranks = re.findall(r'class="rank">(\d+)(.*?)</td>', text)
    assert [(rank, "tie" in tie) for rank, tie in ranks] == [("1", True), ("1", True), ("3", False)]
    assert text.count('class="first"') == 2, "a line is drawn above each new rank"


def test_two_versions_stand_side_by_side_and_what_is_not_yet_judged_is_said(tmp_path):
    old = [judged(1, "fox", 0.6), judged(2, "owl", 0.5)]
    new = [judged(2, "owl", 0.4, version=2)]
    text = write(tmp_path, {"public": [*old, *new]})
    assert "Macro F1, rules 2" in text
    assert "Rules 1" in text
    assert f"{old[1].value.mean:.3f}" in text
    assert "1 submission judged under earlier rules and not yet under these" in text
    assert "Under each version of the rules" in page(tmp_path, 2)
    assert "Under each version of the rules" not in page(tmp_path, 1)
    content = json.loads((tmp_path / JSON).read_text())["parts"]["public"]
    assert (content["version"], content["version_before"], content["not_yet_judged_anew"]) == (2, 1, 1)
    assert content["lines"][0]["before"]["mean"] == old[1].value.mean
    assert "Rules 1" not in write(tmp_path, {"public": old}), "one version has no column of another"


def test_other_data_and_other_seeds_are_said(tmp_path):
    found = [judged(1, "fox"), judged(2, "owl", data=DATA | {"validation": "0" * 64})]
    text = write(tmp_path, {"public": found})
    assert "validation: 2 different data sets were scored" in text
    assert "0 to 4, the same for everybody" in text
    fewer = judged(3, "elk", cells=[cell for cell in result(3, 0.4)["cells"] if cell["seed"] < 3])
    assert "not the same for everybody" in write(tmp_path, {"public": [judged(1), fewer]})
    assert "different data sets" not in write(tmp_path, {"public": [judged(1), fewer]})


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202eevil\u2066\x1b[31m",
    "x" * 500,
    "🦊" * 100,
    "=HYPERLINK(1)",
    "</style><style>*{display:none}",
    "{{ 7 * 7 }}",
    "--> <h1>",
)


def test_names_of_strangers_are_texts(tmp_path):
    found = [judged(n, name, 0.5, name=name) for n, name in enumerate(HOSTILE, 1)]
    text = write(tmp_path, {"public": found, "private": found})
    for path in tmp_path.rglob("*.html"):
        read = Parsed(path.read_text())
        assert (read.loads, read.scripts) == ([], 1)
        assert not re.search("[\x1b\u202e\u2066]", path.read_text())
        assert path.read_text().count("</style>") == 1
    assert "&lt;script&gt;" in text
    assert "x" * 100 not in text
    assert "49" not in re.findall(r"<bdi>(.*?)</bdi>", text)
    rows = list(csv.DictReader((tmp_path / CSV).open(newline="")))
    assert len(rows) == 2 * len(HOSTILE)
    assert "'=HYPERLINK(1)" in {row["participant"] for row in rows}
    json.loads((tmp_path / JSON).read_text())


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "https://known.example@evil.example/", "data:text/html,x", "//evil.example", "https://a b", 7],
)
def test_a_link_that_is_no_plain_web_address_is_not_shown(tmp_path, address):
    text = write(tmp_path, {"public": [judged(1, links={"code": address, "write_up": "https://ok.example/a?b=c&d"})]})
    for shown in (text, page(tmp_path, 1)):
        assert str(address) not in Parsed(shown).links
        assert "https://ok.example/a?b=c&d" in Parsed(shown).links
        assert shown.count('rel="nofollow ugc noopener noreferrer"') == 1


def test_the_board_as_data_is_that_of_the_page(tmp_path):
    found = [judged(1, "fox", 0.5), judged(2, "owl", 0.6), judged(3, "elk", 0.6, failed=True)]
    write(tmp_path, {"public": found})
    content = json.loads((tmp_path / JSON).read_text())
    lines = content["parts"]["public"]["lines"]
    assert [line["participant"] for line in lines] == ["owl", "fox"]
    assert lines[0]["score"]["mean"] == found[1].value.mean
    assert lines[0]["seeds"] == [0, 1, 2, 3, 4]
    assert content["parts"]["public"]["data"] == {split: [digest] for split, digest in DATA.items()}
    assert content["parts"]["public"]["metric_versions"] == [1]
    rows = list(csv.DictReader((tmp_path / CSV).open(newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["rank"], row["participant"], float(row["score"])) for row in rows] == [
        (str(line["rank"]), line["participant"], line["score"]["mean"]) for line in lines
    ]


def test_an_empty_board_says_so(tmp_path):
    assert "No submission has a score yet." in write(tmp_path, {"public": []})
    assert "No submission was judged yet." in (tmp_path / SUBMISSIONS).read_text()
    assert "1 participant without a scored submission" in write(tmp_path, {"public": [judged(1, "a"), judged(2, "b", failed=True)]})


def test_an_old_board_stays_until_the_new_is_whole(tmp_path, monkeypatch):
    before = write(tmp_path, {"public": [judged(1)]})
    monkeypatch.setattr("evaluator.judging.site.board_page", lambda *of: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path, {"public": [judged(2)]})
    assert (tmp_path / BOARD).read_text() == before
    assert dead_links(tmp_path, tmp_path / BOARD) == []


def test_whoever_reads_while_a_site_is_written_meets_no_dead_link(tmp_path, monkeypatch):
    """After every file that is written or removed, the links of the board that is there lead to pages."""
    write(tmp_path, {"public": [judged(n, f"p{n}") for n in range(1, 6)]})
    looks = []

    def look(path, text, **how):
        write_text(path, text, **how)
        looks.append(dead_links(tmp_path, tmp_path / BOARD) + dead_links(tmp_path, tmp_path / SUBMISSIONS))

    write_text = site.write_text
    monkeypatch.setattr(site, "write_text", look)
    write(tmp_path, {"public": [judged(n, f"p{n}") for n in range(4, 9)]})
    assert len(looks) >= 3 + 4
    assert not any(looks)


def test_pages_that_are_no_longer_there_are_removed_and_other_files_stay(tmp_path):
    write(tmp_path, {"public": [judged(1), judged(2, "owl")]})
    (tmp_path / "submissions" / "notes.html").write_text("mine")
    (tmp_path / "logo.svg").write_text("mine")
    write(tmp_path, {"public": [judged(2, "owl")]})
    assert sorted(path.name for path in (tmp_path / "submissions").iterdir()) == ["2.html", "notes.html"]
    assert (tmp_path / "logo.svg").read_text() == "mine"


def test_a_page_of_which_nothing_changed_is_left_alone(tmp_path):
    found = [judged(1, "fox", 0.5), judged(2, "owl", 0.6)]
    write(tmp_path, {"public": found})
    times = {number: (tmp_path / "submissions" / f"{number}.html").stat().st_mtime_ns for number in (1, 2)}
    assert made_of(tmp_path / "submissions" / "1.html")
    write(tmp_path, {"public": [*found, judged(3, "elk", 0.9)]})
    assert (tmp_path / "submissions" / "1.html").stat().st_mtime_ns != times[1], "its rank is another"
    write(tmp_path, {"public": [*found, judged(3, "elk", 0.9)]})
    again = (tmp_path / "submissions" / "1.html").stat().st_mtime_ns
    write(tmp_path, {"public": [*found, judged(3, "elk", 0.9)]})
    assert (tmp_path / "submissions" / "1.html").stat().st_mtime_ns == again
    (tmp_path / "submissions" / "1.html").write_text("damaged")
    write(tmp_path, {"public": [*found, judged(3, "elk", 0.9)]})
    assert "Submission 1" in page(tmp_path, 1)


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / "submissions").mkdir()
    left = [tmp_path / f".index.html.{'0' * 16}.tmp", tmp_path / "submissions" / f".1.html.{'0' * 16}.tmp"]
    for path in left:
        path.write_text("half")
    write(tmp_path, {"public": [judged(1)]})
    assert not any(path.exists() for path in left)


def test_the_colours_of_texts_have_contrast_in_both_schemes():
    style = (Path(site.__file__).parent / "pages" / "site.css").read_text()
    colours = {name: pair for name, *pair in re.findall(r"--(\w+): light-dark\((#\w+), (#\w+)\)", style)}
    for scheme in (0, 1):
        for text in ("ink", "soft", "link", "bad", "good"):
            for paper in ("page", "card"):
                light, dark = sorted((luminance(colours[text][scheme]), luminance(colours[paper][scheme])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, paper, scheme)


@pytest.mark.endurance
def test_a_thousand_submissions_of_a_hundred_people_have_a_page_each(tmp_path):
    found = [judged(n, f"team {n % 100}", 0.4 + n / 4000) for n in range(1, 1001)]
    write(tmp_path, {"public": found})
    assert len(list((tmp_path / "submissions").iterdir())) == 1000
    assert len(re.findall("<tr data-name", (tmp_path / BOARD).read_text())) == 100
    assert len(re.findall("<tr data-name", (tmp_path / SUBMISSIONS).read_text())) == 1000


def test_intervals_of_one_seed_are_no_intervals(tmp_path):
    one = judged(1)
    alone = judged(2, "owl", cells=[cell for cell in one.detail["cells"] if cell["seed"] == 0])
    assert alone.value == t_interval([np.mean([cell["score"] for cell in alone.detail["cells"]])])
    text = write(tmp_path, {"public": [alone]})
    assert "[" not in re.search(r'class="number score">(.*?)</td>', text)[1]


def test_who_may_read_the_site_cannot_stop_its_writer_and_two_judges_exclude_each_other(tmp_path):
    folder, own = tmp_path / "site", tmp_path / "runs"
    folder.mkdir(mode=0o755)
    own.mkdir(mode=0o700)
    reader = hold(folder, shared=True)  # it needs no more than to open it
    try:
        with writing(folder, own):
            write_site(folder, "Labels 2026", {"public": [judged()]}, F1, "pair", NOW)
            assert (own / LOCK).stat().st_mode & 0o777 == 0o600
            with unheld(own / LOCK) as free:
                assert not free, "another judge waits"
    finally:
        os.close(reader)
    assert (folder / BOARD).is_file()
