// The page as a whole: the question box, the experts, the session that is open, and what is asked of the API.

import { Answer } from "./answer.js";
import { Lost, Refused, call, follow, hasToken, keepInTab, keptInTab, onTokenNeeded, setToken } from "./api.js";
import { byId, make, visible } from "./dom.js";
import { Sessions } from "./sessions.js";
import { languageNow, setLanguage, words } from "./words.js";

const question = /** @type {HTMLTextAreaElement} */ (byId("question"));
const scroll = byId("scroll");
const turns = byId("turns");

/** @type {string | null} */
let sessionId = null;
/** @type {string | null} */
let expert = null;
/** @type {any[]} */
let experts = [];
/** @type {{answer: Answer, abort: AbortController} | null} */
let running = null;
/** @type {string | number | null} */
let earlier = null;
let opening = 0; // counts openings: one that was overtaken by another changes nothing
let isStuckToEnd = true;

const BEGUN_KEY = "intact.begun.";

const sessions = new Sessions({
  open: (id) => go(id),
  removed: (id) => {
    if (id === sessionId) go(null);
  },
  failed: (error) => toast(explained(error)),
  renamed: (session) => {
    if (session.id === sessionId) showTitle();
  },
  confirm,
});

const actions = {
  /** @param {string} id */
  nameOf: (id) => String(experts.find((row) => row?.id === id)?.name ?? id),
  /** @param {string} id @param {import("./answer.js").Opinion | null} opinion */
  async rate(id, opinion) {
    const path = `api/responses/${encodeURIComponent(id)}/feedback`;
    await (opinion ? call("PUT", path, opinion) : call("DELETE", path));
  },
  /** @param {string} id @param {Answer} view */
  async loadWork(id, view) {
    try {
      await follow({
        path: "api/chat",
        responseId: id,
        signal: new AbortController().signal,
        onEvent: (event) => view.apply(event, true),
        onBroken: () => {},
        mostTries: 1, // what has ended is there at once, or not any more
      });
    } catch (error) {
      view.problem(error instanceof Lost ? words().workGone : explained(error), "");
      view.end();
    }
  },
};

/** @param {unknown} error */
function explained(error) {
  if (error instanceof Refused) return [error.message, error.hint].filter(Boolean).join(" – ");
  if (error instanceof Lost) return words().lost;
  if (error instanceof TypeError) return words().notReached;
  return error instanceof Error ? error.message : String(error);
}

/** @param {string} text */
function toast(text) {
  const element = make("p", { class: "problem", text, most: 1000, attributes: { role: "alert" } });
  turns.append(element);
  toEnd();
}

/** @param {string} text */
function say(text) {
  byId("status").textContent = visible(text, 300);
}

/** Show what is new, but never so much that the last question and the beginning of its answer leave the view. */
function toEnd() {
  if (!isStuckToEnd) return;
  const questions = turns.getElementsByClassName("asked");
  const last = questions[questions.length - 1];
  const top = last ? last.getBoundingClientRect().top - scroll.getBoundingClientRect().top + scroll.scrollTop - 12 : Infinity;
  scroll.scrollTop = Math.min(top, scroll.scrollHeight);
}

/** Go to a session (null: a new one), by way of the address, so that back and reload work. @param {string | null} id */
function go(id) {
  const wanted = id ? `#s=${encodeURIComponent(id)}` : "";
  openSide(false);
  if (location.hash === wanted) void openSession(id);
  else if (wanted) location.hash = wanted;
  else {
    history.pushState(null, "", location.pathname + location.search);
    void openSession(null);
  }
}

function sessionInAddress() {
  const match = /^#s=([^&]{1,400})$/.exec(location.hash);
  try {
    return match ? decodeURIComponent(match[1]) : null;
  } catch {
    return null;
  }
}

function leaveAnswer() {
  running?.abort.abort(); // only the listening ends; the answer is finished and kept
  running = null;
  showRunning();
}

