"""The sheet: what goes into its page, its table, and what a person does in it with a keyboard."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from evaluator.data.edits import EditTable
from evaluator.errors import ConfigurationError
from evaluator.report.sheet import page as pages
from evaluator.report.sheet.page import picture, write_sheet
from evaluator.report.sheet.rows import SheetRow, write_sheet_csv

CLASSES = ("i", "ii", "iii", "iv")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def rows(n: int = 12) -> list[SheetRow]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(n):
        image = rng.integers(0, 256, (20 + i, 24), dtype=np.uint8)
        made.append(
            SheetRow(
                f"train/{CLASSES[i % 4]}/{i:04d}.png" if i else '=train/i/evil,"quoted".png',
                image if i % 2 else np.repeat(image[..., None], 3, 2),
                CLASSES[i % 4],
                CLASSES[(i + i // 3) % 4],
                "train" if i % 3 else "val",
                {"quality": i / n, "loss": float("nan") if i == 5 else 3.0 - i / 10},
                ("dark", EVIL) if i == 3 else (),
                "pair" if i in (1, 2) else "",
                EVIL if i == 4 else "",
            )
        )
    return made


def content(path):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.S)[1])


def test_a_page_is_one_file_in_which_strangers_write_no_markup(tmp_path):
    write_sheet(rows(), CLASSES, tmp_path / "sheet.html", title=f"a {EVIL}", lead=EVIL)
    text = (tmp_path / "sheet.html").read_text()
    assert text.count("<script") == 2
    assert "<img" not in text
    assert "\\u003cimg src=x onerror=alert(2)>" in text, "as data, which the script puts into texts of elements"
    assert not re.findall(r"(?:src|href)=[\"']?(?!data:)\w+:", text)
    data = content(tmp_path / "sheet.html")
    assert [row[0] for row in data["rows"]] == [row.id for row in rows()], "ids are exact, for the saved table"
    assert data["rows"][5][5] == [pytest.approx(5 / 12, rel=1e-4), None]
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in data["pictures"])


def test_equal_rows_give_equal_pages_and_other_rows_another_key(tmp_path):
    for name in ("a", "b"):
        write_sheet(rows(), CLASSES, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    write_sheet(rows(), CLASSES, tmp_path / "b", mode="votes")
    assert content(tmp_path / "a")["key"] != content(tmp_path / "b")["key"]


def test_pictures_shrink_until_the_page_holds_them(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    many = [SheetRow(str(i), rng.integers(0, 256, (90, 90, 3), dtype=np.uint8), "i") for i in range(8)]
    whole = sum(len(picture(row.image, 96)) for row in many)
    monkeypatch.setattr(pages, "MOST_BYTES", whole // 2)
    write_sheet(many, CLASSES, tmp_path / "small.html")
    assert sum(map(len, content(tmp_path / "small.html")["pictures"])) <= whole // 2
    monkeypatch.setattr(pages, "MOST_BYTES", 2_000)
    with pytest.raises(ConfigurationError, match="Show fewer images"):
        write_sheet(many, CLASSES, tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: write_sheet([], CLASSES, "x"), "0 rows"),
        (lambda: write_sheet([*rows(2), rows(2)[1]], CLASSES, "x"), "two rows with the id"),
        (lambda: write_sheet(rows(2), ("i", "i"), "x"), "that differ"),
        (lambda: write_sheet(rows(2), CLASSES, "x", mode="read"), "expected edits or votes"),
        (lambda: write_sheet(rows(2), CLASSES, "x", choices={"one": ""}), "expected 2 to 9 names"),
        (lambda: write_sheet([SheetRow("a", np.zeros((2, 2)))], CLASSES, "x"), "expected uint8"),
    ],
)
def test_what_makes_no_sheet_is_refused(wrong, said):
    with pytest.raises(ConfigurationError, match=said):
        wrong()


def test_the_table_of_a_sheet_is_safe_in_a_spreadsheet(tmp_path):
    write_sheet_csv(rows(), CLASSES, tmp_path / "sheet.csv")
    with open(tmp_path / "sheet.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["id", "label", "predicted", "split", "quality", "loss", "flags", "group", "note"]
    assert table[0]["id"] == "'" + rows()[0].id
    assert (table[5]["loss"], table[5]["quality"], table[1]["group"]) == ("", "0.416667", "pair")
    assert table[3]["flags"].startswith("dark;")


# -- in a browser


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with api.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a sheet in a browser of its own; messages of its console, and requests, end up in a list."""
    contexts = []

    def go(width=1200, scheme="light", path=None, **how):
        path = path or tmp_path / "sheet.html"
        if not path.exists():
            write_sheet(rows(), CLASSES, path, **how)
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        page, said = context.new_page(), []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on(
            "request", lambda request: said.append(request.url) if not request.url.startswith(("data:", "file:", "blob:")) else None
        )
        page.goto(path.as_uri())
        return page, said

    yield go
    for context in contexts:
        context.close()


