"""Reports in a browser: nothing is fetched, nothing is said on the console, nothing is wider than the screen, text is legible."""

import shutil
from dataclasses import replace

import pytest
from audits import made
from conftest import TINY
from PIL import Image
from stored_run import write_other, write_run

from evaluator.audit.page import audit_page
from evaluator.audit.rank import audit
from evaluator.audit.results import Settings as Audited
from evaluator.cli.main import main as cli
from evaluator.cli.tracks import TRACKS
from evaluator.purchase import profiles
from evaluator.purchase.track import PURCHASE
from evaluator.report.html.run import run_report
from evaluator.sweep.experiment import prepare
from evaluator.sweep.settings import Settings

LONG = "a-name-without-any-blank-" * 4
"""Of a submission; the folders of strangers may be called so."""

LOOK = """() => {
  const wide = [...document.querySelectorAll('body *')].filter(
    e => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest('.scroll'));
  const cut = [...document.querySelectorAll('svg.chart text')].filter(e => {
    const box = e.getBoundingClientRect(), frame = e.closest('svg').getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
  });
  const rows = new Map();
  for (const e of document.querySelectorAll('svg.chart text')) {
    const box = e.getBoundingClientRect(), at = rows.get(e.closest('svg')) || [];
    at.push([e.textContent, box.left, box.right, box.top, box.bottom]);
    rows.set(e.closest('svg'), at);
  }
  const over = [];
  for (const at of rows.values()) for (let i = 0; i < at.length; i++) for (let j = 0; j < i; j++) {
    const [a, b] = [at[i], at[j]];
    if (a[1] < b[2] - 1 && b[1] < a[2] - 1 && a[3] < b[4] - 3 && b[3] < a[4] - 3) over.push([a[0], b[0]]);
  }
  const small = [...document.querySelectorAll('svg.chart')].filter(e => e.getBoundingClientRect().width < 300).length;
  const broken = [...document.images].filter(e => !e.naturalWidth).length;
  const ink = getComputedStyle(document.body);
  return {width: document.documentElement.scrollWidth, wide: wide.map(e => e.outerHTML.slice(0, 120)),
          cut: cut.map(e => e.textContent), over, small, broken, ink: ink.color, paper: ink.backgroundColor};
}"""


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
def pages(tmp_path_factory, data_folder):
    """The report of a run and that of a comparison, both with a name that is wider than a telephone."""
    root = tmp_path_factory.mktemp("pages")
    (root / LONG).mkdir()
    (root / LONG / "run.py").write_text("class Mine: pass\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(profiles.PROFILES, "tiny", TINY)
        own = {name: option.default for name, option in PURCHASE.options.items()}
        given = {"profile": "tiny", "sandbox": "process", "device": "cpu", "data": data_folder, "pipelines": ("milliseconds",)}
        settings = Settings((root / LONG,), own, **given, seeds=2, public_seeds=True, out=root / "results")
        experiment = prepare(PURCHASE, settings, folder=root / "data")
        write_other(experiment, "random", 0.2)
        write_other(experiment, "数据中心的竞赛" * 12, 0.4)
        folder = write_run(experiment)
    (root / "run.html").write_text(run_report(folder, TRACKS, folder=data_folder, places=root / "data"))
    assert cli(["compare", str(root / "results"), "--html", str(root / "compare.html")]) == 0
    (root / "audit.html").write_text(audited(root / "pictures"))
    return root


def audited(pictures):
    """The page of an audit with long names, equal models, two sources and pictures."""
    all_of_it, settings = made(models=9, step=0.02), Audited(draws=100, control_draws=100, rater_draws=100)
    models = [*all_of_it.predictions[:7], replace(all_of_it.predictions[6], model=LONG)]
    models += [replace(all_of_it.predictions[8], model="数据中心的竞赛" * 12)]
    pictures.mkdir()
    for id_ in all_of_it.benchmark.ids:
        Image.new("RGB", (30, 20), "teal").save(pictures / f"{id_}.png")
    found = audit(all_of_it.benchmark, models, len(models), all_of_it.sources, settings=settings)
    assert any(view.swaps for view in found.views)
    return audit_page(found, pictures)


@pytest.mark.endurance
@pytest.mark.parametrize("name", ["run.html", "compare.html", "audit.html"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_and_is_silent(browser, pages, name, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        page, said, asked = context.new_page(), [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((pages / name).as_uri())
        page.wait_for_load_state("networkidle")
        seen = page.evaluate(LOOK)
    finally:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [(pages / name).as_uri()]
    assert seen["width"] <= width
    assert {name: seen[name] for name in ("wide", "cut", "over", "small", "broken")} == {
        "wide": [],
        "cut": [],
        "over": [],
        "small": 0,
        "broken": 0,
    }
    light = [sum(map(int, seen[kind][4:-1].split(","))) for kind in ("paper", "ink")]
    assert (light[0] > light[1]) == (scheme == "light")