/** @param {string | null} id */
async function openSession(id) {
  const mine = ++opening;
  leaveAnswer();
  sessionId = id;
  earlier = null;
  turns.replaceChildren();
  isStuckToEnd = true;
  sessions.select(id);
  showTitle();
  showEmpty();
  byId("earlier").hidden = true;
  if (!matchMedia("(hover: none)").matches) question.focus(); // there, it would open the keyboard over the page
  if (id === null) return;
  try {
    const body = await call("GET", `api/sessions/${encodeURIComponent(id)}/messages`);
    if (mine !== opening) return;
    const rows = messagesIn(body);
    turns.append(...elementsOf(rows));
    showEarlier(body);
    toEnd();
    const made = begunIn(id);
    if (made && !rows.some((row) => row.response_id === made.responseId)) resume(made);
  } catch (error) {
    if (mine !== opening) return;
    const isGone = error instanceof Refused && error.status === 404;
    if (isGone) sessionId = null; // the next question begins another
    toast(isGone ? words().sessionGone : explained(error));
  }
}

/** @param {any} body @returns {any[]} */
function messagesIn(body) {
  return (Array.isArray(body?.rows) ? body.rows : []).filter((/** @type {any} */ row) => row && typeof row === "object");
}

/** @param {any} body */
function showEarlier(body) {
  earlier = body?.before ?? null;
  byId("earlier").hidden = earlier === null;
}

async function loadEarlier() {
  const [id, mine] = [sessionId, opening];
  if (id === null || earlier === null) return;
  try {
    const body = await call("GET", `api/sessions/${encodeURIComponent(id)}/messages?before=${encodeURIComponent(String(earlier))}`);
    if (mine !== opening) return;
    const height = scroll.scrollHeight;
    turns.prepend(...elementsOf(messagesIn(body)));
    scroll.scrollTop += scroll.scrollHeight - height;
    showEarlier(body);
  } catch (error) {
    toast(explained(error));
  }
}

/** @param {any[]} rows @returns {HTMLElement[]} */
function elementsOf(rows) {
  return rows.map((row) => {
    if (row.role === "user") return asked(row.content);
    const answer = new Answer(actions);
    const opinion = row.feedback && typeof row.feedback === "object" ? row.feedback : null;
    answer.showKept({ responseId: String(row.response_id), text: String(row.content ?? ""), opinion });
    return answer.element;
  });
}

/** @param {unknown} text */
function asked(text) {
  return make("div", { class: "asked" }, make("span", { class: "unseen", text: `${words().you}: ` }),
    make("p", { text, most: 20_000, attributes: { dir: "auto" } }));
}

/** @param {string} text */
function ask(text) {
  if (!text.trim() || running) return;
  showEmpty(false);
  isStuckToEnd = true;
  const element = asked(text);
  turns.append(element);
  question.value = "";
  grow();
  /** @type {Record<string, string>} */
  const body = { message: text };
  if (sessionId) body.session_id = sessionId;
  if (expert) body.direct_agent = expert;
  void listen({ body }, () => {
    // It was not taken: the question goes back to where it can be sent again.
    element.remove();
    question.value ||= text;
    grow();
  });
}

/**
 * What was asked in this tab and had not ended: a session has a question only when it has the answer as well.
 * @param {string} id of the session
 * @returns {{responseId: string, text: string} | null}
 */
function begunIn(id) {
  try {
    const begun = JSON.parse(keptInTab(BEGUN_KEY + id) ?? "null");
    return typeof begun?.responseId === "string" ? { responseId: begun.responseId, text: String(begun.text) } : null;
  } catch {
    return null;
  }
}

/** @param {{responseId: string, text: string}} made */
function resume(made) {
  turns.append(asked(made.text));
  void listen({ responseId: made.responseId }, () => {});
}

