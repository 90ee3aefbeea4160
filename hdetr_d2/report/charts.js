// Curves of the training, and of what lies above a score.

const COLORS = ["var(--accent)", "var(--miss)", "var(--hit)"];
const DASHES = ["", "6 4"]; // of the first and the second run
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [360, 224, 40, 12, 8, 38];
const SCORES = { xLabel: "score", xRange: [0, 1], top: 100 };

/** Round numbers from `low` to `high`. */
function steps(low, high) {
  const raw = (high - low) / 5 || 1;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((k) => k >= raw * (1 - 1e-9));
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(value);
  return found;
}

/** Lines over common axes: `series` are {name, points, color, dash}; `bars` are [x0, x1, y]; `xRange` is that of the points if it
 * is not given, and `top` the largest y. Returns a function that marks an x. */
function chart(title, series, { xLabel, xRange, top, bars = [] }) {
  const points = series.flatMap((each) => each.points);
  const xs = points.map((point) => point[0]);
  const [x0, x1] = xRange ?? [Math.min(...xs), Math.max(...xs)];
  const y1 = top ?? (Math.max(...points.map((point) => point[1])) * 1.05 || 1);
  const x = (value) => LEFT + (x1 > x0 ? (value - x0) / (x1 - x0) : 0.5) * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (value / y1) * (HEIGHT - TOP - BOTTOM);
  const last = series.map((each) => `${each.name} ends at ${shown(each.points.at(-1)[1])}`);
  const picture = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img",
    "aria-label": `${title}: ${last.join(", ")}` });
  const written = (value) => String(+value.toPrecision(6));
  for (const value of steps(0, y1)) {
    picture.append(draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
    picture.append(draw("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, written(value)));
  }
  for (const value of steps(x0, x1)) {
    picture.append(draw("text", { x: x(value), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, written(value)));
  }
  picture.append(draw("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 5, "text-anchor": "middle" }, xLabel));
  for (const [from, to, value] of bars) {
    picture.append(draw("rect", { class: "bar", x: x(from) + 1, width: x(to) - x(from) - 2, y: y(value), height: y(0) - y(value) }));
  }
  for (const { points: line, color, dash } of series) {
    const path = line.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ");
    picture.append(draw("polyline", { class: "line", points: path, style: `stroke:${color}`, "stroke-dasharray": dash }));
    if (line.length === 1) picture.append(draw("circle", { cx: x(line[0][0]), cy: y(line[0][1]), r: 3, style: `fill:${color}` }));
  }
  byId("charts").append(make("figure", {}, make("h3", {}, title), picture, keys(series)));
  const line = draw("line", { class: "now", y1: TOP, y2: HEIGHT - BOTTOM });
  return (value) => picture.append(filled(line, { x1: x(value), x2: x(value) }));
}

const keys = (series) => make("div", { class: "keys" }, ...series.map(({ name, color, dash }) => make("span", {},
  draw("svg", { viewBox: "0 0 22 8", "aria-hidden": "true" }, draw("line", { x1: 0, x2: 22, y1: 4, y2: 4,
    style: `stroke:${color};stroke-width:2`, "stroke-dasharray": dash })), name)));

function trainingCharts(title, names, labels, options) {
  const series = runs.flatMap((run, index) => names.flatMap((name, which) => (run.curves[name]
    ? [{ name: named(run, labels[which]), points: run.curves[name], color: COLORS[which], dash: DASHES[index] }] : [])));
  if (series.length) chart(title, series, { xLabel: "iteration", ...options });
}

/** Precision, recall and F1 above each score; returns what marks one. */
function scoreChart() {
  const share = (part, whole) => (whole ? (100 * part) / whole : null);
  const series = runs.flatMap((run, index) => {
    const rows = run.counts.map(([hits, alarms, misses], step) => [step / 100, share(hits, hits + alarms), share(hits, hits + misses),
      share(2 * hits, 2 * hits + alarms + misses)]);
    return ["precision", "recall", "F1"].map((name, k) => ({ name: named(run, name), color: COLORS[k], dash: DASHES[index],
      points: rows.filter((row) => row[k + 1] !== null).map((row) => [row[0], row[k + 1]]) }));
  }).filter((each) => each.points.length);
  return series.length ? chart("From a score on, in percent", series, SCORES) : () => {};
}

function calibrationChart(run) {
  const { counts, scores, precisions, error } = run.calibration;
  const used = counts.flatMap((count, k) => (count ? [k] : []));
  if (!used.length) return;
  const bars = used.map((k) => [k / counts.length, (k + 1) / counts.length, 100 * precisions[k]]);
  const lines = [
    { name: "as the score says", points: [[0, 0], [1, 100]], color: "var(--faint)", dash: "3 3" },
    { name: "right ones, in percent", points: used.map((k) => [scores[k], 100 * precisions[k]]), color: COLORS[0], dash: "" },
  ];
  chart(`Calibration${two ? ` of ${letter(run)}` : ""}, error ${shown(100 * error)}%`, lines, { ...SCORES, bars });
}

function charts() {
  trainingCharts("Loss", ["total_loss", "validation/total_loss"], ["training", "validation"]);
  for (const [task, what] of [["bbox", "boxes"], ["segm", "masks"]]) {
    trainingCharts(`AP of ${what}`, [`${task}/AP`, `${task}/AP50`], ["AP", "AP50"], { top: 100 });
  }
  const mark = scoreChart();
  runs.forEach(calibrationChart);
  return mark;
}
