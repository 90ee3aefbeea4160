// The table of the classes, and which are taken for which.

/** Columns of {label, value of the class k, how it is written}. */
function columns() {
  const written = (key) => (key === "score from" ? exact : shown);
  const of = (run, key, label) => ({ label, value: (k) => run.rows[k][key], written: written(key) });
  const objects = { ...of(runs[0], "objects", "objects"), written: String };
  if (!two) return [objects, ...Object.keys(runs[0].rows[0]).slice(2).map((key) => of(runs[0], key, key))];
  const change = (key) => ({ label: "B − A", written: signed, value: (k) => {
    const [a, b] = runs.map((run) => run.rows[k][key]);
    return a === null || b === null ? null : b - a;
  } });
  return [objects, ...["AP", "AP50", "AR", "F1", "score from"].flatMap((key) => [
    ...runs.map((run) => of(run, key, `${key} ${letter(run)}`)), ...(key === "score from" ? [] : [change(key)])])];
}

/** A difference, coloured by its sign. */
function signed(value) {
  const text = shown(value);
  if (value === null || Number(text) === 0) return value === null ? text : "0.0";
  return make("span", { class: value > 0 ? "better" : "worse" }, value > 0 ? `+${text}` : text.replace("-", "−"));
}

const nameCell = (name, attributes = {}) => make("th", { scope: "row", title: name, ...attributes }, name);

function classTable() {
  const cells = columns();
  const order = classes.map((_, k) => k);
  let [sorted, rising] = [-1, true];
  const head = make("tr", {}, make("th", { scope: "col" }, sortButton("class", -1)));
  cells.forEach(({ label }, index) => head.append(make("th", { scope: "col" }, sortButton(label, index))));
  const body = make("tbody");
  byId("classes").append(make("thead", {}, head), body);

  function sortButton(label, index) {
    const button = make("button", { type: "button" }, label);
    button.addEventListener("click", () => {
      rising = sorted === index ? !rising : index < 0;
      sorted = index;
      fill();
    });
    return button;
  }
  function fill() {
    const key = (k) => (sorted < 0 ? k : cells[sorted].value(k) ?? -Infinity);
    order.sort((a, b) => (rising ? 1 : -1) * (key(a) - key(b)) || a - b);
    [...head.children].forEach((cell, index) => {
      cell.setAttribute("aria-sort", index - 1 === sorted ? (rising ? "ascending" : "descending") : "none");
    });
    body.replaceChildren(...[...order, classes.length].map((k) => make("tr", k === classes.length ? { class: "all" } : {},
      nameCell(classes[k] ?? "all"), ...cells.map(({ value, written }) => make("td", {}, written(value(k)))))));
  }
  fill();
}

// A matrix of more classes is looked at by its largest numbers only.
const [FEW, MANY] = [20, 150];

function matrix(run) {
  const names = [...classes, "nothing"];
  const upright = classes.length > 8 || classes.some((name) => name.length > 14);
  const head = make("tr", {}, make("th", { scope: "col" }, "true \\ found"),
    ...names.map((name) => make("th", { scope: "col", title: name }, make("span", {}, name))));
  const body = run.confusion.map((row, k) => {
    const sum = row.reduce((a, b) => a + b, 0);
    return make("tr", {}, nameCell(names[k]), ...row.map((count, j) => {
      if (!count) return make("td", {}, "·");
      const color = `color-mix(in srgb, var(${j === k ? "--hit" : "--alarm"}) ${Math.round((70 * count) / sum)}%, transparent)`;
      return make("td", { style: `background:${color}`, title: `${names[k]}, found as ${names[j]}` }, String(count));
    }));
  });
  return make("table", { class: upright ? "matrix upright" : "matrix" }, caption(run), make("thead", {}, head), make("tbody", {}, ...body));
}

/** The classes that are most often taken for another. */
function mistakes(run) {
  const found = run.confusion.slice(0, -1).flatMap((row, k) => row.slice(0, -1).flatMap((count, j) => (count && j !== k
    ? [{ k, j, count, share: (100 * count) / row.reduce((a, b) => a + b) }] : [])));
  found.sort((a, b) => b.count - a.count || b.share - a.share);
  const head = make("tr", {}, ...["true", "found as", "objects", "in percent"].map((text) => make("th", { scope: "col" }, text)));
  const body = found.slice(0, FEW).map(({ k, j, count, share }) => make("tr", {}, nameCell(classes[k]),
    nameCell(classes[j]), make("td", {}, String(count)), make("td", {}, shown(share))));
  const none = make("tr", {}, make("td", { colspan: 4 }, "no class is taken for another"));
  return make("table", { class: "mistakes" }, caption(run, "most frequent; "), make("thead", {}, head),
    make("tbody", {}, ...(body.length ? body : [none])));
}

const caption = (run, text = "") => make("caption", {}, named(run, `${text}score from ${exact(run.threshold)}, IoU ${content.iou}`));

function confusions() {
  const kinds = [...(classes.length > FEW ? [["Confusions", mistakes]] : []), ...(classes.length > MANY ? [] : [["Confusion matrix", matrix]])];
  for (const [name, table] of kinds) {
    byId("matrices").append(...runs.map((run) => make("div", { class: "scroll", tabindex: "0", role: "region",
      "aria-label": named(run, name) }, table(run))));
  }
}
