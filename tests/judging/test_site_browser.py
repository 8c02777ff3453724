"""The board in Chromium: silent, offline, no wider than a telephone, legible in both schemes, used by keyboard and without script.

The checks of accessibility are those of WCAG 2.2 that a program can make: names, headings in order, contrast, focus.
"""

import shutil
from itertools import pairwise

import pytest

from benchmarks.harness.board import result
from evaluator.judging.board import scored
from evaluator.judging.site import write_site
from evaluator.purchase.track import PURCHASE

F1 = PURCHASE.metric("macro_f1")
NOW = 1_800_000_000.0
HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "\u202etxt.exe\u2066\x1b[31m",
    "y" * 500,
    "🦊" * 100,
    "数据中心的竞赛" * 12,
    "a\u0300\u0301\u0302\u0303\u0304\u0305\u0306" * 40,
    "</style></script><h1>Title</h1>",
)
PEOPLE = ("foxes", "owls", "otters", "elks")
PAGES = ("index.html", "submissions.html", "submissions/4.html", "submissions/17.html")

FITS = """() => {
  const seen = e => !e.closest('.away, .skip');
  const wide = [...document.querySelectorAll('body *')].filter(
    e => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest('.scroll') && seen(e));
  const cut = [...document.querySelectorAll('svg.chart text')].filter(e => {
    const box = e.getBoundingClientRect(), frame = e.closest('svg').getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
  });
  const width = document.documentElement.scrollWidth;
  return {width, wide: wide.map(e => e.outerHTML.slice(0, 120)), cut: cut.map(e => e.textContent)};
}"""

LEGIBLE = """() => {
  // Contrast of every element with a text of its own, by WCAG: colours as computed, papers painted over each other.
  const parse = text => {
    const [r, g, b, a = 1] = text.match(/[0-9.]+/g).map(Number);
    return text.startsWith('color(srgb') ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const paper = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const poor = [];
  let looked = 0;
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || e.matches('input');
    const box = e.getBoundingClientRect();
    if (!own || !box.width || !box.height || e.closest('[hidden], .away, title, script, style')) continue;
    const style = getComputedStyle(e), behind = paper(e);
    const ink = over(parse(e instanceof SVGElement ? style.fill : style.color), behind);
    const [a, b] = [light(ink), light(behind)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    looked += 1;
    if (ratio < 4.5) poor.push([e.tagName, e.className.baseVal ?? e.className, e.textContent.slice(0, 40), ratio.toFixed(2)]);
  }
  const body = getComputedStyle(document.body);
  return {looked, poor, paper: light(parse(body.backgroundColor)), ink: light(parse(body.color))};
}"""

NAMED = """() => {
  const name = e => e.getAttribute('aria-label') || e.textContent.trim() || e.getAttribute('title')
    || (e.getAttribute('aria-labelledby') || '').split(' ').map(id => document.getElementById(id)?.textContent || '').join('')
    || (e.id && document.querySelector(`label[for="${e.id}"]`)?.textContent) || e.getAttribute('alt');
  const asked = 'a, button, input, svg:not([aria-hidden=true]), img, [role=region], nav, section, th';
  const all = [...document.querySelectorAll(asked)].filter(e => !e.closest('[hidden]'));
  const moves = [...document.querySelectorAll('*')].filter(e => {
    const style = getComputedStyle(e);
    return parseFloat(style.transitionDuration) > 0 || style.animationName !== 'none' || style.scrollBehavior === 'smooth';
  });
  return {
    unnamed: all.filter(e => !name(e)).map(e => e.outerHTML.slice(0, 100)),
    headings: [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(e => Number(e.tagName[1])),
    landmarks: ['header', 'header > nav', 'main', 'footer'].map(tag => document.querySelectorAll(`body > ${tag}`).length),
    twice: [...document.querySelectorAll('[id]')].map(e => e.id).filter((id, at, every) => every.indexOf(id) !== at),
    scopes: [...document.querySelectorAll('th')].filter(e => !e.scope).length,
    small: [...document.querySelectorAll('a, button, input')].filter(e => {
      const box = e.getBoundingClientRect();
      return box.height > 0 && box.height < 16;
    }).map(e => e.outerHTML.slice(0, 80)),
    lang: document.documentElement.lang, title: document.title, moves: moves.length,
  };
}"""


