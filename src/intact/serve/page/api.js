// The HTTP API as the page uses it: requests with the token, and answers that are heard to their end over broken connections.

const TOKEN_KEY = "intact.token";
const MOST_TRIES = 9;
const SILENCE_MS = 35_000; // the server says something every ten seconds
const MOST_BUFFERED = 16 << 20;

/** @typedef {{type: string, timestamp?: number, [name: string]: any}} PlainEvent */

/** What the API refused, in its words. */
export class Refused extends Error {
  /** @param {number} status @param {any} body */
  constructor(status, body) {
    const error = body && typeof body === "object" && body.error ? body.error : {};
    super(typeof error.message === "string" ? error.message : `HTTP ${status}`);
    this.status = status;
    this.code = String(error.code ?? status);
    this.hint = typeof error.hint === "string" ? error.hint : "";
  }
}

/** The answer can be heard no further. */
export class Lost extends Error {}

let tokenNow = keptInTab(TOKEN_KEY);

/** @param {string} key @returns {string | null} */
export function keptInTab(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null; // storage is forbidden here: what is kept lives as long as the page
  }
}

/** @param {string} key @param {string | null} value */
export function keepInTab(key, value) {
  try {
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, value);
  } catch {
    // as above
  }
}

/** @returns {boolean} */
export function hasToken() {
  return tokenNow !== null;
}

/** @param {string | null} token */
export function setToken(token) {
  tokenNow = token;
  keepInTab(TOKEN_KEY, token);
}

/** @type {(wasRefused: boolean) => Promise<string | null>} */
let askForToken = async () => null;
/** @type {Promise<string | null> | null} */
let asking = null;

/**
 * Say who asks the person for a token; all requests that need one wait for the same answer.
 * @param {(wasRefused: boolean) => Promise<string | null>} ask
 */
export function onTokenNeeded(ask) {
  askForToken = ask;
}

/**
 * Numbers that a JavaScript number cannot hold (ids, times in nanoseconds) stay exact, as BigInt.
 * @param {string} text
 * @returns {any}
 */
export function parseJson(text) {
  /** @type {any} its third argument is newer than what is known of it */
  const exact = (/** @type {string} */ _key, /** @type {any} */ value, /** @type {{source: string} | undefined} */ context) => {
    if (typeof value !== "number" || Number.isSafeInteger(value) || !context) return value;
    return /^-?\d{16,40}$/.test(context.source) ? BigInt(context.source) : value;
  };
  return JSON.parse(text, exact);
}

/**
 * @param {string} method
 * @param {string} path relative to the page, so that it may live below a prefix
 * @param {{body?: any, headers?: Record<string, string>, signal?: AbortSignal}} [more]
 * @returns {Promise<Response>}
 */
