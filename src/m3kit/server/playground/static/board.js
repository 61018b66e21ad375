// The rankings side by side, with a line from each hit to its place in the next ranking.

import { makeCard, makeItem } from "./cards.js";
import { byId, element, shape } from "./dom.js";
import { NAMES, REPS } from "./ranking.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Board {
  /** `actions` has `open`, `judge`, `gradeOf`. */
  constructor(actions) {
    this.actions = actions;
    this.place = byId("board");
    this.cards = new Map();
    this.lists = {};
    this.lines = shape("svg", { class: "lines", "aria-hidden": "true" });
    new ResizeObserver(() => this.draw()).observe(this.place);
    for (const [type, on] of [["pointerover", true], ["pointerleave", false], ["focusin", true], ["focusout", false]]) {
      this.place.addEventListener(type, (event) => this.light(on ? event.target : null), type === "pointerleave");
    }
    this.place.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** Take up the candidates of another query. */
  reset(reps) {
    this.cards.clear();
    this.columns = ["sum", ...reps];
    this.lists = {};
    const made = this.columns.map((name) => {
      this.lists[name] = element("ol", { class: "list", dataset: { ranking: name } });
      const count = element("span", { class: "count" });
      const heading = element("h2", { id: `column-${name}` }, element("span", { class: "name" }, NAMES[name]), count);
      this.lists[name].setAttribute("aria-labelledby", heading.id);
      return element("div", { class: `column ${name}` }, heading, this.lists[name]);
    });
    this.place.replaceChildren(this.lines, ...made);
    this.place.style.setProperty("--columns", reps.length);
  }

  /** Show rankings, the first `limit` places of each; `view` is the main one. */
  show({ columns, places }, weights, view, limit) {
    const before = this.positions();
    const main = columns[view].slice(0, limit);
    this.lists.sum.replaceChildren(
      ...main.map(({ hit, score }, n) => {
        if (!this.cards.has(hit.id)) {
          const made = makeCard(hit, this.actions);
          made.showGrade();
          this.cards.set(hit.id, made);
        }
        const card = this.cards.get(hit.id);
        card.show(n + 1, score, weights, places);
        return card.card;
      }),
    );
    this.name("sum", NAMES[view], columns[view].length);
    for (const rep of REPS.filter((name) => name in this.lists)) {
      const entries = columns[rep].slice(0, limit);
      this.lists[rep].replaceChildren(
        ...entries.map(({ hit, score }, n) =>
          makeItem(hit, rep, n + 1, score, places.sum.get(hit.id), this.actions.open),
        ),
      );
      if (!entries.length) this.lists[rep].append(element("li", { class: "none" }, "No shared token"));
      this.name(rep, NAMES[rep], columns[rep].length);
    }
    this.draw();
    this.glide(before);
  }

  name(column, text, count) {
    const heading = byId(`column-${column}`);
    heading.firstElementChild.textContent = text;
    heading.lastElementChild.textContent = `${count}`;
  }

  /** Show a grade that was given. */
  showGrade(id) {
    this.cards.get(id)?.showGrade();
  }

  positions() {
    const tops = new Map();
    if (calm.matches) return tops;
    for (const card of this.lists.sum?.children ?? []) tops.set(card.dataset.id, card.offsetTop);
    return tops;
  }

  glide(before) {
    for (const card of this.lists.sum.children) {
      const by = before.has(card.dataset.id) ? before.get(card.dataset.id) - card.offsetTop : 0;
      if (by) card.animate([{ transform: `translateY(${by}px)` }, {}], { duration: 220, easing: "ease-out" });
    }
  }

  /** Draw the lines between neighbouring rankings. */
  draw() {
    this.lines.replaceChildren();
    if (!this.columns || getComputedStyle(this.lines).display === "none") return;
    const box = this.place.getBoundingClientRect();
    this.lines.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
    for (let n = 0; n + 1 < this.columns.length; n += 1) {
      const right = this.rects(this.columns[n + 1], box);
      for (const [id, from] of this.rects(this.columns[n], box)) {
        const to = right.get(id);
        if (to) this.lines.append(line(id, this.columns[n + 1], from, to));
      }
    }
  }

  rects(column, box) {
    const rects = new Map();
    for (const item of this.lists[column].children) {
      if (!item.dataset.id) continue;
      const { offsetTop: top, offsetHeight: height } = item;
      const { left, right } = item.getBoundingClientRect();
      rects.set(item.dataset.id, { left: left - box.left, right: right - box.left, y: top + height / 2 });
    }
    return rects;
  }

  /** Bring out a hit in all rankings. */
  light(target) {
    const id = target?.closest?.("[data-id]")?.dataset.id;
    this.place.classList.toggle("is-lit", Boolean(id));
    for (const part of this.place.querySelectorAll("[data-id]")) {
      part.classList.toggle("is-active", part.dataset.id === id);
    }
  }

  onKey(event) {
    const card = event.target.closest(".card");
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    const entry = this.cards.get(card.dataset.id);
    if (event.key in steps) {
      const next = steps[event.key] > 0 ? card.nextElementSibling : card.previousElementSibling;
      if (next) this.cards.get(next.dataset.id).title.focus();
      event.preventDefault();
    } else if (event.key === "+" || event.key === "-") {
      entry.judge(event.key === "+" ? 1 : 0);
      event.preventDefault();
    }
  }
}

function line(id, rep, from, to) {
  const [start, end] = [from.right + 4, to.left - 4];
  const bend = (end - start) / 2;
  const made = shape("path", {
    class: rep,
    d: `M${start} ${from.y}C${start + bend} ${from.y} ${end - bend} ${to.y} ${end} ${to.y}`,
  });
  made.dataset.id = id;
  return made;
}
