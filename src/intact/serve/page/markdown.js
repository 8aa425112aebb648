// The little Markdown that answers are written in, as DOM nodes. There are no links, images or HTML in it: an address is shown, not followed.

import { make, put, visible } from "./dom.js";

const MOST_LINES = 4000; // what is longer goes on as plain text
const MOST_DEPTH = 4;
const ESCAPABLE = /^[!-/:-@[-`{-~]$/; // every mark of ASCII

/** @typedef {(id: string) => Node} Cite */
/** @typedef {{cite: Cite, struckHint: string}} Rules */

/**
 * @param {string} text
 * @param {Rules} rules
 * @returns {DocumentFragment}
 */
export function markdown(text, rules) {
  const all = text.replace(/\r\n?/g, "\n").split("\n");
  const lines = all.slice(0, MOST_LINES);
  const out = document.createDocumentFragment();
  let at = 0;
  while (at < lines.length) {
    if (lines[at].trim() === "") at += 1;
    else at = block(lines, at, out, rules);
  }
  if (all.length > MOST_LINES) out.append(make("pre", { text: all.slice(MOST_LINES).join("\n") }));
  return out;
}

/**
 * One block, beginning at a line that is not empty.
 * @param {string[]} lines @param {number} at @param {Node} out @param {Rules} rules
 * @returns {number} where the next one begins
 */
function block(lines, at, out, rules) {
  const line = lines[at];
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(line);
  if (fence) return codeBlock(lines, at, fence[1], out);
  const heading = /^ {0,3}(#{1,6}) /.exec(line);
  if (heading) {
    const level = /** @type {"h3" | "h4" | "h5"} */ (`h${Math.min(5, heading[1].length + 2)}`);
    inline(line.slice(heading[0].length), out.appendChild(make(level)), rules);
    return at + 1;
  }
  if (isRule(line)) {
    out.appendChild(make("hr"));
    return at + 1;
  }
  if (isTable(lines, at)) return table(lines, at, out, rules);
  if (itemIn(line)) return list(lines, at, out, rules);
  if (/^ {0,3}>/.test(line)) {
    const inside = [];
    while (at < lines.length && /^ {0,3}>/.test(lines[at])) inside.push(lines[at++].replace(/^ {0,3}> ?/, ""));
    const quote = out.appendChild(make("blockquote"));
    paragraph(inside, quote, rules);
    return at;
  }
  const taken = [line];
  at += 1;
  while (at < lines.length && !beginsBlock(lines, at)) taken.push(lines[at++]);
  paragraph(taken, out, rules);
  return at;
}

/** @param {string[]} lines @param {number} at */
function beginsBlock(lines, at) {
  const line = lines[at];
  return (
    line.trim() === "" || /^ {0,3}(`{3}|~{3}|#{1,6} |>)/.test(line) || itemIn(line) !== null || isRule(line) || isTable(lines, at)
  );
}

/** @param {string} line */
function isRule(line) {
  return line.length < 200 && /^ {0,3}(-{3,}|\*{3,}|_{3,})$/.test(line.trimEnd());
}

/** @param {string[]} lines @param {Node} out @param {Rules} rules */
function paragraph(lines, out, rules) {
  const p = out.appendChild(make("p"));
  inline(lines.map((line) => line.trim()).join("\n"), p, rules);
}

/** @param {string[]} lines @param {number} at @param {string} fence @param {Node} out */
function codeBlock(lines, at, fence, out) {
  const taken = [];
  for (at += 1; at < lines.length; at++) {
    const line = lines[at].trim();
    if (line.length >= fence.length && line === fence[0].repeat(line.length)) {
      at += 1;
      break;
    }
    taken.push(lines[at]);
  }
  out.appendChild(make("pre", {}, make("code", { text: taken.join("\n") })));
  return at;
}

/**
 * @param {string} line
 * @returns {{indent: number, number: string | null, text: string} | null}
 */
function itemIn(line) {
  const match = /^([ \t]{0,40})(?:[-*+]|(\d{1,9})[.)])[ \t]/.exec(line);
  if (!match) return null;
  return { indent: match[1].replace(/\t/g, "    ").length, number: match[2] ?? null, text: line.slice(match[0].length).trim() };
}

/** @param {string[]} lines @param {number} at @param {Node} out @param {Rules} rules */
function list(lines, at, out, rules) {
  /** @type {{indent: number, isOrdered: boolean, element: HTMLElement}[]} */
  const open = [];
  /** @type {HTMLElement | null} */
  let last = null;
  for (; at < lines.length; at++) {
    const item = itemIn(lines[at]);
    if (!item) {
      const goesOn = last && lines[at].trim() !== "" && /^[ \t]/.test(lines[at]);
      if (!goesOn) break;
      /** @type {HTMLElement} */ (last).append(make("br"));
      inline(lines[at].trim(), /** @type {HTMLElement} */ (last), rules);
      continue;
    }
    while (open.length > 1 && item.indent < open[open.length - 1].indent) open.pop();
    const isOrdered = item.number !== null;
    let top = open[open.length - 1];
    if (!top || (item.indent > top.indent + 1 && open.length < MOST_DEPTH && last)) {
      top = { indent: item.indent, isOrdered, element: listElement(item.number) };
      (last ?? out).appendChild(top.element);
      open.push(top);
    } else if (top.isOrdered !== isOrdered) {
      if (open.length === 1) break; // another list begins
      const element = listElement(item.number);
      /** @type {Node} */ (top.element.parentNode).appendChild(element);
      open[open.length - 1] = top = { ...top, isOrdered, element };
    }
    last = top.element.appendChild(make("li"));
    inline(item.text, last, rules);
  }
  return at;
}

