// Thumbs up and down: whether a document answers the query.

import { element, shape } from "./dom.js";

const UP = "M7 10v10H4V10zm2 0 4-7c1.5 0 2.5 1 2.2 2.5L14.5 9H19c1.3 0 2.2 1.2 1.9 2.4l-1.7 6.9c-.3 1-1.2 1.7-2.2 1.7H9z";

function thumb(grade, label, pressed, judge) {
  const icon = shape("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, shape("path", { d: UP }));
  return element(
    "button",
    {
      type: "button",
      class: grade ? "thumb up" : "thumb down",
      "aria-label": label,
      title: label,
      "aria-pressed": `${pressed}`,
      onclick: () => judge(pressed ? null : grade),
    },
    icon,
  );
}

/** Fill a place with the thumbs of a hit; `judge` is called with 1, 0 or null. */
export function showThumbs(place, id, grade, judge) {
  const focused = place.contains(document.activeElement)
    ? [...place.children].indexOf(document.activeElement)
    : -1;
  place.replaceChildren(
    thumb(1, `${id} answers the query`, grade === 1, judge),
    thumb(0, `${id} does not answer the query`, grade === 0, judge),
  );
  if (focused >= 0) place.children[focused].focus();
}
