"use strict";
(() => {
  const content = JSON.parse(document.getElementById("content").textContent);
  const { runs, images, classes } = content;
  const two = runs.length > 1;
  const [HIT, IGNORED] = [1, 2];
  const STYLES = ["", "6 4"]; // of the lines of the first and the second run
  const byId = (id) => document.getElementById(id);

  /** An element with attributes and children; text is text, never markup. */
  function filled(element, attributes = {}, ...children) {
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }
  const make = (name, ...rest) => filled(document.createElement(name), ...rest);
  const draw = (name, ...rest) => filled(document.createElementNS("http://www.w3.org/2000/svg", name), ...rest);
  const shown = (value, digits = 1) => (value === null ? "–" : value.toFixed(digits));
  /** A score as it is used, with two digits or as many as it has. */
  const exact = (score) => (score === null ? "–" : Number(score.toFixed(2)) === score ? score.toFixed(2) : String(score));
  /** Never more than the score, so that what is written as 0.43 is there from 0.43 on. */
  const cut = (score) => (Math.floor(score * 100 + 1e-9) / 100).toFixed(2);
  const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

  // ---------------------------------------------------------------- charts

  const COLORS = ["var(--accent)", "var(--miss)", "var(--hit)", "var(--alarm)"];
  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [360, 210, 40, 10, 8, 24];

  /** Round numbers from `low` to `high`. */
  function steps(low, high) {
    const raw = (high - low) / 4 || 1;
    const unit = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((k) => k * unit).find((k) => k >= raw);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(value);
    return found;
  }

  /** Lines over a common axis: `series` are {name, points, color, dash}; `bars` are [x0, x1, y]. */
  function chart(title, series, { top = null, bars = [], marker = null } = {}) {
    const points = series.flatMap((each) => each.points);
    const xs = points.map((point) => point[0]);
    const ys = points.map((point) => point[1]);
    const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
    const y1 = top ?? (Math.max(...ys) * 1.05 || 1);
    const x = (value) => LEFT + ((value - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - (value / y1) * (HEIGHT - TOP - BOTTOM);
    const last = series.map((each) => `${each.name} ends at ${shown(each.points.at(-1)[1], 2)}`);
    const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img",
      "aria-label": `${title}: ${last.join(", ")}` });
    for (const value of steps(0, y1)) {
      picture.append(draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
      picture.append(draw("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, +value.toPrecision(3) + ""));
    }
    for (const value of steps(x0, x1)) {
      picture.append(draw("text", { x: x(value), y: HEIGHT - 8, "text-anchor": "middle" }, +value.toPrecision(3) + ""));
    }
    for (const [from, to, value] of bars) {
      picture.append(draw("rect", { class: "bar", x: x(from) + 1, width: x(to) - x(from) - 2, y: y(value),
        height: y(0) - y(value) }));
    }
    for (const { points: line, color, dash } of series) {
      const path = line.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ");
      picture.append(draw("polyline", { class: "line", points: path, style: `stroke:${color}`, "stroke-dasharray": dash }));
    }
    if (marker) picture.append(draw("line", { class: "now", y1: TOP, y2: HEIGHT - BOTTOM, "data-marker": "" }));
    const keys = make("div", { class: "keys" }, ...series.map(({ name, color, dash }) => make("span", {},
      draw("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" }, draw("line", { x1: 0, x2: 22, y1: 4, y2: 4,
        style: `stroke:${color};stroke-width:2`, "stroke-dasharray": dash })), name)));
    byId("charts").append(make("figure", {}, make("h3", {}, title), picture, keys));
    return (value) => {
      const line = picture.querySelector("[data-marker]");
      line.setAttribute("x1", x(value));
      line.setAttribute("x2", x(value));
    };
  }

  const named = (run, name) => (two ? `${run.name}: ${name}` : name);
  function curvesOf(title, names, labels, options) {
    const series = runs.flatMap((run, index) => names.flatMap((name, which) => run.curves[name]
      ? [{ name: named(run, labels[which]), points: run.curves[name], color: COLORS[which], dash: STYLES[index] }] : []));
    if (series.length) chart(title, series, options);
  }

  function charts() {
    curvesOf("Loss", ["total_loss", "validation/total_loss"], ["training", "validation"]);
    for (const [task, what] of [["bbox", "boxes"], ["segm", "masks"]]) {
      curvesOf(`AP of ${what}`, [`${task}/AP`, `${task}/AP50`], ["AP", "AP50"], { top: 100 });
    }
    const shares = runs.flatMap((run, index) => {
      const part = (a, b) => (b ? (100 * a) / b : null);
      const all = run.counts.map(([hits, alarms, misses], step) => [step / 100, part(hits, hits + alarms),
        part(hits, hits + misses), part(2 * hits, 2 * hits + alarms + misses)]);
      return ["precision", "recall", "F1"].map((name, k) => ({ name: named(run, name), color: COLORS[k], dash: STYLES[index],
        points: all.filter((row) => row[k + 1] !== null).map((row) => [row[0], row[k + 1]]) }));
    }).filter((each) => each.points.length);
    const mark = shares.length ? chart("Above a score", shares, { top: 100, marker: true }) : () => {};
    runs.forEach((run) => {
      const { counts, scores, precisions, error } = run.calibration;
      const bars = counts.flatMap((count, k) => (count ? [[k / counts.length, (k + 1) / counts.length, 100 * precisions[k]]] : []));
      const found = scores.flatMap((score, k) => (counts[k] ? [[score, 100 * precisions[k]]] : []));
      if (!found.length) return;
      const ideal = { name: "as the score says", points: [[0, 0], [1, 100]], color: "var(--faint)", dash: "3 3" };
      const title = `${named(run, "calibration")}, error ${shown(100 * error)}%`;
      chart(title, [ideal, { name: "right, of 100", points: found, color: COLORS[0], dash: "" }], { top: 100, bars });
    });
    return mark;
  }

  // ---------------------------------------------------------------- tables

  function classTable() {
    const table = byId("classes");
    const written = (key) => (key === "score from" ? exact : shown);
    const columns = two
      ? ["AP", "AP50", "AR", "score from", "F1"].flatMap((key) => [
        ...runs.map((run, index) => ({ label: `${key} ${"AB"[index]}`, value: (k) => run.rows[k][key], written: written(key) })),
        ...(key === "score from" ? [] : [{ label: "B − A", difference: true, written: shown,
          value: (k) => (runs[0].rows[k][key] === null || runs[1].rows[k][key] === null ? null : runs[1].rows[k][key] - runs[0].rows[k][key]) }]),
      ])
      : Object.keys(runs[0].rows[0]).slice(2).map((key) => ({ label: key, value: (k) => runs[0].rows[k][key], written: written(key) }));
    columns.unshift({ label: "objects", value: (k) => runs[0].rows[k].objects, written: String });
    const order = classes.map((_, k) => k);
    let [sorted, rising] = [-1, true];
    const head = make("tr", {}, make("th", { scope: "col" }, sortButton("class", -1)));
    columns.forEach((column, index) => head.append(make("th", { scope: "col" }, sortButton(column.label, index))));
    const body = make("tbody");
    table.append(make("thead", {}, head), body);

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
      const key = (k) => (sorted < 0 ? k : columns[sorted].value(k) ?? -Infinity);
      order.sort((a, b) => (rising ? 1 : -1) * (key(a) - key(b)) || a - b);
      [...head.children].forEach((cell, index) => {
        cell.setAttribute("aria-sort", index - 1 === sorted ? (rising ? "ascending" : "descending") : "none");
      });
      body.replaceChildren(...[...order, classes.length].map((k) => {
        const row = make("tr", k === classes.length ? { class: "all" } : {}, make("th", { scope: "row" }, classes[k] ?? "all"));
        for (const column of columns) {
          const value = column.value(k);
          const sign = column.difference && value ? (value > 0 ? "better" : "worse") : "";
          row.append(make("td", { class: sign }, (sign === "better" ? "+" : "") + column.written(value)));
        }
        return row;
      }));
    }
    fill();
  }

  function matrices() {
    const names = [...classes, "nothing"];
    for (const run of runs) {
      const head = make("tr", {}, make("th", { scope: "col" }, "true \\ found"), ...names.map((name) => make("th", { scope: "col" }, name)));
      const body = run.confusion.map((row, k) => {
        const sum = row.reduce((a, b) => a + b, 0);
        return make("tr", {}, make("th", { scope: "row" }, names[k]), ...row.map((count, j) => {
          const share = sum ? Math.round((70 * count) / sum) : 0;
          const color = j === k ? "--hit" : "--alarm";
          return make("td", { style: `background:color-mix(in srgb, var(${color}) ${share}%, transparent)` }, count ? String(count) : "·");
        }));
      });
      const caption = make("caption", {}, named(run, `score from ${exact(run.threshold)}, IoU ${content.iou}`));
      const table = make("table", { class: "matrix" }, caption, make("thead", {}, head), make("tbody", {}, ...body));
      byId("matrices").append(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Confusion matrix ${run.name}` }, table));
    }
  }

  // ---------------------------------------------------------------- what is in a picture

  const state = { threshold: 0.5, show: "errors", label: -1, list: [], open: -1 };

  /** Detections of a run above the threshold, and objects with whether they are found. */
  function look(image, run) {
    const wanted = (label) => state.label < 0 || label === state.label;
    const found = image.found[run].filter((each) => each[5] >= state.threshold);
    const taken = new Set(found.filter((each) => each[6] === HIT).map((each) => each[7]));
    const objects = image.objects.map((each, index) => ({ box: each, label: each[4],
      kind: each[5] ? "crowd" : taken.has(index) ? "true" : "miss" })).filter((each) => wanted(each.label));
    const detections = found.map((each) => ({ box: each, label: each[4], score: each[5],
      kind: each[6] === HIT ? "hit" : each[6] === IGNORED ? "crowd" : "alarm" })).filter((each) => wanted(each.label));
    const count = (list, kind) => list.filter((each) => each.kind === kind).length;
    return { objects, detections, hits: count(detections, "hit"), alarms: count(detections, "alarm"), misses: count(objects, "miss") };
  }

  function overlay(image, seen, { objects = true, detections = true } = {}) {
    const [width, height] = image.size;
    const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const all = [...(objects ? seen.objects : []), ...(detections ? seen.detections : [])];
    for (const { box: [x, y, w, h], kind } of all) picture.append(draw("rect", { class: `box ${kind}`, x, y, width: w, height: h }));
    return picture;
  }

  const source = (index) => "data:image/jpeg;base64," + byId(`picture-${index}`).textContent;
  const words = (seen) => [plural(seen.misses, "miss", "misses"), plural(seen.alarms, "false alarm", "false alarms"),
    `${seen.hits} right`].join(", ");

  // ---------------------------------------------------------------- gallery

  const gallery = byId("gallery");
  const cards = images.map((image, index) => {
    const picture = make("span", { class: "picture" });
    const [width, height] = image.size;
    picture.style.cssText = `aspect-ratio:${width}/${height};${width > height * 1.1 ? "width:100%;max-height:100%" : "height:100%;max-width:100%"}`;
    const what = make("span", { class: "what" });
    const button = make("button", { type: "button" }, make("span", { class: "thumb" }, picture), make("span", { class: "name" }, image.name), what);
    button.addEventListener("click", () => open(state.list.indexOf(index)));
    return { item: make("li", {}, button), picture, what, button, visible: false, index };
  });
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const card = cards[Number(target.dataset.index)];
      card.visible = isIntersecting;
      paint(card);
    }
  }, { rootMargin: "300px" });
  cards.forEach((card) => { card.item.dataset.index = card.index; });

  /** Only what is near the window has a picture, so that a thousand do not fill the memory. */
  function paint(card) {
    if (!card.visible) return card.picture.replaceChildren();
    const image = images[card.index];
    const picture = card.picture.querySelector("img") ?? make("img", { alt: "", decoding: "async", src: source(card.index) });
    card.picture.replaceChildren(picture, ...runs.slice(0, 1).map((_, run) => overlay(image, look(image, run))));
  }

  function refresh() {
    const ranked = images.map((image, index) => {
      const seen = runs.map((_, run) => look(image, run));
      const errors = seen.map(({ misses, alarms }) => (state.show === "misses" ? misses : state.show === "alarms" ? alarms : misses + alarms));
      return { index, seen, most: Math.max(...errors), apart: Math.max(...errors) - Math.min(...errors) };
    });
    for (const { index, seen } of ranked) {
      const text = two ? seen.map((each, run) => `${"AB"[run]}: ${each.misses} missed, ${each.alarms} false`).join(" · ") : words(seen[0]);
      cards[index].what.textContent = text;
      cards[index].button.setAttribute("aria-label", `${images[index].name}: ${text}. Open`);
    }
    const kept = ranked.filter(({ most }) => state.show === "all" || most > 0);
    kept.sort((a, b) => b.apart - a.apart || b.most - a.most || a.index - b.index);
    const list = kept.map(({ index }) => index);
    if (list.join() !== state.list.join()) gallery.replaceChildren(...list.map((index) => cards[index].item));
    state.list = list;
    cards.filter((card) => card.visible).forEach(paint);
    byId("counts").replaceChildren(...runs.flatMap((run, k) => {
      const sum = (key) => ranked.reduce((total, { seen }) => total + seen[k][key], 0);
      const seen = { hits: sum("hits"), misses: sum("misses"), alarms: sum("alarms") };
      return [make("span", {}, `${named(run, words(seen))} in ${plural(images.length, "picture", "pictures")}, ${list.length} shown.`), make("br")];
    }));
  }

  // ---------------------------------------------------------------- thresholds

  const sliders = ["threshold", "viewer-threshold"].map(byId);
  let mark = () => {};
  let waiting = 0;
  function setThreshold(value) {
    state.threshold = value;
    for (const slider of sliders) {
      slider.value = value; // the nearest step; the text is what counts
      byId(`${slider.id}-value`).textContent = exact(value);
      slider.setAttribute("aria-valuetext", `scores from ${exact(value)}`);
    }
    mark(value);
    cancelAnimationFrame(waiting); // many events of a drag, one picture
    waiting = requestAnimationFrame(() => { refresh(); view(); });
  }

  // ---------------------------------------------------------------- one picture, large

  const viewer = byId("viewer");
  const toggles = ["with-objects", "with-found", "with-names"].map(byId);
  function open(place) {
    state.open = state.list[place] ?? -1;
    if (state.open < 0) return;
    if (!viewer.open) viewer.showModal();
    view();
  }
  function move(step) {
    const place = state.list.indexOf(state.open);
    open(place < 0 ? 0 : (place + step + state.list.length) % state.list.length);
  }
  function view() {
    if (!viewer.open) return;
    const image = images[state.open];
    const place = state.list.indexOf(state.open);
    byId("viewer-title").textContent = image.name + (place < 0 ? "" : ` (${place + 1} of ${state.list.length})`);
    const [objects, detections, names] = toggles.map((toggle) => toggle.checked);
    byId("views").replaceChildren(...runs.map((run, k) => {
      const seen = look(image, k);
      const [width, height] = image.size;
      const alt = `${image.name}: ${words(seen)}`;
      const picture = make("span", { class: "picture" }, make("img", { alt, src: source(state.open) }), overlay(image, seen, { objects, detections }));
      picture.style.cssText = `aspect-ratio:${width}/${height};width:min(100%, ${((72 * width) / height).toFixed(2)}vh)`;
      if (names) picture.append(...tags(image, seen, objects, detections));
      return make("div", { class: "view" }, make("p", { role: "status" }, named(run, words(seen))), picture);
    }));
  }
  function tags(image, seen, objects, detections) {
    const [width, height] = image.size;
    const written = [...(objects ? seen.objects.filter((each) => each.kind !== "true" || !detections) : []), ...(detections ? seen.detections : [])];
    return written.map(({ box: [x, y], label, score, kind }) => {
      const tag = make("span", { class: `tag ${kind}${y < height / 20 ? " inside" : ""}` }, classes[label] + (score === undefined ? "" : ` ${cut(score)}`));
      tag.style.left = `${(100 * Math.max(0, x)) / width}%`;
      tag.style.top = `${(100 * Math.max(0, y)) / height}%`;
      return tag;
    });
  }

  // ---------------------------------------------------------------- the page

  byId("title").textContent = content.title;
  byId("summary").textContent = `${plural(content.total, "image", "images")}, ${runs[0].rows.at(-1).objects} objects; ` +
    runs.map((run, k) => `${two ? `${"AB"[k]} = ${run.name}: ` : ""}AP ${shown(run.rows.at(-1).AP)}, best F1 ${shown(run.rows.at(-1).F1)}`).join("; ") +
    `. Below are the ${images.length} pictures with the most to look at.`;
  classes.forEach((name, k) => byId("class").append(make("option", { value: k }, name)));
  mark = charts();
  classTable();
  matrices();
  for (const slider of sliders) {
    slider.min = content.least;
    slider.addEventListener("input", () => setThreshold(Number(slider.value)));
  }
  byId("show").addEventListener("change", (event) => { state.show = event.target.value; refresh(); });
  byId("class").addEventListener("change", (event) => { state.label = Number(event.target.value); refresh(); });
  toggles.forEach((toggle) => toggle.addEventListener("change", view));
  byId("previous").addEventListener("click", () => move(-1));
  byId("next").addEventListener("click", () => move(1));
  byId("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("close", () => { cards[state.open]?.button.focus(); state.open = -1; });
  document.addEventListener("keydown", (event) => {
    if (!viewer.open || event.target.type === "range") return;
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      event.preventDefault();
      move(event.key === "ArrowRight" ? 1 : -1);
    }
  });
  cards.forEach((card) => watcher.observe(card.item));
  setThreshold(runs[0].threshold);
})();