/** @param {{body?: any, responseId?: string}} what @param {() => void} notTaken */
async function listen(what, notTaken) {
  const mine = opening;
  const answer = new Answer(actions);
  const abort = new AbortController();
  running = { answer, abort };
  turns.append(answer.element);
  showRunning();
  toEnd();
  const note = make("p", { class: "dim", text: words().broken, attributes: { role: "status" } });
  try {
    await follow({
      path: "api/chat",
      ...what,
      signal: abort.signal,
      onEvent: (event) => {
        note.remove();
        answer.apply(event);
        if (event.type === "session_response_id") {
          begun(String(event.session_id));
          if (what.body) keepInTab(BEGUN_KEY + event.session_id, JSON.stringify({ responseId: answer.responseId, text: what.body.message }));
        }
        else if (event.type === "title" && sessionId) titled(sessionId, String(event.message));
        else if (event.type === "thinking_step") say(String(event.message));
        toEnd();
      },
      onBroken: () => answer.element.append(note),
    });
    if (mine === opening) {
      say(words().answered);
      if (sessionId) keepInTab(BEGUN_KEY + sessionId, null);
    }
  } catch (error) {
    if (abort.signal.aborted && !answer.isStopped) return;
    note.remove();
    if (answer.responseId) answer.problem(explained(error), "");
    else {
      answer.element.remove();
      notTaken();
      if (!abort.signal.aborted) toast(explained(error));
    }
  } finally {
    answer.end();
    if (running?.answer === answer) {
      running = null;
      showRunning();
    }
    toEnd();
  }
}

/** @param {string} id the session that an answer begun now belongs to */
function begun(id) {
  sessions.used(id);
  if (sessionId === id) return;
  sessionId = id;
  history.pushState(null, "", `#s=${encodeURIComponent(id)}`);
  showTitle();
}

/** @param {string} id @param {string} title */
function titled(id, title) {
  sessions.used(id, title);
  showTitle();
}

async function stop() {
  if (!running) return;
  const { answer, abort } = running;
  answer.isStopped = true;
  if (!answer.responseId) {
    abort.abort();
    return;
  }
  try {
    await call("DELETE", `api/chat/${encodeURIComponent(answer.responseId)}`); // its end comes as an event
  } catch (error) {
    answer.problem(explained(error), "");
  }
}

function showRunning() {
  byId("send").hidden = running !== null;
  byId("stop").hidden = running === null;
}

function showTitle() {
  const title = visible(sessionId ? sessions.titleOf(sessionId) : "", 200).trim();
  byId("title").textContent = title || "Intact";
  document.title = title ? `${title} – Intact` : "Intact";
}

/** @param {boolean} [isEmpty] */
function showEmpty(isEmpty = sessionId === null) {
  byId("empty").hidden = !isEmpty;
}

function showExamples() {
  byId("examples").replaceChildren(...words().examples.map((text) =>
    make("li", {}, make("button", { class: "example", text, on: { click: () => ask(text) } }))));
}

function showExperts() {
  const choice = (/** @type {string | null} */ id, /** @type {string} */ name, /** @type {string} */ about) =>
    make("button", { class: "expert", text: name, most: 60, title: about, attributes: { "aria-pressed": String(expert === id) }, on: {
      click: () => {
        expert = expert === id ? null : id;
        showExperts();
        question.focus();
      },
    } });
  const rows = experts.filter((row) => typeof row?.id === "string").slice(0, 30);
  byId("experts").replaceChildren(choice(null, words().anyExpert, words().anyExpertAbout),
    ...rows.map((row) => choice(row.id, String(row.name ?? row.id), String(row.about ?? ""))));
}

async function loadExperts() {
  const body = await call("GET", `api/experts?lang=${languageNow()}`);
  experts = Array.isArray(body?.rows) ? body.rows : [];
  showExperts();
}

