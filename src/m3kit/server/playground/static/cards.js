// A hit: as a card in the main ranking, and as an item in the ranking of a representation.

import { element } from "./dom.js";
import { NAMES, REPS, weightedScore } from "./ranking.js";
import { showThumbs } from "./thumbs.js";

const TITLES = ["title", "name", "heading"];

/** Return what a hit is called: a title from its metadata, or its id. */
export function labelOf(hit) {
  const key = TITLES.find((name) => typeof hit.metadata[name] === "string" && hit.metadata[name]);
  return key ? hit.metadata[key] : hit.id;
}

/** Return the parts of a text as nodes, the matched tokens marked. */
export const passageOf = (parts) =>
  parts.map(([text, level]) => (level ? element("mark", { class: `m3-w${level}` }, text) : text));

/** Return how a place differs from the one in the main ranking, as a badge and in words. */
export function changeOf(place, main) {
  if (!place || !main) return { text: "", words: "", kind: "" };
  const by = main - place;
  if (by > 0) return { text: `▲ ${by}`, words: `${by} above the weighted sum`, kind: "higher" };
  if (by < 0) return { text: `▼ ${-by}`, words: `${-by} below the weighted sum`, kind: "lower" };
  return { text: "=", words: "as in the weighted sum", kind: "equal" };
}

function badge(change) {
  return element(
    "span",
    { class: `change ${change.kind}` },
    element("span", { "aria-hidden": "true" }, change.text),
    element("span", { class: "unseen" }, change.words),
  );
}

/** Make the card of a hit; `actions` has `open`, `judge` and `gradeOf`. */
export function makeCard(hit, actions) {
  const label = labelOf(hit);
  const place = element("span", { class: "place" });
  const score = element("span", { class: "score" });
  const shares = element("span", { class: "shares", "aria-hidden": "true" });
  const chips = element("ul", { class: "chips", "aria-label": "Places in the other rankings" });
  const thumbs = element("div", { class: "thumbs" });
  const title = element(
    "button",
    { type: "button", class: "title", onclick: () => actions.open(hit) },
    label,
  );
  const card = element(
    "li",
    { class: "card", dataset: { id: hit.id } },
    place,
    element(
      "div",
      { class: "body" },
      element(
        "h3",
        {},
        title,
        label === hit.id ? null : element("small", {}, hit.id),
      ),
      element("p", { class: "passage" }, ...passageOf(hit.passage)),
      chips,
      element("div", { class: "measure" }, shares, score),
    ),
    thumbs,
  );
  return {
    hit,
    card,
    title,
    judge: (grade) => actions.judge(hit, actions.gradeOf(hit) === grade ? null : grade),
    showGrade() {
      const grade = actions.gradeOf(hit);
      showThumbs(thumbs, label, grade, (next) => actions.judge(hit, next));
      card.classList.toggle("answers", grade === 1);
      card.classList.toggle("fails", grade === 0);
    },
    show(rank, value, weights, places) {
      place.textContent = `${rank}`;
      score.textContent = value.toFixed(3);
      showShares(shares, hit, weights);
      const main = places.sum.get(hit.id);
      chips.replaceChildren(
        ...REPS.filter((rep) => rep in places).map((rep) =>
          element(
            "li",
            { class: rep },
            element("span", {}, `${NAMES[rep]} ${places[rep].get(hit.id) ?? "–"}`),
            badge(changeOf(places[rep].get(hit.id), main)),
          ),
        ),
      );
    },
  };
}

function showShares(shares, hit, weights) {
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0) || 1;
  shares.replaceChildren(
    ...REPS.filter((rep) => rep in hit.scores).map((rep) => {
      const share = element("span", { class: rep });
      const part = (weights[rep] * Math.max(0, hit.scores[rep])) / total;
      share.style.width = `${(100 * part).toFixed(2)}%`;
      return share;
    }),
  );
  shares.title = `weighted sum ${weightedScore(hit.scores, weights)?.toFixed(3) ?? "–"}`;
}

/** Make the item of a hit in the ranking of a representation. */
export function makeItem(hit, rep, rank, value, main, open) {
  const change = changeOf(rank, main);
  return element(
    "li",
    { class: `item ${rep}`, dataset: { id: hit.id } },
    element(
      "button",
      { type: "button", onclick: () => open(hit) },
      element("span", { class: "place" }, `${rank}`),
      element("span", { class: "label" }, labelOf(hit)),
      element("span", { class: "figures" }, element("span", {}, value.toFixed(3)), badge(change)),
    ),
  );
}
