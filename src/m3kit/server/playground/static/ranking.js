// Rankings of the candidates: the same sums, in the same order, as m3kit's WeightedSum.

export const REPS = ["dense", "sparse", "colbert"];
export const NAMES = { sum: "Weighted sum", dense: "Dense", sparse: "Sparse", colbert: "ColBERT" };

/** Return Σ weight · score / Σ weight, or null where no weight is above zero. */
export function weightedScore(scores, weights) {
  let weighted = 0;
  let total = 0;
  for (const rep of REPS) {
    if (!(rep in scores)) continue;
    weighted += weights[rep] * scores[rep];
    total += weights[rep];
  }
  return total > 0 ? weighted / total : null;
}

const isSurrogate = (unit) => unit >= 0xd800 && unit <= 0xdfff;

/** Compare ids by code points, as Python does; JavaScript itself compares UTF-16 units. */
export function compareIds(first, second) {
  const length = Math.min(first.length, second.length);
  for (let n = 0; n < length; n += 1) {
    const a = first.charCodeAt(n);
    const b = second.charCodeAt(n);
    if (a !== b) return isSurrogate(a) === isSurrogate(b) ? a - b : isSurrogate(a) ? 1 : -1;
  }
  return first.length - second.length;
}

/** Order hits by a score, best first, ties by id; hits whose score is null are left out. */
export function rank(hits, scoreOf) {
  return hits
    .map((hit) => ({ hit, score: scoreOf(hit) }))
    .filter((entry) => entry.score !== null)
    .sort((a, b) => b.score - a.score || compareIds(a.hit.id, b.hit.id));
}

/** Return the rankings of all columns, each with the place of every hit. */
export function rankings(hits, weights, reps) {
  const columns = { sum: rank(hits, (hit) => weightedScore(hit.scores, weights)) };
  for (const rep of reps) {
    columns[rep] = rank(hits, (hit) => (rep === "sparse" && !hit.scores[rep] ? null : hit.scores[rep]));
  }
  const places = {};
  for (const [name, entries] of Object.entries(columns)) {
    places[name] = new Map(entries.map((entry, n) => [entry.hit.id, n + 1]));
  }
  return { columns, places };
}