def saved(page, path, press="s"):
    with page.expect_download() as download:
        page.keyboard.press(press)
    download.value.save_as(path)
    return path.read_text()


@pytest.mark.endurance
@pytest.mark.parametrize("mode", ["edits", "votes"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_sheet_fits_and_is_silent(opened, mode, width, scheme):
    page, said = opened(width, scheme, mode=mode, title="A sheet with a name that is longer than a telephone is wide " * 2)
    page.keyboard.press("End")
    seen = page.evaluate(
        """() => ({width: document.documentElement.scrollWidth,
          broken: [...document.images].filter(e => e.complete && !e.naturalWidth).length,
          wide: [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).length,
          cards: document.querySelectorAll('.card').length, paper: getComputedStyle(document.body).backgroundColor,
          ink: getComputedStyle(document.body).color})"""
    )
    assert said == []
    assert seen["width"] <= width
    assert (seen["broken"], seen["wide"], seen["cards"]) == (0, 0, 12)
    light = [sum(map(int, seen[kind][4:-1].split(","))) for kind in ("paper", "ink")]
    assert (light[0] > light[1]) == (scheme == "light")


@pytest.mark.endurance
def test_edits_by_the_keyboard_are_undone_kept_and_saved(opened, tmp_path):
    page, said = opened()
    page.keyboard.press("Escape")
    for key in (
        "d",
        "ArrowRight",
        "2",
        "ArrowRight",
        "4",
        "m",
        "ArrowRight",
        "m",
        "ArrowRight",
        "d",
        "u",
        "u",
        "y",
        "ArrowRight",
        "p",
    ):
        page.keyboard.press(key)
    text = saved(page, tmp_path / "edits.csv")
    every = rows()
    # The image 1 has the label ii already, so that the key 2 changes nothing; the drop of image 4 was undone, the move of 3 redone.
    expected = [
        {"id": every[0].id, "action": "drop"},
        {"id": every[2].id, "action": "relabel", "label": "iv", "split": "val"},
        {"id": every[3].id, "action": "move", "split": "train"},
    ]
    assert EditTable.read(tmp_path / "edits.csv", CLASSES).edits[:3] == EditTable.of(expected).edits
    assert text.splitlines()[1] == '"\'=train/i/evil,""quoted"".png",drop,,', "a spreadsheet computes nothing"
    again, _ = opened_again(page)
    assert again == len(EditTable.read(tmp_path / "edits.csv"))
    assert said == []


def opened_again(page):
    """What is edited after the page was loaded once more: the browser kept it."""
    page.reload()
    found = re.search(r"(\d+) edited", page.inner_text("#count"))
    return int(found[1]), page


@pytest.mark.endurance
def test_filters_order_and_the_mouse(opened, tmp_path):
    page, said = opened()
    page.select_option("#by-flag", label="dark")
    assert page.locator(".card").count() == 1
    page.click("#drop")
    page.select_option("#by-flag", "")
    page.select_option("#order", label="loss")
    page.check("#falling")
    shown = page.locator(".card .id").all_inner_texts()
    every = sorted(rows(), key=lambda row: (np.isnan(row.numbers["loss"]), -row.numbers["loss"]))
    assert shown == [row.id for row in every], "what is not known comes last"
    page.select_option("#by-state", "yes")
    assert page.locator(".card.dropped").count() == 1
    page.fill("#search", "nothing like it")
    assert page.locator(".card").count() == 0
    assert page.inner_text("#chosen") == "no image fits these filters"
    assert said == []


@pytest.mark.endurance
def test_votes_have_a_voter_and_the_choices_of_the_caller(opened, tmp_path):
    page, said = opened(mode="votes", choices={"yes": "the label is right", "no": "it is not"})
    page.keyboard.press("Escape")
    for key in ("1", "2", "1", "u", "s"):
        page.keyboard.press(key)
    assert "write your name" in page.inner_text("#count")
    page.keyboard.type("Zoë, 2nd")
    page.keyboard.press("Escape")
    saved(page, tmp_path / "votes.csv")
    with open(tmp_path / "votes.csv", newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert found == [
        {"id": "'" + rows()[0].id, "vote": "yes", "voter": "Zoë, 2nd"},
        {"id": rows()[1].id, "vote": "no", "voter": "Zoë, 2nd"},
    ]
    assert said == []


@pytest.mark.endurance
def test_filters_that_would_choose_nothing_are_not_there(opened, tmp_path):
    write_sheet([SheetRow("a", None, "i"), SheetRow("b", None, "ii")], CLASSES, tmp_path / "plain.html")
    page, said = opened(path=tmp_path / "plain.html")
    shown = [name for name in ("label", "predicted", "split", "flag") if page.is_visible(f"#by-{name}")]
    assert shown == ["label"]
    assert said == []
