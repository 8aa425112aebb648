// One question and its answer: what was done, the text with its citations, charts, evidence, and what the person thinks of it.

import { draw } from "./chart.js";
import { make, visible } from "./dom.js";
import { card, tableOf } from "./evidence.js";
import { markdown } from "./markdown.js";
import { duration, words } from "./words.js";

const MOST_TEXT = 1 << 20;
const MOST_STEPS = 500;
const MOST_EVIDENCE = 200;
const MOST_CHARTS = 20;

/** @typedef {import("./api.js").PlainEvent} PlainEvent */
/** @typedef {{rating: string | null, comment: string}} Opinion */
/** @typedef {{nameOf: (expert: string) => string, rate: (responseId: string, opinion: Opinion | null) => Promise<void>,
 *   loadWork: (responseId: string, view: Answer) => Promise<void>}} Actions */

/** An answer on the page, which grows by events. */
export class Answer {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    /** @type {string | null} */
    this.responseId = null;
    this.text = "";
    this.isOver = false;
    this.isStopped = false; // by the person
    this.stepCount = 0;
    this.failedCount = 0;
    /** @type {Map<string, {item: HTMLElement, state: HTMLElement}>} */
    this.calls = new Map();
    /** @type {Map<string, PlainEvent>} */
    this.found = new Map();
    /** @type {PlainEvent[]} */
    this.charts = [];
    this.firstAt = 0;
    this.lastAt = 0;
    this.drawing = 0;
    this.drawMs = 0;
    this.hasWork = true; // whether the steps and evidence are here, not only the text

