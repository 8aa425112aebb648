// The list of the person's sessions beside the answers: opened, renamed, deleted.

import { call } from "./api.js";
import { byId, make, visible } from "./dom.js";
import { words } from "./words.js";

const PAGE = 30;

/** @typedef {{id: string, title: string}} Session */
/** @typedef {{open: (id: string) => void, removed: (id: string) => void, failed: (error: unknown) => void,
 *   renamed: (session: Session) => void, confirm: (text: string) => Promise<boolean>}} Listener */

/** The list. */
export class Sessions {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    /** @type {Session[]} */
    this.rows = [];
    /** @type {string | null} */
    this.next = null;
    /** @type {string | null} */
    this.current = null;
    /** @type {HTMLUListElement} */
    this.list = byId("sessions");
    this.more = byId("more-sessions");
    this.more.addEventListener("click", () => void this.load(true));
  }

  /** @param {boolean} [isMore] the next page, not the first */
  async load(isMore = false) {
    const after = isMore && this.next ? `&cursor=${encodeURIComponent(this.next)}` : "";
    const body = await call("GET", `api/sessions?limit=${PAGE}${after}`);
    const rows = (Array.isArray(body?.rows) ? body.rows : []).filter((/** @type {any} */ row) => typeof row?.id === "string");
    const known = new Set(rows.map((/** @type {Session} */ row) => row.id));
    this.rows = isMore ? [...this.rows.filter((row) => !known.has(row.id)), ...rows] : rows;
    this.next = body?.next ?? null;
    this.show();
  }

  /** @param {string} id @returns {string} */
  titleOf(id) {
    return this.rows.find((row) => row.id === id)?.title ?? "";
  }

  /** @param {string} id it was just used: it goes to the top, and is new if it is not known @param {string} [title] */
  used(id, title) {
    const known = this.rows.find((row) => row.id === id);
    const row = { id, title: title ?? known?.title ?? "" };
    this.rows = [row, ...this.rows.filter((each) => each.id !== id)];
    this.current = id;
    this.show();
  }

  /** @param {string | null} id */
  select(id) {
    this.current = id;
    for (const item of this.list.children) {
      if (!(item instanceof HTMLElement)) continue;
      const button = item.querySelector(".open");
      if (item.dataset.id === id) button?.setAttribute("aria-current", "true");
      else button?.removeAttribute("aria-current");
    }
  }

  show() {
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.closest("li")?.dataset.id : undefined;
    this.list.replaceChildren(...this.rows.map((row) => this.item(row)));
    if (this.rows.length === 0) this.list.append(make("li", { class: "dim", text: words().noSessions }));
    this.more.hidden = !this.next;
    this.select(this.current);
    const again = [...this.list.children].find((item) => focused && item instanceof HTMLElement && item.dataset.id === focused);
    /** @type {HTMLElement | null | undefined} */ (again?.querySelector(".open"))?.focus();
  }

  /** @param {Session} row */
  item(row) {
    const title = visible(row.title, 200).trim() || words().untitled;
    return make("li", { attributes: { "data-id": row.id } },
      make("button", { class: "open", text: title, title, on: { click: () => this.listener.open(row.id) } }),
      make("button", { class: "quiet small", text: "✎", title: words().rename, label: `${words().rename}: ${title}`, on: {
        click: (event) => this.edit(row, event.currentTarget.closest("li")),
      } }),
      make("button", { class: "quiet small", text: "✕", title: words().remove, label: `${words().remove}: ${title}`, on: {
        click: () => void this.remove(row),
      } }));
  }

  /** @param {Session} row @param {HTMLElement} item */
  edit(row, item) {
    const input = make("input", { label: words().rename, attributes: { maxlength: "100" } });
    input.value = row.title;
    const form = make("form", { on: {
      submit: (event) => {
        event.preventDefault();
        void this.rename(row, input.value.trim());
      },
      keydown: (event) => {
        if (event.key === "Escape") this.show();
      },
    } }, input, make("button", { type: "submit", class: "quiet small", text: words().save }));
    item.replaceChildren(form);
    input.focus();
    input.select();
  }

  /** @param {Session} row @param {string} title */
  async rename(row, title) {
    try {
      if (title && title !== row.title) {
        await call("PATCH", `api/sessions/${encodeURIComponent(row.id)}`, { title });
        row.title = title;
        this.listener.renamed(row);
      }
    } catch (error) {
      this.listener.failed(error);
    }
    this.show();
  }

  /** @param {Session} row */
  async remove(row) {
    if (!(await this.listener.confirm(`${words().removeSession}\n${visible(row.title, 100)}`))) return;
    try {
      await call("DELETE", `api/sessions/${encodeURIComponent(row.id)}`);
      this.rows = this.rows.filter((each) => each.id !== row.id);
      this.show();
      this.listener.removed(row.id);
    } catch (error) {
      this.listener.failed(error);
    }
  }
}