/** @param {string | null} number */
function listElement(number) {
  if (number === null) return make("ul");
  return make("ol", number === "1" ? {} : { attributes: { start: number } });
}

/** @param {string[]} lines @param {number} at */
function isTable(lines, at) {
  if (at + 1 >= lines.length || !lines[at].includes("|") || !lines[at + 1].includes("-")) return false;
  const under = lines[at + 1].trim();
  if (under.length > 2000 || !/^[|:\- ]+$/.test(under) || !under.includes("|")) return false;
  const marks = cellsOf(under);
  return marks.length === cellsOf(lines[at]).length && marks.every((mark) => /^:?-+:?$/.test(mark));
}

/** @param {string} line */
function cellsOf(line) {
  const cells = [];
  let cell = "";
  const inside = line.trim().replace(/^\|/, "");
  for (let i = 0; i < inside.length; i++) {
    if (inside[i] === "\\" && inside[i + 1] === "|") {
      cell += "|"; // also within code, where no other escape is read
      i += 1;
    } else if (inside[i] === "|") {
      cells.push(cell.trim());
      cell = "";
    } else cell += inside[i];
  }
  if (cell.trim() !== "") cells.push(cell.trim());
  return cells;
}

/** @param {string[]} lines @param {number} at @param {Node} out @param {Rules} rules */
function table(lines, at, out, rules) {
  const headings = cellsOf(lines[at]);
  const aligns = cellsOf(lines[at + 1]).map((mark) => (mark.endsWith(":") ? (mark.startsWith(":") ? "center" : "end") : "start"));
  const body = make("tbody");
  const row = make("tr");
  headings.forEach((text, i) => inline(text, row.appendChild(cell("th", aligns[i])), rules));
  for (at += 2; at < lines.length && lines[at].includes("|") && lines[at].trim() !== ""; at++) {
    const line = body.appendChild(make("tr"));
    const cells = cellsOf(lines[at]).slice(0, headings.length);
    headings.forEach((_, i) => inline(cells[i] ?? "", line.appendChild(cell("td", aligns[i])), rules));
  }
  const whole = make("table", {}, make("thead", {}, row), body);
  out.appendChild(make("div", { class: "wide", attributes: { tabindex: "0" } }, whole));
  return at;
}

/** @param {"th" | "td"} tag @param {string} align */
function cell(tag, align) {
  return make(tag, { attributes: { "data-align": align, ...(tag === "th" ? { scope: "col" } : {}) } });
}

/**
 * The inside of a block: code, bold, struck, citations, escapes. Every search for an end that fails is not done again, so the time
 * grows with the length only.
 * @param {string} text @param {Element} out @param {Rules} rules @param {number} [depth]
 */
export function inline(text, out, rules, depth = 0) {
  const failed = new Set();
  let plain = "";
  const flush = () => {
    if (plain) put(out, visible(plain));
    plain = "";
  };
  let i = 0;
  while (i < text.length) {
    const letter = text[i];
    if (letter === "\\" && ESCAPABLE.test(text[i + 1] ?? "")) {
      plain += text[i + 1];
      i += 2;
      continue;
    }
    if (letter === "\n") {
      flush();
      out.append(make("br"));
      i += 1;
      continue;
    }
    const span = letter === "`" || letter === "*" || letter === "~" ? spanAt(text, i, failed) : null;
    if (span) {
      flush();
      const inside = text.slice(span.from, span.to);
      if (letter === "`") out.append(make("code", { text: inside.replace(/^ (.*\S.*) $/s, "$1") }));
      else {
        const element = letter === "*" ? make("strong") : make("del", { title: rules.struckHint });
        if (depth < MOST_DEPTH) inline(inside, element, rules, depth + 1);
        else put(element, visible(inside));
        out.append(element);
      }
      i = span.next;
      continue;
    }
    if (letter === "[") {
      const match = /^\[(e\d{1,4}(?: ?[,，、] ?e\d{1,4}){0,19})\]/.exec(text.slice(i, i + 200));
      if (match) {
        flush();
        for (const id of match[1].split(/ ?[,，、] ?/)) out.append(rules.cite(id));
        i += match[0].length;
        continue;
      }
    }
    let run = 1; // marks that open nothing are taken whole, so that ``` is not read as `` and `
    if (letter === "`") while (text[i + run] === "`") run += 1;
    plain += text.slice(i, i + run);
    i += run;
  }
  flush();
}

/**
 * @param {string} text @param {number} i @param {Set<string>} failed
 * @returns {{from: number, to: number, next: number} | null}
 */
function spanAt(text, i, failed) {
  let mark = text[i] + text[i];
  if (text[i] === "`") {
    let length = 1;
    while (text[i + length] === "`") length += 1;
    mark = "`".repeat(length);
  } else if (text[i + 1] !== text[i]) return null;
  if (failed.has(mark)) return null;
  const from = i + mark.length;
  const to = mark[0] === "`" ? endOfCode(text, from, mark.length) : endOfSpan(text, from, mark);
  if (to < 0) {
    failed.add(mark);
    return null;
  }
  return to === from ? null : { from, to, next: to + mark.length };
}

/** @param {string} text @param {number} from @param {number} length */
function endOfCode(text, from, length) {
  for (let at = text.indexOf("`", from); at >= 0; at = text.indexOf("`", at)) {
    let run = 1;
    while (text[at + run] === "`") run += 1;
    if (run === length) return at;
    at += run;
  }
  return -1;
}

/** @param {string} text @param {number} from @param {string} mark */
function endOfSpan(text, from, mark) {
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === mark[0] && text[at + 1] === mark[0]) return at;
  }
  return -1;
}