    this.now = make("span", { text: words().working, class: "now" });
    this.stepList = make("ol");
    this.stepBox = make("details", { class: "steps" }, make("summary", {}, this.now), this.stepList);
    this.body = make("div", { class: "text" });
    this.problems = make("div");
    this.chartBox = make("div", { class: "charts" });
    this.evidenceBox = make("div", { class: "evidence" });
    this.foot = make("footer");
    this.element = make("section", { class: "answer running", attributes: { "aria-busy": "true" } },
      this.stepBox, this.problems, this.body, this.chartBox, this.evidenceBox, this.foot);
  }

  /**
   * An answer that was given before: its text is there, its steps and evidence are fetched when asked for.
   * @param {{responseId: string, text: string, opinion: Opinion | null}} kept
   */
  showKept(kept) {
    this.responseId = kept.responseId;
    this.text = kept.text;
    this.hasWork = false;
    this.drawText();
    this.end();
    this.now.textContent = words().showWork;
    this.stepBox.addEventListener("toggle", () => void (this.stepBox.open && this.work()));
    this.foot.append(this.rating(kept.opinion));
  }

  /** Fetch the steps and evidence, once. */
  async work() {
    if (this.hasWork || !this.responseId) return;
    this.hasWork = true;
    await this.actions.loadWork(this.responseId, this);
  }

  /**
   * @param {PlainEvent} event
   * @param {boolean} [isAgain] the text is here already: only what belongs to it is taken
   */
  apply(event, isAgain = false) {
    const at = Number(event.timestamp);
    if (Number.isFinite(at)) {
      this.firstAt ||= at;
      this.lastAt = at;
    }
    switch (event.type) {
      case "session_response_id":
        this.responseId = String(event.message);
        break;
      case "thinking_step":
        this.step(event);
        break;
      case "tool_call":
        this.callBegun(event);
        break;
      case "tool_result":
        this.callEnded(event);
        break;
      case "evidence":
        this.evidence(event);
        break;
      case "chart":
        if (this.charts.length < MOST_CHARTS) {
          this.charts.push(event);
          this.drawChart(event);
        }
        break;
      case "token":
        if (!isAgain) this.token(event);
        break;
      case "error":
        this.problem(event.message, event.code);
        break;
      case "done":
        this.done(event, isAgain);
        break;
      default: // a type of a newer server
    }
  }

  /** @param {PlainEvent} event */
  step(event) {
    this.now.textContent = visible(event.message, 200);
    if (this.stepCount++ < MOST_STEPS) {
      this.stepList.append(make("li", { class: "step", text: event.message, most: 2000, title: event.step }));
    }
  }

  /** @param {PlainEvent} event */
  callBegun(event) {
    const what = event.description || event.name;
    this.now.textContent = visible(what, 200);
    if (this.calls.size >= MOST_STEPS) return;
    const state = make("span", { class: "state running", text: words().running });
    const item = make("li", { class: "call" }, make("span", { text: what, most: 2000, title: event.name }), state);
    const given = JSON.stringify(event.arguments ?? {}, (_, value) => (typeof value === "bigint" ? String(value) : value), 1);
    if (given !== "{}") {
      item.append(make("details", { class: "arguments" },
        make("summary", { text: words().arguments }),
        make("pre", { text: `${event.name} ${given}`, most: 10_000 })));
    }
    this.calls.set(String(event.id), { item, state });
    this.stepList.append(item);
  }

  /** @param {PlainEvent} event */
  callEnded(event) {
    const call = this.calls.get(String(event.id));
    if (!event.ok) this.failedCount += 1;
    if (!call) return;
    const took = Number(event.ms);
    call.state.className = `state ${event.ok ? "ok" : "failed"}`;
    call.state.textContent = `${event.ok ? words().ok : words().failed}${Number.isFinite(took) ? ` · ${duration(took * 1e6)}` : ""}`;
    if (event.problem) call.item.append(make("p", { class: "dim", text: event.problem, most: 1000 }));
  }

  /** @param {PlainEvent} event */
  evidence(event) {
    const id = String(event.id);
    if (this.found.has(id) || this.found.size >= MOST_EVIDENCE) return;
    if (this.found.size === 0) this.evidenceBox.append(make("h3", { text: words().evidence }));
    this.found.set(id, event);
    this.evidenceBox.append(card(event));
    for (const chart of this.charts) if (chart.evidence === id) this.drawChart(chart);
  }

  /** @param {PlainEvent} event */
  drawChart(event) {
    const found = this.found.get(String(event.evidence));
    if (!found) return; // drawn when its evidence comes
    const figure = draw(/** @type {any} */ (event), tableOf(found));
    if (!figure) return;
    figure.querySelector("figcaption")?.append(" ", this.cite(String(event.evidence)));
    this.chartBox.append(figure);
  }

  /** @param {PlainEvent} event */
  token(event) {
    if (this.text.length > MOST_TEXT) return;
    this.text += String(event.message ?? "");
    if (this.drawing) return;
    // A long text is drawn less often, so that the page stays quick under the hand.
    this.drawing = setTimeout(() => {
      this.drawing = 0;
      this.drawText();
    }, Math.min(1000, 30 + 4 * this.drawMs));
  }

  drawText() {
    const began = performance.now();
    this.body.replaceChildren(markdown(this.text, { cite: (id) => this.cite(id), struckHint: words().struckHint }));
    this.drawMs = performance.now() - began;
  }

  /** @param {string} id */
  cite(id) {
    const label = `${words().evidenceOpen} ${id}`;
    return make("button", { class: "cite", text: id, most: 20, title: label, label, on: { click: () => void this.open(id) } });
  }

  /** @param {string} id */
  async open(id) {
    await this.work();
    const element = [...this.evidenceBox.children].find((child) => child instanceof HTMLElement && child.dataset.id === id);
    if (!(element instanceof HTMLDetailsElement)) {
      if (this.found.size || this.isOver) this.problem(`${words().evidenceMissing}: ${id}`, "");
      return;
    }
    element.open = true;
    element.scrollIntoView({ block: "nearest" });
    element.querySelector("summary")?.focus({ preventScroll: true });
  }

  /** @param {unknown} message @param {unknown} code */
  problem(message, code) {
    const text = visible(message, 2000);
    if ([...this.problems.children].some((child) => child.textContent === text)) return;
    this.problems.append(make("p", { class: "problem", text, title: String(code ?? ""), attributes: { role: "alert" } }));
  }

  /** @param {PlainEvent} event @param {boolean} isAgain */
  done(event, isAgain) {
    const facts = [];
    const verdicts = words().verdicts;
    const verdict = Object.hasOwn(verdicts, event.verdict) ? verdicts[event.verdict] : null; // `answered` needs no word
    if (verdict) facts.push(make("strong", { text: verdict, class: "verdict", attributes: { "data-verdict": String(event.verdict).slice(0, 20) } }));
    if (event.expert) facts.push(make("span", { text: this.actions.nameOf(String(event.expert)), most: 60 }));
    facts.push(make("span", { text: event.model || words().noModel, most: 60 }));
    if (this.lastAt > this.firstAt) facts.push(make("span", { text: duration((this.lastAt - this.firstAt) * 1e6) }));
    const struck = Number(event.struck) || 0;
    this.foot.querySelector(".facts")?.remove();
    this.foot.prepend(make("div", { class: "facts" }, ...facts));
    if (struck > 0) this.foot.prepend(make("p", { class: "struck-note", text: words().struck(struck) }));
    this.end();
    if (!isAgain && this.responseId) this.foot.append(this.rating(null));
  }

  /** Nothing more comes. */
  end() {
    if (this.drawing) {
      clearTimeout(this.drawing);
      this.drawing = 0;
      this.drawText();
    }
    this.isOver = true;
    this.element.classList.remove("running");
    this.element.setAttribute("aria-busy", "false");
    const failed = this.failedCount ? ` (${words().failedCalls(this.failedCount)})` : "";
    this.now.textContent = words().steps(this.stepCount, this.calls.size) + failed;
    this.stepBox.hidden = this.hasWork && this.stepCount + this.calls.size === 0;
    for (const { state } of this.calls.values()) if (state.classList.contains("running")) state.textContent = "";
  }

  /** @param {Opinion | null} kept */
  rating(kept) {
    let opinion = { rating: kept?.rating ?? null, comment: kept?.comment ?? "" };
    const thumb = (/** @type {"up" | "down"} */ rating, /** @type {string} */ sign) =>
      make("button", { class: "quiet thumb", text: sign, title: words()[rating], label: words()[rating], on: {
        click: () => void keep(opinion.rating === rating ? null : { ...opinion, rating }),
      } });
    const up = thumb("up", "👍");
    const down = thumb("down", "👎");
    const input = make("input", { label: words().comment, attributes: { maxlength: "2000" } });
    input.placeholder = words().comment;
    input.value = opinion.comment;
    const said = make("span", { class: "dim", attributes: { role: "status" } });
    const form = make("form", { class: "comment", on: {
      submit: (event) => {
        event.preventDefault();
        void keep({ ...opinion, comment: input.value.trim() });
      },
    } }, input, make("button", { type: "submit", class: "quiet", text: words().sendComment }));
    const show = () => {
      up.setAttribute("aria-pressed", String(opinion.rating === "up"));
      down.setAttribute("aria-pressed", String(opinion.rating === "down"));
      form.hidden = opinion.rating === null;
    };
    const keep = async (/** @type {Opinion | null} */ wanted) => {
      try {
        await this.actions.rate(/** @type {string} */ (this.responseId), wanted);
      } catch (error) {
        said.textContent = visible(/** @type {Error} */ (error).message, 300);
        return;
      }
      said.textContent = wanted ? words().thanks : "";
      if (wanted === null) input.value = "";
      opinion = wanted ?? { rating: null, comment: "" };
      show();
    };
    show();
    return make("div", { class: "rating" }, up, down, said, form);
  }
}
