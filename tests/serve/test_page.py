"""The chat page in a real browser, on a stand-in of the routes it asks (`page_stand_in`)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect

from intact.serve import page as page_module
from intact.serve.page import PAGE_PATHS, page_routes
from tests.serve.browsing import ask, chromium, in_browser, opened
from tests.serve.page_stand_in import Served, serving, table, text_of

FILES = Path(page_module.__file__).with_name("page")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def served() -> Iterator[Served]:
    experts = [
        {"id": "host_diagnosis", "name": "Host diagnosis", "about": "Looks at hosts"},
        {"id": "knowledge", "name": "Knowledge", "about": "Searches the documents"},
    ]
    with serving(Served(experts=experts)) as stand_in:
        yield stand_in


def client() -> TestClient:
    app = FastAPI()
    app.include_router(page_routes())
    return TestClient(app)


def test_files_are_sent_with_a_strict_policy_and_kept_by_their_etag() -> None:
    with client() as http:
        for path in sorted(PAGE_PATHS):
            answer = http.get(path)
            assert answer.status_code == 200
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert http.head(path).content == b""
            again = http.get(path, headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["content-security-policy"] == policy
        assert http.get("/").headers["content-type"] == "text/html; charset=utf-8"
        for path in ("/page/../page.py", "/page/%2e%2e/page.py", "/page/", "/page/none.js", "/page/index.html"):
            assert http.get(path).status_code == 404


def test_files_name_nothing_outside_and_set_no_markup() -> None:
    for path in FILES.iterdir():
        text = path.read_text()
        assert text.count("\n") <= 600, path.name
        addresses = set(re.findall(r"https?://[^\s\"')]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses, path.name
        forbidden = (
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setTimeout\(\s*[\"'`]"
        )
        assert not re.search(forbidden, text), path.name
        assert not re.search(r"<[^>]+\s(on\w+|style)=", text), path.name
        assert not re.search(r"[^\x00-\uffff]", re.sub("[👍👎]", "", text)), path.name


@in_browser
def test_an_answer_is_asked_for_and_shown(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        expect(page.locator(".example")).to_have_count(5)
        answer = ask(page, "who holds the memory?")
        assert served.asked == [{"message": "who holds the memory?"}]
        expect(page.locator("#empty")).to_be_hidden()
        text = answer.locator(".text")
        expect(text.locator("h4")).to_have_text("Memory of web-1")
        expect(text.locator("p").first).to_have_text("The process postgres holds 5 GiB e1, the most of all.")
        expect(text.locator("strong")).to_have_text("5 GiB")
        expect(text.locator("li li")).to_have_text("In steps of 1 GiB.")
        expect(text.locator("table td").nth(1)).to_have_text("5 GiB")
        expect(text.locator("pre")).to_have_text("kill -l")
        expect(answer.locator(".problem")).to_have_text("the error logs could not be read")
        expect(answer.locator(".facts")).to_contain_text("Something was found")
        expect(answer.locator(".facts")).to_contain_text("Host diagnosis")
        expect(answer.locator(".facts")).to_contain_text("without a model")
        expect(page.locator("#status")).to_have_text("Answer complete")

        answer.locator(".steps > summary").click()
        expect(answer.locator(".steps > summary")).to_have_text("1 step, 2 tool calls (1 failed)")
        calls = answer.locator("li.call")
        expect(calls.nth(0)).to_contain_text("List processes - hosts: web-1done · 12.3 ms")
        expect(calls.nth(1)).to_contain_text("the journal may not be read")

        expect(answer.locator("h4")).to_be_in_viewport()  # a long answer is read from its beginning
        expect(page.locator("h1")).to_have_text("Memory of web-1")
        expect(page.locator("#sessions .open")).to_have_text(["Memory of web-1"])
        ask(page, "and now?")
        assert served.asked[1] == {"message": "and now?", "session_id": "ses_0"}


@in_browser
def test_a_citation_opens_the_rows_that_it_cites(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        answer = ask(page, "who holds the memory?")
        card = answer.locator(".evidence-card[data-id=e1]")
        expect(card.locator("summary")).to_have_text("e1host.processes3 of 214 rows")
        expect(card.locator("table")).to_have_count(0)
        answer.locator(".text .cite", has_text="e1").click()
        expect(card).to_have_attribute("open", "")
        expect(card.locator("summary")).to_be_focused()
        expect(card.locator("pre")).to_have_text(table().answer.query)
        expect(card.locator("dl code")).to_have_text(table().answer.rows_hash)
        first = card.locator("tbody tr").first.locator("td")
        # an id of 64 bits is exact; what is written for people has the exact value beside it
        expect(first).to_have_text(["postgres", "5 GiB", "34.5%", re.compile("^2026-09-"), "18446744073709551615"])
        expect(first.nth(1)).to_have_attribute("title", "5368709120")
        expect(card.locator("th.untrusted")).to_have_text("name")
        expect(card.locator("dl")).to_contain_text("two processes may not be read")

        answer.locator(".evidence-card[data-id=e2] summary").click()
        rows = answer.locator(".evidence-card[data-id=e2] tbody tr")
        expect(rows).to_have_count(20)
        answer.get_by_role("button", name="Show all 60 rows").click()
        expect(rows).to_have_count(60)


@in_browser
def test_charts_are_drawn_from_the_rows(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        answer = ask(page, "who holds the memory?")
        lines = answer.get_by_role("img", name="Memory of web-1")
        expect(lines.locator("path.line")).to_have_count(2)
        assert lines.locator("path").first.get_attribute("d").count("L") == 59  # type: ignore[union-attr]
        expect(answer.locator(".legend li")).to_have_text(["used", "cached"])
        bars = answer.get_by_role("img", name="Largest processes")
        widths = [float(bar.get_attribute("width") or 0) for bar in bars.locator("rect").all()]
        assert widths[0] == pytest.approx(5 * widths[1], rel=0.01)
        expect(bars).to_contain_text("java -jar app.jar")


@in_browser
def test_a_struck_claim_is_shown_struck_and_said(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        answer = ask(page, "who holds the memory?")
        struck = answer.locator("del")
        expect(struck).to_contain_text("It will end in 3 minutes")
        assert "line-through" in struck.evaluate("e => getComputedStyle(e).textDecorationLine")
        expect(struck).to_have_attribute("title", re.compile("struck out"))
        expect(answer.locator(".struck-note")).to_contain_text("1 claim struck out")


@in_browser
def test_thumbs_and_comments_are_kept_and_cleared(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        answer = ask(page, "who holds the memory?")
        up, down = answer.get_by_role("button", name="Good answer"), answer.get_by_role("button", name="Bad answer")
        up.click()
        expect(up).to_have_attribute("aria-pressed", "true")
        assert served.feedback == {"res_0": {"rating": "up", "comment": ""}}
        down.click()
        expect(down).to_have_attribute("aria-pressed", "true")
        expect(up).to_have_attribute("aria-pressed", "false")
        answer.locator(".comment input").fill("the unit is wrong")
        answer.locator(".comment input").press("Enter")
        expect(answer.locator(".rating")).to_contain_text("Kept.")
        assert served.feedback == {"res_0": {"rating": "down", "comment": "the unit is wrong"}}

        page.reload()
        down = page.get_by_role("button", name="Bad answer")
        expect(down).to_have_attribute("aria-pressed", "true")
        assert page.locator(".comment input").input_value() == "the unit is wrong"
        down.click()
        expect(down).to_have_attribute("aria-pressed", "false")
        assert served.feedback == {"res_0": None}


@in_browser
def test_a_session_is_opened_again_with_its_evidence(browser: Browser, served: Served) -> None:
    served.add_session("Of before", ("user", "how full is db-1?"), ("assistant", "The disk is 71 % full [e1]."))
    with opened(browser, served.address) as page:
        ask(page, "who holds the memory?")
        page.get_by_role("button", name="Of before", exact=True).click()
        expect(page.locator(".asked p")).to_have_text("how full is db-1?")
        expect(page.locator(".answer .text")).to_have_text("The disk is 71 % full e1.")
        page.locator(".cite").click()  # its events are kept no more
        expect(page.locator(".problem").first).to_contain_text("not kept any more")

        page.go_back()
        expect(page.locator("h1")).to_have_text("Memory of web-1")
        answer = page.locator(".answer")
        expect(answer.locator(".evidence-card")).to_have_count(0)
        answer.locator(".text .cite").first.click()
        expect(answer.locator(".evidence-card[data-id=e1] tbody tr")).to_have_count(3)
        assert served.resumed[-1] == ("res_0", 0)
        expect(answer.locator("del")).to_have_count(1)  # the text is not said twice


@in_browser
def test_sessions_are_renamed_and_deleted(browser: Browser, served: Served) -> None:
    served.add_session("One", ("user", "a"), ("assistant", "b"))
    served.add_session("Two")
    with opened(browser, served.address) as page:
        page.get_by_role("button", name="One", exact=True).click()
        expect(page.locator("h1")).to_have_text("One")
        page.get_by_role("button", name="Rename: One").click()
        page.keyboard.type("Disks")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Disks")
        assert served.sessions["ses_0"]["title"] == "Disks"
        page.get_by_role("button", name="Delete: Disks").click()
        page.get_by_role("button", name="Cancel").click()
        assert "ses_0" in served.sessions
        page.get_by_role("button", name="Delete: Disks").click()
        page.locator("#confirm").get_by_role("button", name="Delete").click()
        expect(page.locator("#sessions .open")).to_have_text(["Two"])
        expect(page.locator("#empty")).to_be_visible()
        assert "ses_0" not in served.sessions


@in_browser
@pytest.mark.parametrize("heard", [1, 6, 20])
def test_a_broken_stream_is_heard_to_its_end_once(browser: Browser, served: Served, heard: int) -> None:
    served.break_after["who holds the memory?"] = heard
    with opened(browser, served.address) as page:
        broken = ask(page, "who holds the memory?")
        whole = ask(page, "the same, unbroken")
        assert served.resumed == [("res_0", heard)]
        assert text_of(served.logs["res_0"]) == text_of(served.logs["res_1"])
        assert broken.locator(".text").inner_text() == whole.locator(".text").inner_text()
        for part in ("li.call", ".evidence-card", "figure", ".problem"):
            assert broken.locator(part).count() == whole.locator(part).count()
        assert len(served.asked) == 2


@in_browser
def test_an_answer_goes_on_after_a_reload_and_is_stopped(browser: Browser, served: Served) -> None:
    served.hold.add("a long one")
    with opened(browser, served.address) as page:
        ask(page, "a long one", wait=False)
        expect(page.locator("#stop")).to_be_visible()
        expect(page.locator(".answer del")).to_be_visible()
        page.press("#question", "Enter")  # nothing is asked while an answer is made
        page.reload()
        expect(page.locator(".answer del")).to_be_visible()
        expect(page.locator("#stop")).to_be_visible()
        page.locator("#stop").click()
        expect(page.locator(".facts")).to_contain_text("Stopped")
        expect(page.locator("#send")).to_be_visible()
        assert served.cancelled == {"res_0"}
        assert len(served.asked) == 1


@in_browser
def test_enter_sends_but_not_while_a_word_is_composed(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        page.fill("#question", "one")
        page.evaluate(
            "document.getElementById('question').dispatchEvent("
            "new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
        )
        page.press("#question", "Shift+Enter")
        page.keyboard.type("two")
        assert served.asked == []
        page.press("#question", "Enter")
        expect(page.locator(".asked p")).to_have_text("one\ntwo")
        expect(page.locator(".facts")).to_be_visible()
        assert served.asked == [{"message": "one\ntwo"}]
        page.fill("#question", "   ")
        page.press("#question", "Enter")
        assert len(served.asked) == 1


@in_browser
def test_an_expert_is_asked_directly(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        page.get_by_role("button", name="Knowledge", exact=True).click()
        page.locator(".example").first.click()
        expect(page.locator(".facts")).to_be_visible()
        page.get_by_role("button", name="Automatic").click()
        ask(page, "again")
        assert [body.get("direct_agent") for body in served.asked] == ["knowledge", None]


@in_browser
def test_a_token_is_asked_for_and_kept_in_the_tab(browser: Browser, served: Served) -> None:
    served.token = "intact_right"
    context = browser.new_context(locale="en-US")
    try:
        page = context.new_page()
        page.goto(served.address)
        expect(page.get_by_role("dialog")).to_contain_text("A token is needed")
        page.fill("#token", "intact_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#sign-in-problem")).to_have_text("That token is not valid.")
        page.fill("#token", "intact_right")
        page.keyboard.press("Enter")
        expect(page.locator("#experts button")).to_have_count(3)
        expect(page.get_by_role("dialog")).to_have_count(0)
        ask(page, "who?")
        page.reload()
        expect(page.locator("#experts button")).to_have_count(3)
        assert page.evaluate("[localStorage.length, document.cookie, location.href.includes('right')]") == [
            0,
            "",
            False,
        ]
        page.get_by_role("button", name="Forget token").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#turns .problem").first).to_contain_text("a valid token is needed")
    finally:
        context.close()


@in_browser
def test_a_question_that_was_not_taken_comes_back(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        refusal = {"error": {"code": "overloaded", "message": "too much at once", "hint": "ask again in a second"}}
        page.route("**/api/chat", lambda route: route.fulfill(status=422, body=json.dumps(refusal)))
        page.fill("#question", "who holds the memory?")
        page.press("#question", "Enter")
        expect(page.locator("#turns .problem")).to_have_text("too much at once – ask again in a second")
        assert page.locator("#question").input_value() == "who holds the memory?"
        expect(page.locator(".asked")).to_have_count(0)
        page.unroute("**/api/chat")
        page.press("#question", "Enter")
        expect(page.locator(".facts")).to_be_visible()


@in_browser
def test_the_page_speaks_chinese(browser: Browser, served: Served) -> None:
    with opened(browser, served.address, locale="zh-CN") as page:
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        expect(page.locator("#send")).to_have_text("发送")
        expect(page.locator(".example").first).to_have_text("这台主机健康吗？")
        answer = ask(page, "谁占着内存")
        expect(answer.locator(".facts")).to_contain_text("发现问题")
        expect(answer.locator(".struck-note")).to_have_text("1 处说法已划掉：复核未能证实")
        shown = page.locator("body").inner_text()
        assert "undefined" not in shown
        page.get_by_role("button", name="English").click()
        expect(page.locator("#send")).to_have_text("Send")
        page.reload()
        expect(page.locator("#send")).to_have_text("Send")  # the choice is kept


@in_browser
def test_both_languages_have_the_same_words(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        names = "import('/page/words.js').then(m => [m.setLanguage('en'), m.words(), m.setLanguage('zh'), m.words()])"
        shape = f"{names}.then(([, en, , zh]) => [en, zh].map(w => [...Object.keys(w), ...Object.keys(w.verdicts)]))"
        english, chinese = page.evaluate(shape)
        assert english == chinese


@in_browser
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1200, "dark")])
def test_small_and_dark_screens(browser: Browser, served: Served, width: int, scheme: str) -> None:
    served.add_session("Of before")
    options: dict[str, Any] = {"viewport": {"width": width, "height": 740}, "color_scheme": scheme}
    with opened(browser, served.address, **options) as page:
        answer = ask(page, "who holds the memory?")
        answer.locator(".text .cite").first.click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(re.findall(r"\d+", ground)[0])
        assert (red < 60) == (scheme == "dark")
        if width == 360:
            expect(page.locator("#sessions .open").first).not_to_be_in_viewport()
            page.get_by_role("button", name="Sessions").click()
            expect(page.locator("#sessions .open").first).to_be_in_viewport()
            page.keyboard.press("Escape")
            expect(page.locator("#sessions .open").first).not_to_be_in_viewport()


@in_browser
def test_everything_is_reached_by_keyboard_and_has_a_name(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        ask(page, "who holds the memory?")
        nameless = page.evaluate(
            "[...document.querySelectorAll('button:not([aria-hidden]), input, textarea')].filter(e => "
            "!(e.textContent.trim() || e.ariaLabel || e.closest('label'))).map(e => e.outerHTML)"
        )
        assert nameless == []
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.className + '#' + document.activeElement.id"))
        for part in (
            "cite#",
            "quiet thumb#",
            "open#",
            "expert#",
            "#question",
            "#send",
            "quiet#language",
            "quiet#new-session",
        ):
            assert part in reached, part