def judged(number, participant, skill, version=1, name=None, failed=False):
    content = result(number, skill, version, failed)
    row = {"submission": number, "participant": participant, "name": name or f"strategy {number}", "received": NOW + 600 * number}
    row |= {
        "sha256": f"{number:064x}",
        "verdict": "TIME_LIMIT" if failed else "OK",
        "version": version,
        "ended": NOW + 700 * number,
    }
    return scored(row | {"result": content}, F1, "pair")


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


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of two parts and two versions, with names of strangers."""
    folder = tmp_path_factory.mktemp("site")
    people = [*PEOPLE, *HOSTILE]
    public = [
        judged(n, people[n % len(people)], 0.45 + 0.01 * (n % 12), version, people[n % len(people)], failed=n == 17)
        for version in (1, 2)
        for n in range(1, 25)
    ]
    private = [judged(n, people[n % len(people)], 0.4 + 0.02 * (n % 5), 2) for n in range(1, 13)]
    write_site(folder, "Labels 2026", {"public": public, "private": private}, F1, "pair", NOW)
    return folder


@pytest.fixture
def opened(browser):
    """Opens a page in a browser of its own; messages of its console, dialogs, and requests for anything else fail the test."""
    contexts, said = [], []

    def go(path, width=1280, scheme="light", anchor="", **how):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **how)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("requestfailed", lambda request: said.append(request.url))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith(("data:", "file:")) else None)
        page.goto(path.as_uri() + anchor)
        page.wait_for_load_state("networkidle")
        return page

    yield go
    for context in contexts:
        context.close()
    assert said == []


def names(page, table=0) -> list[str]:
    """The participants of a table that are seen, in order."""
    rows = page.locator("table").nth(table).locator("tbody tr:visible th")
    return [text.strip() for text in rows.all_inner_texts()]


def look(page, width) -> None:
    """Everything that holds for every page."""
    fits, named = page.evaluate(FITS), page.evaluate(NAMED)
    assert fits["width"] <= width
    assert (fits["wide"], fits["cut"]) == ([], [])
    assert {name: named[name] for name in ("unnamed", "twice", "scopes", "small", "moves")} == {
        "unnamed": [],
        "twice": [],
        "scopes": 0,
        "small": [],
        "moves": 0,
    }
    assert named["landmarks"] == [1, 1, 1, 1]
    assert named["headings"][0] == 1
    assert named["headings"].count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(named["headings"]))
    assert (named["lang"], "Labels 2026" in named["title"]) == ("en", True)
    legible = page.evaluate(LEGIBLE)
    assert legible["looked"] > 20
    assert legible["poor"] == []


def test_the_board_opens_fits_a_telephone_and_is_legible(opened, site):
    page = opened(site / "index.html", 390)
    look(page, 390)
    before = names(page)
    for order in (sorted(PEOPLE), sorted(PEOPLE, reverse=True)):
        page.locator("table").first.get_by_role("button", name="Participant").click()
        assert sorted(names(page)) == sorted(before)
        assert [name for name in names(page) if name in PEOPLE] == order


@pytest.mark.endurance
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_every_page_fits_is_silent_and_is_legible(opened, site, name, width, scheme, script):
    page = opened(site / name, width, scheme, java_script_enabled=script)
    if not script:  # the driver can still look at it, but the page's own script does not run
        assert page.locator("#theme").is_hidden()
        assert page.locator("thead button").count() == 0
    look(page, width)
    seen = page.evaluate(LEGIBLE)
    assert (seen["paper"] > seen["ink"]) == (scheme == "light")
    assert page.title() != "owned", "a name of a stranger is a text, in the title as well"


@pytest.mark.endurance
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_choice_of_colours_is_kept_from_page_to_page(opened, site, scheme):
    page = opened(site / "index.html", scheme=scheme)
    button = page.locator("#theme")
    assert button.inner_text() == "Colours: automatic"
    for chosen, light in (("light", True), ("dark", False)):
        button.click()
        assert button.inner_text() == f"Colours: {chosen}"
        seen = page.evaluate(LEGIBLE)
        assert (seen["paper"] > seen["ink"]) is light
        assert seen["poor"] == []
    page.get_by_role("link", name="Submissions", exact=True).click()
    page.wait_for_url("**/submissions.html")
    page.locator("html[data-theme=dark]").wait_for()  # not by a function: the page's policy lets none be made from a text
    seen = page.evaluate(LEGIBLE)
    assert seen["paper"] < seen["ink"], "dark, as it was chosen on the page before"
    assert button.inner_text() == "Colours: dark"
    button.click()
    assert button.inner_text() == "Colours: automatic"
    seen = page.evaluate(LEGIBLE)
    assert (seen["paper"] > seen["ink"]) is (scheme == "light")


@pytest.mark.endurance
def test_the_board_is_used_by_keyboard_alone(opened, site):
    page = opened(site / "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0, "the skip link is seen when it has the focus"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    walked, unseen = [], []
    for _ in range(40):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => {
              const e = document.activeElement, style = getComputedStyle(e), said = e.textContent.trim().slice(0, 30) || e.id;
              return [e.tagName, said, style.outlineStyle, parseFloat(style.outlineWidth), e.getBoundingClientRect().height];
            }"""
        )
        walked.append(tuple(at[:2]))
        unseen += [at] if at[2] == "none" or at[3] < 2 or not at[4] else []
    assert unseen == [], "whatever has the focus shows it"
    assert walked[0] == ("INPUT", "filter")
    assert walked[1][0] == "DIV", "the box of the table, so that it is scrolled by keyboard"
    assert [text for tag, text in walked[2:4]] == ["Rank", "Participant"]
    # Back to the button of the score: Enter sorts, Space turns the order round.
    table = page.locator("table").nth(1)
    score, head = table.get_by_role("button", name="Macro F1, rules 2"), table.locator("thead th", has_text="Macro F1, rules 2")
    before = names(page, 1)
    score.focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page, 1) == before, "the board has this order by itself"
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "ascending"
    assert names(page, 1)[0] != before[0]
    assert table.locator("[aria-sort]").count() == 1