/** Put the words of the chosen language where they belong. */
function showWords() {
  document.documentElement.lang = languageNow() === "zh" ? "zh-CN" : "en";
  const texts = /** @type {Record<string, any>} */ (words());
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = texts[/** @type {HTMLElement} */ (element).dataset.word ?? ""];
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", texts[/** @type {HTMLElement} */ (element).dataset.label ?? ""]);
  }
  question.placeholder = words().askLabel;
  const button = byId("language");
  button.textContent = words().other;
  button.title = words().otherLabel;
  button.lang = languageNow() === "zh" ? "en" : "zh-CN";
  showExamples();
  showExperts();
  sessions.show();
}

async function changeLanguage() {
  setLanguage(languageNow() === "zh" ? "en" : "zh");
  showWords();
  if (sessionId && !running) void openSession(sessionId); // what is written beside answers changes too
  await loadExperts().catch((error) => toast(explained(error)));
}

/** @param {boolean} wasRefused @returns {Promise<string | null>} */
function askForToken(wasRefused) {
  const dialog = byId("sign-in");
  const input = byId("token");
  const problem = byId("sign-in-problem");
  input.value = "";
  problem.hidden = !wasRefused;
  problem.textContent = words().signInRefused;
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      const token = dialog.returnValue === "given" ? input.value.trim() : "";
      input.value = "";
      // what cannot be a header is no token
      resolve(/^[\x21-\x7e]{1,4000}$/.test(token) ? token : null);
      setTimeout(() => (byId("sign-out").hidden = !hasToken()));
    }, { once: true });
    dialog.showModal();
    input.focus();
  });
}

/** @param {string} text @returns {Promise<boolean>} */
function confirm(text) {
  const dialog = byId("confirm");
  byId("confirm-text").textContent = text;
  return new Promise((resolve) => {
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}

/** @param {boolean} isOpen */
function openSide(isOpen) {
  document.body.classList.toggle("side-open", isOpen);
  byId("menu").setAttribute("aria-expanded", String(isOpen));
  byId("shade").hidden = !isOpen;
}

function grow() {
  question.rows = Math.min(10, Math.max(1, question.value.split("\n").length));
}

async function loadAll() {
  /** @type {unknown} */
  let problem = null;
  try {
    await sessions.load(); // first, and alone: it may ask for the token that the others need
    await loadExperts();
  } catch (error) {
    problem = error;
  }
  if (problem instanceof Refused && problem.status === 401) showEmpty();
  else await openSession(sessionInAddress());
  if (problem) toast(explained(problem));
}

function begin() {
  byId("ask").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    ask(question.value);
  });
  question.addEventListener("keydown", (event) => {
    // While an input method composes, Enter chooses a word.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
      event.preventDefault();
      ask(question.value);
    }
  });
  question.addEventListener("input", grow);
  byId("stop").addEventListener("click", () => void stop());
  byId("new-session").addEventListener("click", () => go(null));
  byId("earlier").addEventListener("click", () => void loadEarlier());
  byId("language").addEventListener("click", () => void changeLanguage());
  byId("menu").addEventListener("click", () => openSide(!document.body.classList.contains("side-open")));
  byId("shade").addEventListener("click", () => openSide(false));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") openSide(false);
  });
  byId("sign-in").querySelector("form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    byId("sign-in").close("given");
  });
  byId("sign-in-cancel").addEventListener("click", () => byId("sign-in").close(""));
  byId("sign-out").addEventListener("click", () => {
    setToken(null);
    location.reload();
  });
  scroll.addEventListener("scroll", () => {
    isStuckToEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
  });
  addEventListener("hashchange", () => {
    if (sessionInAddress() !== sessionId) void openSession(sessionInAddress());
  });
  addEventListener("popstate", () => {
    if (sessionInAddress() !== sessionId) void openSession(sessionInAddress());
  });
  onTokenNeeded(askForToken);
  byId("sign-out").hidden = !hasToken();
  showWords();
  void loadAll();
}

begin();
