// Filters from the fields that the index has, as the JSON of m3kit.filter_json.

import { element } from "./dom.js";

const MOST = 8; // filters
const FEW = 6; // values that are offered one by one, whatever they are

const pathOf = (field) => (field.path.length === 1 ? field.path[0] : field.path);

const DAY = 86_400_000;
const nextDay = (day) => new Date(Date.parse(`${day}T00:00Z`) + DAY).toISOString().slice(0, 10);

function choices(field, changed) {
  const boxes = field.values.map(([value, count]) => ({
    value,
    box: element("input", { type: "checkbox", onchange: changed }),
    label: `${value}`,
    count,
  }));
  const rows = boxes.map(({ box, label, count }) =>
    element("label", {}, box, element("span", {}, label), element("small", {}, `${count}`)),
  );
  return {
    rows,
    summary: () => boxes.filter(({ box }) => box.checked).map(({ label }) => label).join(", "),
    clear: () => boxes.forEach(({ box }) => (box.checked = false)),
    where() {
      const values = boxes.filter(({ box }) => box.checked).map(({ value }) => value);
      if (!values.length) return null;
      if (field.kind !== "list") return { op: "in", field: pathOf(field), values };
      const of = values.map((value) => ({ op: "contains", field: pathOf(field), value }));
      return { op: "or", of };
    },
  };
}

function range(field, changed) {
  const date = field.kind === "date";
  const input = (label, bound) =>
    element("input", {
      type: date ? "date" : "number",
      step: "any",
      placeholder: date ? undefined : `${bound}`,
      "aria-label": `${field.path.join(".")} ${label}`,
      onchange: changed,
    });
  const low = input("from", field.lowest);
  const high = input("to", field.highest);
  const rows = [
    element("label", {}, element("span", {}, "from"), low),
    element("label", {}, element("span", {}, "to"), high),
  ];
  return {
    rows,
    summary: () => (low.value || high.value ? `${low.value || "…"} – ${high.value || "…"}` : ""),
    clear: () => (low.value = high.value = ""),
    where() {
      const where = { op: "range", field: pathOf(field) };
      if (low.value) where.ge = date ? low.value : Number(low.value);
      if (high.value && date) where.lt = nextDay(high.value);
      else if (high.value) where.le = Number(high.value);
      return low.value || high.value ? where : null;
    },
  };
}

function substring(field, changed) {
  const input = element("input", {
    type: "search",
    "aria-label": `${field.path.join(".")} contains`,
    onchange: changed,
  });
  return {
    rows: [element("label", {}, element("span", {}, "contains"), input)],
    summary: () => (input.value ? `“${input.value}”` : ""),
    clear: () => (input.value = ""),
    where: () =>
      input.value ? { op: "substring", field: pathOf(field), text: input.value } : null,
  };
}

function controlOf(field, changed) {
  const ordered = field.kind === "number" || field.kind === "date";
  const count = field.values?.length ?? Infinity;
  if (count === 1) return null;
  if (ordered) return count <= FEW ? choices(field, changed) : range(field, changed);
  const names = field.kind === "string" && count > FEW && 2 * count > field.documents; // nearly all are different
  if (count < Infinity && !names) return choices(field, changed);
  return field.kind === "string" ? substring(field, changed) : null;
}

/** Fill the place of the filters; `changed` is called when one is set. */
export function makeFilters(place, fields, changed) {
  const parts = [];
  for (const field of fields) {
    const name = field.path.join(".");
    const label = element("span", {}, "any");
    const chip = element("details", { class: "filter", name: "filter" });
    const control = controlOf(field, () => {
      refresh();
      changed();
    });
    if (control === null || parts.length === MOST) continue;
    const refresh = () => {
      const summary = control.summary();
      label.textContent = summary || "any";
      chip.classList.toggle("is-set", Boolean(summary));
    };
    chip.append(
      element("summary", {}, `${name} `, label),
      element("div", { class: "panel", role: "group", "aria-label": `Filter by ${name}` }, ...control.rows),
    );
    chip.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      chip.open = false;
      chip.firstElementChild.focus();
    });
    parts.push({ control, refresh, chip });
    place.append(chip);
  }
  place.hidden = !parts.length;
  document.addEventListener("pointerdown", (event) => {
    for (const { chip } of parts) if (!chip.contains(event.target)) chip.open = false;
  });
  return {
    where() {
      const of = parts.map(({ control }) => control.where()).filter(Boolean);
      return of.length > 1 ? { op: "and", of } : (of[0] ?? null);
    },
    clear() {
      for (const { control, refresh } of parts) {
        control.clear();
        refresh();
      }
      changed();
    },
  };
}
