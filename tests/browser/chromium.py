"""Debian's chromium without any network, and what goes wrong on its pages."""

from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
SHOTS = ROOT / "results" / "browser"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
HERE = ("file:", "data:", "blob:", "about:", "http://127.0.0.1", "ws://127.0.0.1", "http://localhost")


@contextmanager
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(chromium, **options):
    """A page, and the list of what went wrong on it: errors, and anything that is asked of a network."""
    context = chromium.new_context(**({"viewport": DESK} | options))
    page, wrong = context.new_page(), []

    def asked(route):
        if route.request.url.startswith(HERE):
            route.continue_()
        else:
            wrong.append(f"asked a network for {route.request.url}")
            route.abort()

    context.route("**/*", asked)
    page.on("console", lambda said: said.type == "error" and wrong.append(f"{page.url}: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on("requestfailed", lambda request: wrong.append(f"{page.url}: no {request.url}"))
    yield page, wrong
    context.close()


def shot(page, name, **options):
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"), **options)
