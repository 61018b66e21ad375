// The sliders, and their weights as a file.

import { download, element } from "./dom.js";
import { NAMES } from "./ranking.js";

const STEP = 0.05;
const HIGHEST = 2;

const onGrid = (value) => Math.abs(value / STEP - Math.round(value / STEP)) < 1e-9;

/** Fill the place of the sliders; `moved` is called with the weights, `settled` after a move. */
export function makeWeights(place, initial, moved, settled) {
  const reps = Object.keys(initial);
  const fine = !reps.every((rep) => onGrid(initial[rep]));
  const highest = Math.max(HIGHEST, ...Object.values(initial).map(Math.ceil));
  const inputs = {};
  const outputs = {};
  const show = (rep) => (outputs[rep].textContent = Number(inputs[rep].value).toFixed(2));
  for (const rep of reps) {
    outputs[rep] = element("output", { for: `weight-${rep}` });
    inputs[rep] = element("input", {
      type: "range",
      id: `weight-${rep}`,
      min: 0,
      max: highest,
      step: fine ? 0.01 : STEP,
      value: initial[rep],
      class: rep,
      oninput() {
        show(rep);
        moved();
      },
      onchange: settled,
    });
    place.append(
      element(
        "div",
        { class: `slider ${rep}` },
        element("label", { for: `weight-${rep}` }, NAMES[rep]),
        inputs[rep],
        outputs[rep],
      ),
    );
    show(rep);
  }
  const read = () => Object.fromEntries(reps.map((rep) => [rep, Number(inputs[rep].value)]));
  return {
    read,
    reset() {
      for (const rep of reps) {
        inputs[rep].value = initial[rep];
        show(rep);
      }
      moved();
      settled();
    },
    save() {
      const all = { dense: 0, sparse: 0, colbert: 0, ...read() };
      download("weights.json", `${JSON.stringify(all)}\n`, "application/json");
    },
  };
}
