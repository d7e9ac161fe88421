"""The built site in a browser without a network: pages, figures, search, each control of the explorer."""

import re
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

pytest.importorskip("playwright")
from chromium import PHONE, SITE, browser, opened, shot

pytestmark = pytest.mark.browser
LUMINANCE = """
element => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  let ground = element;
  const colour = e => channels(getComputedStyle(e).backgroundColor);
  while (ground.parentElement && colour(ground)[3] === 0) ground = ground.parentElement;
  const style = getComputedStyle(element);
  const ink = channels(element instanceof SVGElement ? style.fill : style.color);
  const [a, b] = [light(ink), light(colour(ground))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
"""


@pytest.fixture(scope="module")
def chromium():
    assert (SITE / "index.html").exists(), "run `make site` first"
    with browser() as found:
        yield found


def pages():
    """Every page but the highlighted sources of the library."""
    return sorted(p for p in SITE.rglob("*.html") if "_modules" not in p.parts and "_static" not in p.parts)


def explorer(page):
    page.goto((SITE / "explorer.html").as_uri())
    page.wait_for_selector("#items-explorer .item")


def options(page, name):
    return page.locator(f"[data-name={name}] option").all_inner_texts()


def choose(page, name, place):
    page.locator(f"[data-name={name}]").select_option(index=place)
    page.wait_for_selector("#items-explorer[aria-busy=false]")
    assert page.locator(f"[data-name={name}]").evaluate("select => select.selectedIndex") == place


def test_every_page_loads_without_an_error_and_its_figures_are_visible(chromium):
    figures = 0
    with opened(chromium) as (page, wrong):
        for path in pages():
            page.goto(path.as_uri())
            unseen = page.eval_on_selector_all(
                "article img",
                "all => all.filter(i => { i.loading = 'eager'; return !(i.naturalWidth > 0 && i.alt); })"
                ".map(i => i.src)",
            )
            assert not unseen, path
            figures += page.locator("article img").count()
        assert not wrong
    assert figures > 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_each_kind_have_screenshots_and_fit_a_phone(chromium, scheme):
    kinds = ["index", "docs/results", "docs/paper", "notebooks/index", "notebooks/10_headline", "explorer"]
    with opened(chromium, color_scheme=scheme, viewport=PHONE) as (phone, _):
        for name in [*kinds, "reference/analysis"]:
            phone.goto((SITE / f"{name}.html").as_uri())
            width = phone.evaluate("document.scrollingElement.scrollWidth")
            assert width <= PHONE["width"], name
            shot(phone, f"phone-{scheme}-{name.replace('/', '-')}")
    with opened(chromium, color_scheme=scheme) as (page, wrong):
        for name in [*kinds, "reference/analysis"]:
            page.goto((SITE / f"{name}.html").as_uri())
            shot(page, f"{scheme}-{name.replace('/', '-')}")
        assert not wrong


@pytest.fixture
def served():
    """The address of the site on a server of this machine: a browser lets no page of a file read another."""
    handler = partial(QuietHandler, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """A handler that prints no request."""

    def log_message(self, *_):
        pass


def test_the_search_finds_a_term_and_leads_to_it(chromium, served):
    with opened(chromium) as (page, wrong):
        page.goto(f"{served}/search.html?q=preference")
        page.wait_for_selector("#search-results li a")
        assert page.locator("#search-results li").count() > 3
        page.wait_for_load_state("networkidle")  # the pages that are found are read for their summaries
        page.locator("#search-results li a").first.click()
        assert "preference" in page.locator("article").inner_text().lower()
        assert not wrong


def test_every_dataset_of_the_explorer_is_shown(chromium):
    with opened(chromium) as (page, wrong):
        explorer(page)
        seen = set()
        for sweep in range(len(options(page, "sweep"))):
            choose(page, "sweep", sweep)
            for task in range(len(options(page, "task"))):
                choose(page, "task", task)
                caption = page.locator("#items-explorer figcaption").inner_text()
                seen.add((sweep, task, caption, page.locator("#items-explorer pre").first.inner_text()))
        assert (
            len(seen)
            == page.locator("table tbody tr").count() - page.locator("#items-explorer tbody tr").count()
        )
        assert not wrong


def test_every_control_of_the_explorer_changes_what_is_shown(chromium):
    with opened(chromium) as (page, wrong):
        explorer(page)
        for name in ("condition", "run"):
            before = page.locator("#items-explorer figure").inner_html()
            choose(page, name, len(options(page, name)) - 1)
            assert page.locator("#items-explorer figure").inner_html() != before, name
        first = page.locator("#items-explorer .item h2").inner_text()
        choose(page, "item", 3)
        assert page.locator("#items-explorer .item h2").inner_text() != first
        page.locator("[data-name=previous]").click()
        page.locator("[data-name=next]").click()
        page.wait_for_function("document.querySelector('[data-name=item]').selectedIndex === 3")
        # The control that was used keeps the focus, so that the keyboard alone is enough.
        assert page.evaluate("document.activeElement.dataset.name") == "next"
        page.keyboard.press("Enter")
        page.wait_for_function("document.querySelector('[data-name=item]').selectedIndex === 4")
        assert not wrong


def test_the_filters_show_the_items_that_they_name(chromium):
    with opened(chromium) as (page, _):
        explorer(page)
        all_items = len(options(page, "item"))
        found = {}
        for place, name in enumerate(options(page, "filter")):
            choose(page, "filter", place)
            listed = options(page, "item")
            found[name] = len(listed)
            if "divergent" in name:
                assert all(item.endswith("divergent") for item in listed), name
            if listed:
                shown = page.locator("#items-explorer .item")
                ticks = shown.locator("table[aria-label='After the last step'] td span")
                own, source = ticks.all_inner_texts()
                if "own behaviour is" in name:
                    assert (own, source) == ("✓ yes", "✗ no")
                if "label source is" in name:
                    assert (own, source) == ("✗ no", "✓ yes")
                if "neither" in name:
                    assert (own, source) == ("✗ no", "✗ no")
        every, divergent, *parts, _ = found.values()
        assert every == all_items > divergent > 0
        assert sum(parts) == divergent


def test_an_item_shows_its_cue_and_the_same_text_without_it(chromium):
    with opened(chromium) as (page, _):
        explorer(page)
        marked = page.locator("#items-explorer pre mark").inner_text()
        with_cue, without = page.locator("#items-explorer pre").all_inner_texts()
        assert marked
        assert re.sub(r"\s", "", with_cue.replace(marked, "")) == re.sub(r"\s", "", without)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_explorer_can_be_read_in_light_and_dark_and_on_a_phone(chromium, scheme):
    with opened(chromium, color_scheme=scheme, viewport=PHONE) as (page, wrong):
        explorer(page)
        choose(page, "filter", 1)
        for words in (
            "select",
            "label span",
            "figcaption",
            ".caption",
            "td",
            "th",
            ".yes",
            ".no",
            "mark",
            "svg text",
        ):
            for element in page.locator(f"#items-explorer {words}").all()[:6]:
                assert element.evaluate(LUMINANCE) >= 4.5, words
        labelled = page.eval_on_selector_all(
            "#items-explorer select", "all => all.every(e => e.labels.length === 1 && e.labels[0].innerText)"
        )
        assert labelled
        assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]
        page.locator("#items-explorer").screenshot(
            path=str(SITE.parent / f"results/browser/explorer-phone-{scheme}.png")
        )
        page.set_viewport_size({"width": 1280, "height": 1000})
        page.locator("#items-explorer").screenshot(
            path=str(SITE.parent / f"results/browser/explorer-{scheme}.png")
        )
        assert not wrong
