"""The chat page on a real `intact serve`: that it and the routes understand each other."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.serve.browsing import ask, chromium, in_browser, opened
from tests.serve.running import Server, command, record, serving, wait_for_run

QUESTION = "how many runs are there?"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("page")
    run = record(data)
    with serving(data, "--auth", "dev") as server:
        wait_for_run(server, run)
        yield server


@in_browser
def test_a_real_answer(browser: Browser, server: Server) -> None:
    with opened(browser, f"http://127.0.0.1:{server.port}") as page:
        answer = ask(page, QUESTION)
        answer.locator(".text .cite").first.click()
        card = answer.locator(".evidence-card[open]")
        expect(card.locator("pre")).to_contain_text("SELECT")
        expect(card.locator("dl code")).to_have_text(re.compile("^[0-9a-f]{32}$"))
        expect(card.locator("tbody tr")).not_to_have_count(0)
        expect(page.locator("h1")).not_to_have_text("Intact")
        answer.get_by_role("button", name="Good answer").click()
        expect(answer.locator(".rating")).to_contain_text("Kept.")
        said = answer.locator(".text").inner_text()
        page.locator("#new-session").click()
        expect(page.locator(".answer")).to_have_count(0)
        page.locator("#sessions .open").first.click()
        expect(page.locator(".asked p")).to_have_text(QUESTION)
        again = page.locator(".answer")
        assert again.locator(".text").inner_text() == said
        expect(again.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
        again.locator(".text .cite").first.click()
        expect(again.locator(".evidence-card[open] tbody tr")).not_to_have_count(0)
        again.get_by_role("button", name="Good answer").click()
        expect(again.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "false")


@in_browser
def test_an_expert_asked_directly_renamed_and_deleted(browser: Browser, server: Server) -> None:
    with opened(browser, f"http://127.0.0.1:{server.port}", locale="zh-CN") as page:
        page.locator(".expert").nth(1).click()
        name = page.locator(".expert").nth(1).inner_text()
        answer = ask(page, "这台主机健康吗？")
        expect(answer.locator(".facts")).to_contain_text(name)
        page.locator("#sessions li").first.get_by_role("button", name="重命名").click()
        page.keyboard.type("体检")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("体检")
        page.reload()
        expect(page.locator("h1")).to_have_text("体检")
        page.get_by_role("button", name="删除: 体检").click()
        page.locator("#confirm").get_by_role("button", name="删除").click()
        expect(page.get_by_role("button", name="体检", exact=True)).to_have_count(0)
        expect(page.locator("#empty")).to_be_visible()


@in_browser
def test_the_page_is_open_and_what_it_shows_needs_a_token(browser: Browser, tmp_path: Path) -> None:
    made = command("token", "add", "ann", "--data", str(tmp_path))
    found = re.search(rb"intact_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", made.stdout)
    assert found is not None, made.stderr
    with serving(tmp_path) as server:
        answer = server.ask("/")
        assert answer.status == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert server.ask("/page/chat.js", "HEAD").status == 200
        assert server.ask("/page/chat.js", "POST").status == 405
        assert server.ask("/api/sessions").status == 401
        assert server.ask("/page/none.js").status == 401
        context = browser.new_context(locale="en-US")
        try:
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{server.port}/")
            page.fill("#token", found[0].decode())
            page.keyboard.press("Enter")
            expect(page.locator("#experts button").nth(1)).to_be_visible()
            ask(page, QUESTION)
        finally:
            context.close()


@in_browser
def test_a_signed_cookie_lets_the_page_do_everything(browser: Browser, tmp_path: Path) -> None:
    made = command("token", "cookie", "ann", "--data", str(tmp_path))
    assert made.returncode == 0, made.stderr
    with serving(tmp_path) as server:
        address = f"http://127.0.0.1:{server.port}"
        context = browser.new_context(locale="en-US")
        context.add_cookies([{"name": "sessionid", "value": made.stdout.decode().strip(), "url": address}])
        try:
            page = context.new_page()
            page.goto(address)
            expect(page.locator("#experts button").nth(1)).to_be_visible()
            answer = ask(page, "what can you do?")
            answer.get_by_role("button", name="Bad answer").click()
            expect(answer.locator(".rating")).to_contain_text("Kept.")
            expect(page.get_by_role("dialog")).to_have_count(0)
        finally:
            context.close()


@in_browser
def test_an_answer_goes_on_when_serve_is_killed_and_started_again(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "dev") as server, opened(browser, f"http://127.0.0.1:{server.port}") as page:
        page.locator(".expert").nth(1).click()
        answer = ask(page, "Is this host healthy?", wait=False)
        expect(answer.locator("li.call, li.step").nth(1)).to_be_attached(timeout=20_000)
        server.kill()
        expect(answer).to_contain_text("The connection broke")
        with serving(tmp_path, "--auth", "dev", "--port", str(server.port)):
            expect(answer.locator(".facts")).to_be_visible(timeout=60_000)
            said = answer.locator(".text").inner_text()
            works = [answer.locator(part).count() for part in ("li.step", "li.call", ".evidence-card", ".problem")]
            assert said
            page.reload()
            again = page.locator(".answer")
            expect(again).to_have_count(1)
            assert again.locator(".text").inner_text() == said
            again.locator(".steps > summary").click()
            expect(again.locator(".facts")).to_be_visible()
            assert [
                again.locator(part).count() for part in ("li.step", "li.call", ".evidence-card", ".problem")
            ] == works
