"""The chat page in a real browser: hostile text in every field, events and Markdown of any shape."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from intact.assist.events import Chart, Done, Event, EvidenceFound, Problem, Step, Title, Token, ToolEnded, ToolStarted
from tests.serve.browsing import ask, chromium, in_browser, opened
from tests.serve.page_stand_in import Served, serving, table, usual


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


HOSTILE = (
    "<script>window.hurt=1</script>",
    '<img src=x onerror="window.hurt=1">',
    '"><svg onload=window.hurt=1><!--',
    "</title></pre></textarea><iframe srcdoc='<script>parent.hurt=1</script>'>",
    "[press](javascript:window.hurt=1) ![x](http://203.0.113.9/x.png) <http://203.0.113.9/>",
    "javascript:window.hurt=1",
    "\u202egpj.exe\u2066\u200bhidden\ufeff\U000e0041",
    "\x00\x1b[2J\x1b]0;owned\x07\r\nX: y",
    "constructor",
    "__proto__",
    "${window.hurt=1}{{constructor.constructor('window.hurt=1')()}}",
    "e1]</button>",
    "\ud800 half a letter",
    "Z" + "\u0300" * 40_000,
    "A" * 100_000,
)


def hostile(text: str) -> list[Event]:
    """An answer whose every text is this one."""
    small = text[:5_000]
    found = table(
        id=small, tool=small, query=text, columns=(text, "n"), rows=((text, 1), (small, 2)), untrusted=(text,),
        units={text: small, "n": small}, notes=(text,), arguments={small: small},
    )  # fmt: skip
    cited = table(
        id="e1", columns=("constructor", "n"), rows=((small, 1), (small, 2)), units={"n": small}, untrusted=()
    )
    answer = (
        f"# {text}\n\n{text} [e1]\n\n- {text}\n\n| {text} | b |\n|---|---|\n| {text} | c |\n\n"
        f"> {text}\n\n```\n{text}\n```\n"
    )
    return [
        Step(step=small, message=text),
        ToolStarted(call_id=small, name=small, description=text, arguments={small: text}),
        ToolEnded(call_id=small, name=small, ok=False, ms=1.5, problem=text),
        EvidenceFound(evidence=found),
        EvidenceFound(evidence=cited),
        Chart(title=text, kind=small, evidence_id="e1", x="constructor", y=("n",), unit=small),
        Chart(title=text, kind="line", evidence_id=small, x=text, y=("n", "n"), unit=small),
        Chart(title=text, kind="bar", evidence_id=small, x=small, y=(small,), unit=small),
        Problem(code=small, message=text),
        Token(message=answer),
        Title(message=text),
        Done(verdict=small, expert=small, model=small, struck=1),
    ]  # fmt: skip


@in_browser
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_in_every_field_stays_text(browser: Browser, served: Served, text: str) -> None:
    served.experts.append({"id": text[:100], "name": text, "about": text})
    kept = served.add_session(text, ("user", text), ("assistant", f"**{text}** {text} [e1]"))
    served.feedback[f"{kept}_res_0"] = {"rating": "down", "comment": text[:2_000]}
    served.scripts["go"] = hostile(text)
    with opened(browser, served.address) as page:
        tags = ["script", "img", "iframe", "a", "object", "style", "link", "base", "meta"]
        count = f"{tags}.map(tag => document.getElementsByTagName(tag).length)"
        before = page.evaluate(count)
        page.locator("#sessions .open").first.click()
        expect(page.locator(".asked")).to_have_count(1)
        page.locator("#new-session").click()
        answer = ask(page, "go")
        for card in answer.locator(".evidence-card > summary").all():
            card.click()
        answer.locator(".steps > summary").click()
        answer.locator(".arguments summary").click()
        more = answer.get_by_role("button", name="Show all", exact=True)
        while more.count():
            more.first.click()
        assert page.evaluate("window.hurt") is None
        assert page.evaluate("({}).polluted") is None
        assert page.evaluate(count) == before
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert not re.search("[\u202e\u2066\u200b\ufeff\x1b\x07\U000e0041]", page.locator("body").text_content() or "")
        ask(page, "an ordinary question")
        expect(page.locator(".answer").last.locator("strong").first).to_have_text("5 GiB")


def answering(body: Any) -> Callable[[Route], None]:
    return lambda route: route.fulfill(json=body)


@in_browser
def test_what_is_no_answer_of_ours_breaks_nothing(browser: Browser, served: Served) -> None:
    session = served.add_session("Of before")
    odd: list[Any] = [None, 7, "x", [], [None], {}, {"rows": {}}, {"rows": [None, 1, {"id": 3}, {"role": "assistant"}]}]
    with opened(browser, served.address) as page:
        for body in odd:
            page.route(re.compile("/api/(sessions|experts)"), answering(body))
            page.goto(f"{served.address}/#s={session}")
            page.reload()
            expect(page.locator(".expert").first).to_be_visible()
            page.unroute_all()
            ask(page, "who?")


@in_browser
def test_events_cut_anywhere_are_the_same(browser: Browser, served: Served) -> None:
    bodies = [
        '{"type":"token","message":"zeile\\n二"}',
        '{"type":"done"}',
        '{"no":"type"}',
        '{"type":"x","n":18446744073709551615}',
    ]
    with opened(browser, served.address) as page:
        for end in ("\n", "\r\n", "\r"):
            stream = f": hello{end}{end}" + "".join(
                f"id: {i}{end}data: {body}{end}{end}" for i, body in enumerate(bodies)
            )
            cut = page.evaluate(
                """async (stream) => {
                    const { EventParser } = await import('/page/api.js');
                    const plain = (found) => JSON.stringify(found, (k, v) => typeof v === 'bigint' ? `${v}n` : v);
                    const heard = (pieces) => {
                        const parser = new EventParser();
                        return plain(pieces.flatMap((piece) => [...parser.feed(piece)]));
                    };
                    const different = new Set([heard([stream]), heard([...stream])]);
                    for (let i = 0; i < stream.length; i++)
                        for (let j = i; j < stream.length; j += 7)
                            different.add(heard([stream.slice(0, i), stream.slice(i, j), stream.slice(j)]));
                    return [...different];
                }""",
                stream,
            )
            assert len(cut) == 1
            events = json.loads(cut[0])
            assert [each["id"] for each in events] == [0, 1, 3]
            assert events[0]["event"]["message"] == "zeile\n二"
            assert events[2]["event"]["n"] == "18446744073709551615n"


MARKDOWN = {
    "a \\*\\*b\\*\\* `` c`d `` \\[e1\\]": "<p>a **b** <code>c`d</code> [e1]</p>",
    "**a ~~b~~** ** ~~ `": "<p><strong>a <del>b</del></strong> ** ~~ `</p>",
    "1. a\n2. b\n   c\n\nd": "<ol><li>a</li><li>b<br>c</li></ol><p>d</p>",
    "- a\n  - b\n    - c\n- d\n1) e": "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ul><ol><li>e</li></ol>",
    "a\nb\n# c\n---\n> d\n> e": "<p>a<br>b</p><h3>c</h3><hr><blockquote><p>d<br>e</p></blockquote>",
    "```sh\n<b>\n# x": "<pre><code>&lt;b&gt;\n# x</code></pre>",
    "a \\$ \\: \\a \\中": "<p>a $ : \\a \\中</p>",
    "| a | b \\| c |\n|:--|--:|\n| 1 |": (
        "<div><table><thead><tr><th>a</th><th>b | c</th></tr></thead><tbody><tr><td>1</td><td></td></tr></tbody></table></div>"
    ),
    "a | b\nc | d": "<p>a | b<br>c | d</p>",
    "x [e1, e2][e3] [e1x] [y](http://z)": "<p>x <i>e1</i><i>e2</i><i>e3</i> [e1x] [y](http://z)</p>",
    "3 * 4 * 5 and snake_case_name": "<p>3 * 4 * 5 and snake_case_name</p>",
}

_RENDER = """async (texts) => {
    const { markdown } = await import('/page/markdown.js');
    const rules = { struckHint: '', cite: (id) => { const i = document.createElement('i'); i.textContent = id; return i; } };
    return texts.map((text) => {
        const began = performance.now();
        const box = document.createElement('div');
        box.append(markdown(text, rules));
        const ms = performance.now() - began;
        for (const e of box.querySelectorAll('*')) {
            while (e.attributes.length) e.removeAttribute(e.attributes[0].name);
        }
        return [box.innerHTML, ms, box.textContent.length];
    });
}"""


@in_browser
def test_markdown_becomes_nodes(browser: Browser, served: Served) -> None:
    with opened(browser, served.address) as page:
        rendered = page.evaluate(_RENDER, list(MARKDOWN))
        for (text, wanted), (html, _, _) in zip(MARKDOWN.items(), rendered, strict=True):
            assert html == wanted, text


@in_browser
def test_markdown_takes_no_longer_than_it_is_long(browser: Browser, served: Served) -> None:
    pieces = (
        "`",
        "`` ` ",
        "**",
        "* ",
        "~~",
        "~~a",
        "[e1",
        "[",
        "\\",
        "| ",
        "|-",
        "> ",
        "- ",
        "  - ",
        "1. ",
        "#",
        " ",
        "\n- ",
        "\n> ",
        "\n|-\n|",
        "**a ~~b `c ",
    )
    texts = [a * (100_000 // len(a)) for a in pieces]
    texts += [
        "".join(itertools.chain.from_iterable(("`" * n, " ") for n in range(1, 440)))
    ]  # no two runs are equally long
    with opened(browser, served.address) as page:
        for text, (_, ms, length) in zip(texts, page.evaluate(_RENDER, texts), strict=True):
            assert ms < 3_000, text[:10]
            assert length <= len(text) + 10


def test_usual_answer_has_every_event() -> None:
    kinds = {type(event) for event in usual()}
    assert kinds == {Step, ToolStarted, ToolEnded, EvidenceFound, Chart, Problem, Token, Title, Done}
