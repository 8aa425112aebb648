// Evidence as cards: what was asked, over which range, and the rows by which a number can be checked.

import { make, put, visible } from "./dom.js";
import { time, words, written } from "./words.js";

const FIRST_ROWS = 20;
const MOST_ROWS = 500; // the most that a tool answers
const MOST_COLUMNS = 60;
const MOST_CELL = 240;

/** @typedef {import("./api.js").PlainEvent} PlainEvent */

/**
 * @param {PlainEvent} found an event of type `evidence`
 * @returns {import("./chart.js").Table}
 */
export function tableOf(found) {
  const columns = (Array.isArray(found.columns) ? found.columns : []).slice(0, MOST_COLUMNS).map(String);
  const rows = (Array.isArray(found.rows) ? found.rows : []).filter(Array.isArray).slice(0, MOST_ROWS);
  /** @type {Record<string, string>} */
  const units = Object.create(null); // a column may be called `constructor`
  for (const [column, unit] of Object.entries(found.units ?? {})) if (typeof unit === "string") units[column] = unit;
  return { columns, rows, units };
}

/**
 * A closed card; its table is made when it is opened first.
 * @param {PlainEvent} found
 * @returns {HTMLDetailsElement}
 */
export function card(found) {
  const table = tableOf(found);
  const summary = make("summary", {},
    make("span", { class: "cite-id", text: found.id, most: 20 }),
    make("span", { class: "tool", text: found.tool ?? "", most: 100 }),
    make("span", { class: "dim", text: counted(found, table.rows.length) }));
  const element = make("details", { class: "evidence-card", attributes: { "data-id": String(found.id) } }, summary);
  element.addEventListener("toggle", () => {
    if (element.open && element.childElementCount === 1) element.append(inside(found, table));
  });
  return element;
}

/** @param {PlainEvent} found @param {number} shown */
function counted(found, shown) {
  const total = found.total;
  const isMore = (typeof total === "number" || typeof total === "bigint") && total > shown;
  return isMore ? words().ofTotal(shown, Number(total)) : words().rows(shown);
}

/** @param {PlainEvent} found @param {import("./chart.js").Table} table */
function inside(found, table) {
  const facts = make("dl");
  const fact = (/** @type {string} */ name, /** @type {Node} */ node) => facts.append(make("dt", { text: name }), make("dd", {}, node));
  fact(words().query, make("pre", { text: found.query ?? "", most: 20_000 }));
  if (isAmount(found.to_ns)) {
    const isOpen = !isAmount(found.from_ns) || Number(found.from_ns) <= 0;
    const range = isOpen ? words().until(time(found.to_ns)) : `${time(found.from_ns)} – ${time(found.to_ns)}`;
    fact(words().range, make("span", { text: range }));
  }
  fact(words().hash, make("code", { text: found.rows_hash ?? "", most: 100 }));
  const notes = (Array.isArray(found.notes) ? found.notes : []).slice(0, 20);
  if (found.truncated === true) notes.push(words().cut);
  if (notes.length) fact(words().notes, make("span", { text: notes.join("\n"), most: 4000, class: "lines" }));
  return make("div", { class: "evidence-inside" }, facts, rows(found, table));
}

/** @param {PlainEvent} found @param {import("./chart.js").Table} table */
function rows(found, table) {
  if (table.rows.length === 0) return make("p", { class: "dim", text: words().noRows });
  const untrusted = new Set(Array.isArray(found.untrusted) ? found.untrusted.map(String) : []);
  const head = make("tr");
  table.columns.forEach((column, i) => {
    const unit = table.units[column];
    const isNumber = table.rows.some((row) => isAmount(row[i]));
    head.append(make("th", {
      text: column,
      most: 100,
      title: [unit, untrusted.has(column) ? words().untrusted : ""].filter(Boolean).join("; "),
      class: untrusted.has(column) ? "untrusted" : "",
      attributes: { scope: "col", "data-align": isNumber ? "end" : "start" },
    }));
  });
  const body = make("tbody");
  const wide = make("div", { class: "wide", label: `${words().evidence} ${found.id}`, attributes: { tabindex: "0", role: "region" } },
    make("table", {}, make("thead", {}, head), body));
  const fill = (/** @type {number} */ from, /** @type {number} */ to) => {
    for (const row of table.rows.slice(from, to)) body.append(line(row, table, untrusted));
  };
  fill(0, FIRST_ROWS);
  if (table.rows.length <= FIRST_ROWS) return wide;
  const all = make("button", { class: "quiet", text: words().allRows(table.rows.length) });
  all.addEventListener("click", () => {
    fill(FIRST_ROWS, table.rows.length);
    all.remove();
    wide.focus();
  });
  return make("div", {}, wide, all);
}

/** @param {any[]} row @param {import("./chart.js").Table} table @param {Set<string>} untrusted */
function line(row, table, untrusted) {
  const element = make("tr");
  table.columns.forEach((column, i) => {
    const value = row[i];
    const isNumber = isAmount(value);
    const text = visible(written(value, table.units[column]));
    const cell = make("td", {
      class: `${isNumber ? "number" : text.length > 50 ? "words long" : "words"}${untrusted.has(column) ? " untrusted" : ""}`,
      title: isNumber && text !== String(value) ? String(value) : "",
      attributes: { dir: "auto" },
    });
    put(cell, text.length > MOST_CELL ? text.slice(0, MOST_CELL) + "… " : text);
    if (text.length > MOST_CELL) {
      const more = make("button", { class: "quiet small", text: words().wholeText });
      more.addEventListener("click", () => {
        cell.replaceChildren();
        put(cell, text);
      });
      cell.append(more);
    }
    element.append(cell);
  });
  return element;
}

/** @param {unknown} value */
function isAmount(value) {
  return typeof value === "number" || typeof value === "bigint";
}
