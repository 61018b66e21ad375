// The page: it asks the server for candidates once a query, and ranks them by itself.

import * as api from "./api.js";
import { Board } from "./board.js";
import { labelOf } from "./cards.js";
import { byId, element } from "./dom.js";
import { makeFilters } from "./filters.js";
import { NAMES, rankings } from "./ranking.js";
import { showThumbs } from "./thumbs.js";
import { makeWeights } from "./weights.js";

const PAGE = 10;

const state = { query: "", hits: [], grades: {}, limit: PAGE, view: "sum", asking: null };
let index;
let filters;
let weights;

const board = new Board({ open, judge, gradeOf: (hit) => state.grades[hit.id] ?? null });

/** Show an error, with a button that tries again. */
function fail(error, again) {
  byId("problem").replaceChildren(
    element("p", {}, error.message),
    element("button", { type: "button", class: "quiet", onclick: again }, "Try again"),
  );
  byId("problem").hidden = false;
  byId("status").textContent = "";
}

const say = (text) => (byId("status").textContent = text);

async function start() {
  byId("problem").hidden = true;
  try {
    index = await api.about();
  } catch (error) {
    fail(error, start);
    return;
  }
  document.title = `${index.address} · m3kit playground`;
  const count = index.count.toLocaleString("en");
  byId("facts").replaceChildren(
    element("strong", {}, index.address),
    ` ${count} ${index.count === 1 ? "document" : "documents"}`,
    element("span", {}, index.model ?? ""),
  );
  byId("sliders").replaceChildren();
  byId("filters").replaceChildren();
  weights = makeWeights(byId("sliders"), index.weights, rerank, tell);
  filters = makeFilters(byId("filters"), index.fields, () => state.query && search());
  for (const { parentElement: label, value } of document.querySelectorAll(".views input")) {
    label.hidden = value !== "sum" && !index.reps.includes(value);
  }
  byId("saved").textContent = index.judgements
    ? `Judgements are saved to ${index.judgements}.`
    : "Judgements are not saved: start with --judgements FOLDER.";
  if (state.query) search(); // asked before the index was known
}

async function search() {
  state.query = byId("query").value.trim();
  if (!index || !state.query) return;
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  const before = performance.now();
  byId("ranking").setAttribute("aria-busy", "true");
  say("Searching …");
  try {
    const answer = await api.search(state.query, filters.where(), asking.signal);
    Object.assign(state, { hits: answer.hits, grades: answer.grades, limit: PAGE });
    state.seconds = (performance.now() - before) / 1000;
    byId("problem").hidden = true;
    showAll();
  } catch (error) {
    if (error.name === "AbortError") return;
    byId("ranking").hidden = true;
    fail(error, search);
  } finally {
    if (state.asking === asking) byId("ranking").removeAttribute("aria-busy");
  }
}

function showAll() {
  byId("intro").hidden = true;
  byId("ranking").hidden = !state.hits.length;
  if (!state.hits.length) {
    say("");
    const filtered = filters.where() !== null;
    byId("status").append(
      filtered ? "No document passes these filters. " : "Nothing matches. ",
      ...(filtered
        ? [element("button", { type: "button", class: "quiet", onclick: filters.clear }, "Clear filters")]
        : []),
    );
    return;
  }
  board.reset(index.reps);
  rerank();
  tell();
}

/** Rank anew, without asking the server. */
function rerank() {
  if (!state.hits.length) return;
  const chosen = weights.read();
  const ranked = rankings(state.hits, chosen, index.reps);
  if (!ranked.columns.sum.length) {
    say("Every weight is 0: raise one to rank.");
    return;
  }
  board.show(ranked, chosen, state.view, state.limit);
  byId("more").hidden = state.limit >= ranked.columns[state.view].length;
}

/** Say in words what is shown. */
function tell() {
  if (!state.hits.length) return;
  const chosen = weights.read();
  if (!Object.values(chosen).some(Boolean)) return;
  const parts = index.reps.map((rep) => `${NAMES[rep]} ${chosen[rep]}`);
  const count = `${state.hits.length} ${state.hits.length === 1 ? "candidate" : "candidates"}`;
  say(`${count} in ${state.seconds.toFixed(2)} s, ranked by ${parts.join(", ")}.`);
}

async function judge(hit, grade) {
  try {
    const { grades, file } = await api.judge(state.query, hit.id, grade);
    state.grades = grades;
    board.showGrade(hit.id);
    showWhyThumbs(hit);
    const count = Object.keys(grades).length;
    byId("saved").textContent = `${count} ${count === 1 ? "judgement" : "judgements"} of this query in ${file}.`;
  } catch (error) {
    fail(error, () => judge(hit, grade));
  }
}

let opened = null;

function showWhyThumbs(hit) {
  if (opened !== hit) return;
  showThumbs(byId("why-judge"), labelOf(hit), state.grades[hit.id] ?? null, (grade) => judge(hit, grade));
}

/** Show why a hit is there. */
async function open(hit) {
  opened = hit;
  byId("why-title").textContent = labelOf(hit);
  showWhyThumbs(hit);
  byId("why-body").replaceChildren(element("p", { role: "status" }, "Explaining …"));
  byId("why").showModal();
  try {
    const picture = await api.explain(state.query, hit.id);
    if (opened === hit) byId("why-body").replaceChildren(picture);
  } catch (error) {
    byId("why-body").replaceChildren(element("p", { role: "alert" }, error.message));
  }
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
byId("reset").addEventListener("click", () => weights?.reset());
byId("save").addEventListener("click", () => weights?.save());
byId("more").addEventListener("click", () => {
  state.limit += PAGE;
  rerank();
});
byId("why-close").addEventListener("click", () => byId("why").close());
byId("why").addEventListener("close", () => (opened = null));
byId("why").addEventListener("click", (event) => {
  if (event.target === byId("why")) byId("why").close(); // the backdrop
});
for (const input of document.querySelectorAll(".views input")) {
  input.addEventListener("change", () => {
    state.view = input.value;
    rerank();
  });
}
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    byId("query").select();
  }
});
matchMedia("(min-width: 60rem)").addEventListener("change", ({ matches }) => {
  if (!matches) return;
  document.querySelector(".views input").checked = true;
  state.view = "sum";
  rerank();
});

start();
