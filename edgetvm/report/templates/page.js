"use strict";
// Sorting and reading values off; the page tells everything without it.
const wordsOf = cell => (cell?.dataset.v ?? cell?.textContent ?? "").trim();
const numberOf = words => parseFloat(words.replace(/(\d) (?=\d)/g, "$1"));
const numbers = (a, b) => {
  const [x, y] = [numberOf(a), numberOf(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : x - y;
};
const sort = (table, column) => {
  const head = table.tHead.rows[0].cells[column];
  const isNumeric = head.classList.contains("n") || head.dataset.v !== undefined;
  const compare = isNumeric ? numbers : (a, b) => a.localeCompare(b);
  const falls = head.getAttribute("aria-sort") === "ascending";
  for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  for (const body of table.tBodies) {
    // A row that says why stays below its own.
    const rows = [];
    for (const row of body.rows) {
      if (row.className === "why") rows.at(-1).push(row);
      else if (row.className !== "group") rows.push([row]);
    }
    rows.sort(([a], [b]) => compare(wordsOf(a.cells[column]), wordsOf(b.cells[column])));
    body.append(...(falls ? rows.reverse() : rows).flat());
  }
};
for (const table of document.querySelectorAll("table.sorts")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, column));
  });
}
const tip = document.body.appendChild(document.createElement("div"));
tip.className = "tip";
tip.hidden = true;
const axisOf = words => {
  const [kind, low, high, start, end, ...unit] = words.split(" ");
  return {kind, low: +low, high: +high, start: +start, end: +end, unit: unit.join(" ")};
};
const told = (axis, pixel) => {
  const part = (pixel - axis.start) / (axis.end - axis.start);
  const even = axis.low + part * (axis.high - axis.low);
  const value = {linear: even, log: axis.low * (axis.high / axis.low) ** part, odds: 100 / (1 + 10 ** -even)};
  return `${+value[axis.kind].toPrecision(axis.kind === "odds" ? 4 : 3)} ${axis.unit}`;
};
const pointsOf = drawing => [...drawing.querySelectorAll(".stroke")].flatMap(path => {
  const found = [];
  let x = 0, y = 0;
  for (const [, command, words] of path.getAttribute("d").matchAll(/([A-Za-z])([^A-Za-z]*)/g)) {
    const numbers = (words.match(/-?[\d.]+/g) ?? []).map(Number);
    if (command === "M") x = y = 0;
    for (let at = 0; at < numbers.length; at += command === "v" ? 1 : 2) {
      if (command === "v") y += numbers[at];
      else [x, y] = [x + numbers[at], y + numbers[at + 1]];
      found.push([x / 2, y / 2]);
    }
  }
  return found;
});
for (const drawing of document.querySelectorAll("svg[data-axes]")) {
  let points;
  drawing.addEventListener("pointermove", event => {
    points ??= pointsOf(drawing);
    const frame = drawing.getBoundingClientRect(), scale = drawing.viewBox.baseVal.width / frame.width;
    const at = [(event.clientX - frame.left) * scale, (event.clientY - frame.top) * scale];
    const far = point => 4 * Math.abs(point[0] - at[0]) + Math.abs(point[1] - at[1]);
    const near = points.reduce((best, one) => far(one) < far(best) ? one : best, points[0]);
    const [x, y] = drawing.dataset.axes.split("|").map(axisOf);
    tip.textContent = `${told(x, near[0])}, ${told(y, near[1])}`;
    tip.hidden = false;
    const left = frame.left + near[0] / scale + 10;
    tip.style.left = `${Math.min(left, innerWidth - tip.offsetWidth - 4)}px`;
    tip.style.top = `${frame.top + near[1] / scale - 30}px`;
  });
  drawing.addEventListener("pointerleave", () => { tip.hidden = true; });
}
