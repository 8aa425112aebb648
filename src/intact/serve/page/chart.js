// Charts out of the rows of a piece of evidence: lines over time or a number, and bars by name, as SVG made of DOM nodes.

import { visible } from "./dom.js";
import { time, written } from "./words.js";

const WIDEST = 640; // letters keep their size on a narrow screen: the chart is drawn narrower
const NARROWEST = 300;
const HEIGHT = 240;
const LEFT = 84;
const RIGHT = 16;
const TOP = 12;
const BOTTOM = 30;
const MOST_POINTS = 2000;
const MOST_BARS = 30;
const MOST_SERIES = 6;

/** @typedef {{title: string, kind: string, evidence: string, x: string, y: string[], unit: string}} Chart */
/** @typedef {{columns: string[], rows: any[][], units: Record<string, string>}} Table */

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 * @returns {SVGElement}
 */
function svg(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

/**
 * The chart as an element; null where the rows give nothing to draw.
 * @param {Chart} chart @param {Table} table
 * @returns {HTMLElement | null}
 */
export function draw(chart, table) {
  const x = table.columns.indexOf(chart.x);
  const names = (Array.isArray(chart.y) ? chart.y : [chart.y]).map(String).slice(0, MOST_SERIES);
  const ys = names.map((name) => table.columns.indexOf(name));
  if (x < 0 || ys.length === 0 || ys.some((y) => y < 0)) return null;
  const drawn = chart.kind === "line" ? lines(chart, table, x, ys) : bars(chart, table, x, ys);
  if (!drawn) return null;
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", visible(chart.title, 300));
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = visible(chart.title, 300);
  figure.append(caption, drawn);
  if (names.length > 1) figure.append(legend(names));
  return figure;
}

/** @param {string[]} names */
function legend(names) {
  const list = document.createElement("ul");
  list.className = "legend";
  names.forEach((name, i) => {
    const item = document.createElement("li");
    item.className = `series-${i}`;
    item.textContent = visible(name, 100);
    list.append(item);
  });
  return list;
}

function widthNow() {
  return Math.max(NARROWEST, Math.min(WIDEST, document.documentElement.clientWidth - 48));
}

/** @param {any} value */
function finite(value) {
  if (value === null || value === undefined || typeof value === "string" || typeof value === "boolean") return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

/** @param {Chart} chart @param {Table} table @param {number} x @param {number[]} ys */
function lines(chart, table, x, ys) {
  const width = widthNow();
  const rows = table.rows.slice(0, MOST_POINTS);
  const isTime = table.units[chart.x] === "epoch_ns";
  const places = rows.map((row, i) => finite(row[x]) ?? (isTime ? null : i));
  const order = rows.map((_, i) => i).filter((i) => places[i] !== null);
  order.sort((a, b) => Number(places[a]) - Number(places[b]));
  const values = order.flatMap((i) => ys.map((y) => finite(rows[i][y]))).filter((value) => value !== null);
  if (order.length < 2 || values.length < 2) return null;
  const from = Number(places[order[0]]);
  const to = Number(places[order[order.length - 1]]);
  const scale = ticks(least(values), most(values), chart.unit);
  const across = (/** @type {number} */ at) => LEFT + ((at - from) / (to - from || 1)) * (width - LEFT - RIGHT);
  const down = (/** @type {number} */ value) =>
    HEIGHT - BOTTOM - ((value - scale.from) / (scale.to - scale.from)) * (HEIGHT - TOP - BOTTOM);
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, class: "chart" });
  grid(drawn, scale, chart.unit, down, width);
  const unitOfX = table.units[chart.x];
  for (const [at, anchor] of /** @type {[number, string][]} */ ([[from, "start"], [to, "end"]])) {
    const label = isTime ? timeAt(at, from) : written(at, unitOfX);
    drawn.append(svg("text", { x: across(at), y: HEIGHT - 8, "text-anchor": anchor, class: "axis" }, label));
  }
  ys.forEach((y, series) => {
    let path = "";
    let isOpen = false;
    for (const i of order) {
      const value = finite(rows[i][y]);
      if (value !== null) {
        path += `${isOpen ? "L" : "M"}${across(Number(places[i])).toFixed(1)} ${down(value).toFixed(1)}`;
        if (order.length <= 120) drawn.append(point(across(Number(places[i])), down(value), series, rows[i], x, y, chart, table));
      }
      isOpen = value !== null; // a gap stays a gap
    }
    drawn.append(svg("path", { d: path, class: `line series-${series}` }));
  });
  return drawn;
}

/**
 * The day is not said twice.
 * @param {number} at @param {number} from
 */
