// How text of the API becomes part of the page: as text nodes only, with what could deceive the eye made visible.

// Controls, bidirectional overrides, invisible letters and tag characters. Joiners stay: emoji and scripts need them.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;

const ACCENTS = /(\p{M}{8})\p{M}+/gu; // no script has more; a pile of them covers the lines above

/**
 * A text as it may be shown.
 * @param {unknown} text
 * @param {number} [most] characters; what is cut off is told by an ellipsis
 * @returns {string}
 */
export function visible(text, most = Infinity) {
  const whole = text === null || text === undefined ? "" : String(text);
  const cut = whole.length > most ? whole.slice(0, most) + "…" : whole;
  return cut.replace(/\r\n?/g, "\n").replace(ACCENTS, "$1…").replace(HIDDEN, (letter) => {
    const code = /** @type {number} */ (letter.codePointAt(0));
    return `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

const LONG_RUN = 400;
const PIECE = 200;

/**
 * Append a text that `visible` gave. A run without a space is given places to break: browsers take time that grows with the square
 * of its length to find their own.
 * @param {Node} parent @param {string} text
 */
export function put(parent, text) {
  let from = 0;
  if (text.length >= LONG_RUN) {
    for (const run of text.matchAll(/\S+/g)) {
      if (run[0].length < LONG_RUN) continue;
      const letters = new Intl.Segmenter().segment(run[0]); // never between a letter and its accents
      const end = run.index + run[0].length;
      for (let at = run.index + PIECE; at < end; at += PIECE) {
        const place = run.index + (letters.containing(at - run.index)?.index ?? 0);
        if (place <= from) continue;
        parent.appendChild(document.createTextNode(text.slice(from, place)));
        parent.appendChild(document.createElement("wbr"));
        from = place;
      }
    }
  }
  if (from < text.length) parent.appendChild(document.createTextNode(text.slice(from)));
}

/** @typedef {{class?: string, text?: unknown, most?: number, title?: string, type?: "button" | "submit",
 *   label?: string, on?: Record<string, (event: any) => void>, attributes?: Record<string, string>}} Made */

// No attribute that can hold a script, a style or an address is ever set from here.
const ATTRIBUTES = new Set([
  "aria-pressed", "aria-busy", "aria-live", "aria-expanded", "dir", "role", "scope", "tabindex", "open", "start", "colspan", "datetime", "maxlength",
  "data-id", "data-kind", "data-verdict", "data-align",
]);

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Made} [made]
 * @param {...(Node | null)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, made = {}, ...children) {
  const element = document.createElement(tag);
  if (made.class) element.className = made.class;
  if (made.text !== undefined) put(element, visible(made.text, made.most));
  if (made.title) element.title = visible(made.title, 2000);
  if (made.label) element.setAttribute("aria-label", visible(made.label, 500));
  if (element instanceof HTMLButtonElement) element.type = made.type ?? "button";
  for (const [name, value] of Object.entries(made.attributes ?? {})) {
    if (!ATTRIBUTES.has(name)) throw new Error(`not an attribute that is set here: ${name}`);
    element.setAttribute(name, value);
  }
  for (const [name, listener] of Object.entries(made.on ?? {})) element.addEventListener(name, listener);
  for (const child of children) if (child) element.append(child);
  return element;
}

/**
 * An element that the page has.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}
