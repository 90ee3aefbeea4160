// What is in a picture, and the gallery of all.

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

function overlay(image, boxes) {
  const [width, height] = image.size;
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ...boxes.map(({ box: [x, y, w, h], kind }) => draw("rect", { class: `box ${kind}`, x, y, width: w, height: h })));
}

const source = (index) => "data:image/jpeg;base64," + byId(`picture-${index}`).textContent;
const words = (seen) => [plural(seen.misses, "miss", "misses"), plural(seen.alarms, "false alarm", "false alarms"),
  `${seen.hits} right`].join(", ");

const cards = images.map((image, index) => {
  const picture = make("span", { class: "picture" });
  const [width, height] = image.size;
  picture.style.cssText = `aspect-ratio:${width}/${height};${width > height * 1.1 ? "width:100%;max-height:100%" : "height:100%;max-width:100%"}`;
  const what = make("span", { class: "what" });
  const name = make("span", { class: "name", title: image.name }, image.name.split("/").at(-1));
  const button = make("button", { type: "button" }, make("span", { class: "thumb" }, picture), name, what);
  button.addEventListener("click", () => open(state.list.indexOf(index)));
  return { item: make("li", { "data-index": index }, button), picture, what, button, visible: false, index };
});
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const card = cards[Number(target.dataset.index)];
    card.visible = isIntersecting;
    paint(card);
  }
}, { rootMargin: "300px" });

/** Only what is near the window has a picture, so that a thousand do not fill the memory. Boxes are those of the first run. */
function paint(card) {
  if (!card.visible) return card.picture.replaceChildren();
  const image = images[card.index];
  const picture = card.picture.querySelector("img") ?? make("img", { alt: "", decoding: "async", src: source(card.index) });
  const { objects, detections } = look(image, 0);
  card.picture.replaceChildren(picture, overlay(image, [...objects, ...detections]));
}

function refresh() {
  const ranked = images.map((image, index) => {
    const seen = runs.map((_, run) => look(image, run));
    const errors = seen.map(({ misses, alarms }) => (state.show === "misses" ? misses : state.show === "alarms" ? alarms : misses + alarms));
    return { index, seen, most: Math.max(...errors), apart: Math.max(...errors) - Math.min(...errors) };
  });
  for (const { index, seen } of ranked) {
    const lines = seen.map((each, run) => named(runs[run], words(each)));
    cards[index].what.replaceChildren(...lines.map((line) => make("span", {}, line)));
    cards[index].button.setAttribute("aria-label", `${images[index].name}. ${lines.join(". ")}. Open`);
  }
  const kept = ranked.filter(({ most }) => state.show === "all" || most > 0);
  kept.sort((a, b) => b.apart - a.apart || b.most - a.most || a.index - b.index);
  const list = kept.map(({ index }) => index);
  if (list.join() !== state.list.join()) byId("gallery").replaceChildren(...list.map((index) => cards[index].item));
  state.list = list;
  byId("none").hidden = list.length > 0;
  cards.filter((card) => card.visible).forEach(paint);
  byId("counts").replaceChildren(...runs.map((run, k) => {
    const sum = (key) => ranked.reduce((total, { seen }) => total + seen[k][key], 0);
    const seen = { hits: sum("hits"), misses: sum("misses"), alarms: sum("alarms") };
    return make("span", {}, `${named(run, words(seen))} in ${plural(images.length, "picture", "pictures")}, ${list.length} shown.`);
  }));
}
