"""A real browser on the chat page, watched: what breaks the policy of the page, throws, or asks anybody else fails the test."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
expect.set_options(timeout=20_000)  # the machine may be busy with more
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: scripts/setup.sh installs it")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that reaches loopback only."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM,
            # No name is looked up: nothing but loopback can be reached.
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        try:
            yield launched
        finally:
            launched.close()


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """The page, which at the end must have broken no rule of its policy, thrown nothing and asked nobody else."""
    context: BrowserContext = browser.new_context(
        **{"viewport": {"width": 1200, "height": 800}, "locale": "en-US", **options}
    )
    page = context.new_page()
    page.set_default_timeout(10_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"thrown: {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.on("console", lambda said: wrong.append(said.text) if _is_wrong(said.type, said.text) else None)
    page.on(
        "request",
        lambda asked: wrong.append(asked.url) if not asked.url.startswith((address, "data:,")) else None,
    )
    page.add_init_script(
        "window.violations = [];"
        "addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.sample));"
    )
    try:
        page.goto(f"{address}/")
        page.wait_for_selector("#experts button:nth-child(2)")
        yield page
        assert page.evaluate("window.violations") == []
        assert wrong == []
    finally:
        context.close()


def _is_wrong(kind: str, text: str) -> bool:
    return kind in ("error", "warning") and not text.startswith("Failed to load resource")  # a refused request


def ask(page: Page, question: str, wait: bool = True) -> Locator:
    """Ask, and (unless told otherwise) wait for the whole answer."""
    page.fill("#question", question)
    page.press("#question", "Enter")
    answer = page.locator(".answer").last
    if wait:
        expect(answer).to_have_attribute("aria-busy", "false")
        expect(answer.locator(".facts")).to_be_visible()
    return answer