export async function request(method, path, more = {}) {
  for (;;) {
    const tried = tokenNow;
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json, text/event-stream", ...more.headers };
    if (tried !== null) headers.Authorization = `Bearer ${tried}`;
    if (more.body !== undefined) headers["Content-Type"] = "application/json";
    const response = await fetch(path, {
      method,
      headers,
      body: more.body === undefined ? undefined : JSON.stringify(more.body),
      signal: more.signal,
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
    if (response.ok) return response;
    const refused = new Refused(response.status, await response.json().catch(() => null));
    if (response.status !== 401) throw refused;
    if (tried !== tokenNow) continue; // another request was given a token meanwhile
    asking ??= askForToken(tried !== null).finally(() => (asking = null));
    const token = await asking;
    if (token === null) throw refused;
    setToken(token);
  }
}

/**
 * @param {string} method @param {string} path @param {any} [body]
 * @returns {Promise<any>} null where there is no body
 */
export async function call(method, path, body) {
  const response = await request(method, path, { body });
  const text = await response.text();
  return text ? parseJson(text) : null;
}

/**
 * The events of one response, until `done`. A connection that breaks or falls silent is opened again after the event heard last.
 * @param {{path: string, body?: any, responseId?: string, signal: AbortSignal,
 *   onEvent: (event: PlainEvent) => void, onBroken: () => void, mostTries?: number}} wanted `body`: a question is asked first
 */
export async function follow(wanted) {
  let responseId = wanted.responseId ?? null;
  let last = 0;
  let tries = 0;
  const mostTries = wanted.mostTries ?? MOST_TRIES;
  for (;;) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    wanted.signal.addEventListener("abort", stop, { once: true });
    try {
      const isQuestion = wanted.body !== undefined && responseId === null;
      const response = isQuestion
        ? await request("POST", wanted.path, { body: wanted.body, signal: attempt.signal })
        : await request("GET", `${wanted.path}/${encodeURIComponent(responseId ?? "")}`, {
            headers: last ? { "Last-Event-ID": String(last) } : {},
            signal: attempt.signal,
          });
      for await (const { id, event } of eventsIn(response, attempt)) {
        if (id !== null && id <= last) continue;
        if (id !== null) last = id;
        tries = 0;
        if (event.type === "session_response_id") responseId = String(event.message);
        wanted.onEvent(event);
        if (event.type === "done") return;
      }
    } catch (error) {
      if (wanted.signal.aborted) throw error;
      if (error instanceof Refused && error.status !== 503 && error.status !== 502) {
        throw responseId !== null && error.status === 404 ? new Lost("gone") : error;
      }
      if (responseId === null) throw error;
    } finally {
      wanted.signal.removeEventListener("abort", stop);
      attempt.abort();
    }
    tries += 1;
    if (responseId === null || tries > mostTries) throw new Lost("broken");
    wanted.onBroken();
    await pause(Math.min(8000, 250 * 2 ** (tries - 1)), wanted.signal);
  }
}

/**
 * @param {Response} response @param {AbortController} attempt
 * @returns {AsyncGenerator<{id: number | null, event: PlainEvent}>}
 */
async function* eventsIn(response, attempt) {
  if (!response.body) return;
  const reader = response.body.getReader();
  let watchdog = setTimeout(() => attempt.abort(), SILENCE_MS);
  try {
    const parser = new EventParser();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(() => attempt.abort(), SILENCE_MS);
      yield* parser.feed(decoder.decode(value, { stream: true }));
    }
  } finally {
    clearTimeout(watchdog);
    reader.cancel().catch(() => {}); // it is over either way
  }
}

/** Server-sent events out of text that is cut anywhere. */
export class EventParser {
  constructor() {
    /** @type {string[]} */
    this.pieces = [];
    this.size = 0;
    this.endedWithReturn = false;
    /** @type {string[]} */
    this.data = [];
    /** @type {number | null} */
    this.id = null;
  }

  /**
   * @param {string} text
   * @returns {Generator<{id: number | null, event: PlainEvent}>}
   */
  *feed(text) {
    if (this.endedWithReturn && text.startsWith("\n")) text = text.slice(1);
    if (text) this.endedWithReturn = text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    for (let i = 0; i < lines.length; i++) {
      this.pieces.push(lines[i]);
      this.size += lines[i].length;
      if (this.size > MOST_BUFFERED) throw new Lost("too long");
      if (i === lines.length - 1) return; // the rest of this line is still to come
      const line = this.pieces.join("");
      this.pieces = [];
      const event = this.line(line);
      if (event) yield event;
    }
  }

  /** @param {string} line */
  line(line) {
    if (line === "") {
      const data = this.data.join("\n");
      const id = this.id;
      this.data = [];
      this.size = 0;
      if (!data) return null;
      const event = parseJson(data);
      return event && typeof event.type === "string" ? { id, event } : null;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") this.data.push(value);
    else if (name === "id" && /^\d{1,15}$/.test(value)) this.id = Number(value);
    return null;
  }
}

/** @param {number} ms @param {AbortSignal} signal */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    }, { once: true });
  });
}