function timeAt(at, from) {
  const [day, hour] = time(at).split(" ");
  return at !== from && hour && day === time(from).split(" ")[0] ? `${hour} UTC` : time(at);
}

/** @param {number} cx @param {number} cy @param {number} series @param {any[]} row @param {number} x @param {number} y
 * @param {Chart} chart @param {Table} table */
function point(cx, cy, series, row, x, y, chart, table) {
  const dot = svg("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: 2.5, class: `point series-${series}` });
  dot.append(svg("title", {}, `${visible(written(row[x], table.units[chart.x]), 80)}: ${written(row[y], chart.unit)}`));
  return dot;
}

/** @param {Chart} chart @param {Table} table @param {number} x @param {number[]} ys */
function bars(chart, table, x, ys) {
  const width = widthNow();
  const nameWidth = Math.round(width * 0.3);
  const rows = table.rows.slice(0, MOST_BARS);
  const values = rows.flatMap((row) => ys.map((y) => finite(row[y]))).filter((value) => value !== null);
  if (values.length === 0) return null;
  const scale = { from: Math.min(0, least(values)), to: Math.max(0, most(values)) };
  if (scale.from === scale.to) scale.to = 1;
  const thick = ys.length === 1 ? 18 : 12;
  const step = thick * ys.length + 8;
  const height = step * rows.length + 8;
  const right = width - 96;
  const across = (/** @type {number} */ value) => nameWidth + ((value - scale.from) / (scale.to - scale.from)) * (right - nameWidth);
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "chart" });
  rows.forEach((row, i) => {
    const top = 4 + i * step;
    const name = visible(written(row[x], table.units[chart.x]), 200).replace(/\s+/g, " ");
    const label = svg("text", { x: nameWidth - 8, y: top + (thick * ys.length) / 2 + 4, "text-anchor": "end", class: "axis" }, shortened(name, nameWidth));
    label.append(svg("title", {}, name));
    drawn.append(label);
    ys.forEach((y, series) => {
      const value = finite(row[y]);
      if (value === null) return;
      const [begin, end] = [across(Math.min(0, value)), across(Math.max(0, value))];
      const at = top + series * thick;
      const size = { x: begin.toFixed(1), y: at, width: Math.max(1, end - begin).toFixed(1), height: thick - 2, rx: 2 };
      drawn.append(svg("rect", { ...size, class: `bar series-${series}` }));
      drawn.append(svg("text", { x: (end + 6).toFixed(1), y: at + thick - 6, class: "axis" }, written(row[y], chart.unit)));
    });
  });
  return drawn;
}

/** @param {string} name @param {number} most pixels */
function shortened(name, most) {
  let width = 0;
  let at = 0;
  for (const letter of name) {
    width += /[\u1100-\uffff]/.test(letter) ? 12 : 7;
    if (width > most - 24) return name.slice(0, at) + "…";
    at += letter.length;
  }
  return name;
}

/** @param {SVGElement} drawn @param {{from: number, to: number, step: number}} scale @param {string} unit
 * @param {(value: number) => number} down @param {number} width */
function grid(drawn, scale, unit, down, width) {
  for (let i = 0; scale.from + i * scale.step <= scale.to + scale.step / 2 && i < 12; i++) {
    const value = Number((scale.from + i * scale.step).toPrecision(12));
    drawn.append(svg("line", { x1: LEFT, x2: width - RIGHT, y1: down(value), y2: down(value), class: "grid" }));
    drawn.append(svg("text", { x: LEFT - 8, y: down(value) + 4, "text-anchor": "end", class: "axis" }, written(value, unit)));
  }
}

/**
 * A scale of about four round steps; bytes are round in twos.
 * @param {number} low @param {number} high @param {string} unit
 */
function ticks(low, high, unit) {
  if (low > 0 && low < high * 0.6) low = 0;
  if (low === high) [low, high] = [Math.min(low, 0), Math.max(high, low === 0 ? 1 : 0)];
  const rough = (high - low) / 4;
  const base = unit === "bytes" ? 2 ** Math.floor(Math.log2(rough)) : 10 ** Math.floor(Math.log10(rough));
  const factors = unit === "bytes" ? [1, 2, 4, 8] : [1, 2, 5, 10];
  const step = factors.map((times) => times * base).find((size) => size >= rough) ?? rough;
  const from = Math.floor(low / step) * step;
  return { from, to: Math.max(Math.ceil(high / step) * step, from + step), step };
}

/** @param {(number | null)[]} values */
function least(values) {
  return values.reduce((/** @type {number} */ a, b) => Math.min(a, Number(b)), Infinity);
}

/** @param {(number | null)[]} values */
function most(values) {
  return values.reduce((/** @type {number} */ a, b) => Math.max(a, Number(b)), -Infinity);
}