@pytest.mark.endurance
def test_lines_are_filtered_by_participant_and_a_link_names_the_participant(opened, site):
    page = opened(site / "index.html")
    page.get_by_label("Participant").fill("OWL")
    assert names(page) == names(page, 1) == ["owls"]
    assert page.locator("#count").inner_text().startswith("2 of")
    page.get_by_label("Participant").fill("")
    assert len(names(page)) == 12
    page.locator("table").nth(1).get_by_role("link", name="submissions of otters").click()
    page.wait_for_load_state("networkidle")
    assert set(names(page)) == {"otters"}
    assert page.get_by_label("Participant").input_value() == "otters"
    other = opened(site / "submissions.html", anchor="#of=%3Cscript%3E%")
    assert len(names(other)) == 24, "an address that is no name changes nothing"


@pytest.mark.endurance
def test_rows_without_a_score_come_last_in_both_directions(opened, site):
    page = opened(site / "submissions.html")
    for name, column, lacking in (("Macro F1, public", 3, 1), ("Macro F1, private", 4, 12)):
        for _ in range(2):
            page.get_by_role("button", name=name).click()
            scores = page.locator(f"tbody tr > :nth-child({column})").all_inner_texts()
            assert [score == "no score" for score in scores] == [False] * (24 - lacking) + [True] * lacking
            shown = [float(score.split()[0]) for score in scores[: 24 - lacking]]
            assert shown == sorted(shown) or shown == sorted(shown, reverse=True)


@pytest.mark.endurance
def test_a_page_is_printed_without_its_controls(opened, site):
    page = opened(site / "index.html")
    page.emulate_media(media="print")
    assert page.locator("#theme").is_hidden()
    assert page.locator("table").first.is_visible()
