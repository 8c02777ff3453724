"""The documentation site: how pages are laid out, what a check of the built pages finds, and how it looks in a browser."""

import functools
import http.server
import shutil
import subprocess
import threading
import tomllib

import pytest

from docs import make_site
from docs.check_site import faults
from docs.make_site import SiteError, laid_out, lists_apart, navigation, pages, stage
from tests.documents.markdown import ROOT

TOOLS = ROOT / "build" / "docs" / "bin" / "python"
"""The environment of `make docs`."""


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "pages"
    stage(out)
    return out


def test_every_page_is_in_the_navigation_and_is_staged(staged):
    named = navigation()
    assert len(set(named)) == len(named)
    assert {str(path.relative_to(staged)) for path in staged.rglob("*.md")} == set(named)
    assert set(pages()) <= set(named)


def test_the_modules_of_the_reference_are_there():
    modules = [page.removeprefix("reference/").removesuffix(".md") for page in navigation() if page.startswith("reference/")]
    assert len(modules) > 20
    for module in modules:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module


def test_a_page_that_the_navigation_lacks_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(make_site, "navigation", lambda: [page for page in navigation() if page != "glossary.md"] + ["nowhere.md"])
    with pytest.raises(SiteError) as refused:
        stage(tmp_path / "pages")
    assert "docs/glossary.md: not in the navigation" in str(refused.value)
    assert "nowhere.md: in the navigation, but no page" in str(refused.value)


def test_links_lead_to_where_the_site_has_a_page_or_a_copy():
    def out(text: str, source: str = "docs/index.md", page: str = "index.md") -> str:
        return laid_out(text, source, page)[0].strip()

    assert out("[a](../CONTRIBUTING.md#test) ![b](images/result.svg)") == "[a](contributing.md#test) ![b](images/result.svg)"
    assert out("[c](../LICENSE), [`d`](schemas/)") == "[c](files/LICENSE), `d`"
    assert out("[e](#x) [f](https://x.org/y) `[g](h)`") == "[e](#x) [f](https://x.org/y) `[g](h)`"
    assert out("```\n[i](../README.md)\n```") == "```\n[i](../README.md)\n```"
    assert out("[a](docs/glossary.md)", "README.md", "readme.md") == "[a](glossary.md)"
    assert laid_out("![b](images/result.svg) [c](../LICENSE)", "docs/index.md", "index.md")[1] == {
        "images/result.svg": "docs/images/result.svg",
        "files/LICENSE": "LICENSE",
    }
    assert laid_out("[a](no.md)", "README.md", "readme.md")[2] == ["README.md: links to no.md, which is not there"]


def test_lists_are_written_as_python_markdown_reads_them():
    text = ["words:", "- a", "  more", "  - b", "- c", "", "words", "1. d", "   - e", "```", "- f", "  - g", "```"]
    expected = ["words:", "", "- a", "  more", "    - b", "- c", "", "words", "", "1. d", "    - e", "```", "- f", "  - g", "```"]
    assert lists_apart(text) == expected


BROKEN = {
    "a.html": """<a href="b.html#there">b</a><a href="b.html#gone">b</a><a href="c.html">c</a><a href="https://example.org">x</a>
        <p id="here"></p><a href="#here">a</a><a href="#nowhere">a</a>""",
    "b.html": """<h2 id="there"></h2><img src="no.png"><script src="https://cdn.example.org/x.js"></script>
        <link rel="stylesheet" href="s.css"><link rel="canonical" href="https://example.org/b.html">
        <img srcset="//example.org/1.png 1x">""",
    "s.css": "@import 'https://fonts.example.org/inter.css'; p { background: url(data:image/png;base64,x) }",
}


def test_what_is_wrong_with_a_built_site_is_found(tmp_path):
    for name, text in BROKEN.items():
        (tmp_path / name).write_text(text)
    assert faults(tmp_path) == [
        "a.html: links to b.html#gone, and there is no such anchor",
        "a.html: links to c.html, which is not there",
        "a.html: links to #nowhere, and there is no such anchor",
        "b.html: loads no.png, which is not there",
        "b.html: loads https://cdn.example.org/x.js from another host",
        "b.html: loads //example.org/1.png from another host",
        "s.css: loads https://fonts.example.org/inter.css from another host",
    ]
    (tmp_path / "empty").mkdir()
    assert faults(tmp_path / "empty") == [f"{tmp_path / 'empty'}: holds no page"]


def test_what_builds_the_site_is_pinned():
    lines = [line for line in (ROOT / "requirements-docs.txt").read_text().splitlines() if line and line[0] != "#"]
    assert lines
    assert all("==" in line for line in lines)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    assert extras["docs"] == {"file": ["requirements-docs.txt"]}


# -- the built site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built by the environment of `make docs`."""
    if not TOOLS.exists():
        pytest.skip("the tools of the site are not installed (make docs)")
    out = tmp_path_factory.mktemp("built")
    done = subprocess.run([TOOLS, "-m", "docs.make_site", "--out", out], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-5_000:]
    return out / "html"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def address(site):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with api.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.endurance
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_are_as_wide_as_the_screen_and_ask_no_other_host(address, browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    page.on("request", lambda request: asked.append(request.url))
    wide = []
    for name in navigation():
        page.goto(address + name.removesuffix(".md") + ".html", wait_until="load")
        if (seen := page.evaluate("document.documentElement.scrollWidth")) > width:
            wide.append(f"{name}: {seen}")
    assert wide == []
    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    page.close()


@pytest.mark.endurance
def test_the_site_is_read_and_searched_from_a_folder(site, browser):
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((site / "index.html").as_uri())
    assert "the data decides" in page.inner_text("body")
    page.click("article a:has-text('My first hour')")
    page.wait_for_url("**/first-hour.html")
    page.keyboard.press("/")
    page.keyboard.type("verdict", delay=20)
    page.wait_for_selector("text=/[0-9]+ results/", timeout=120_000)
    assert page.locator("a[href*='what-the-judge-does']").count() > 1, "beside the navigation's"
    assert said == []
    page.close()
