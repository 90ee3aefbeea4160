// The page from its parts, and the threshold that moves them.

byId("title").textContent = content.title;
const { objects: many } = runs[0].rows.at(-1);
const sums = runs.map((run) => {
  const { AP, F1 } = run.rows.at(-1);
  return `${two ? `${letter(run)} is ${run.name}, with ` : ""}AP ${shown(AP)}, best F1 ${shown(F1)}`;
});
byId("summary").textContent = [`${plural(content.total, "image", "images")} with ${plural(many, "object", "objects")}`, ...sums].join("; ") + ".";
byId("which").textContent = `${images.length === content.total ? "All images" : `${images.length} of ${content.total} images`}, those first `
  + (two ? "on which both differ most. Small pictures have the boxes of A; opened, those of both." : "with the most misses and false alarms.");
classes.forEach((name, k) => byId("class").append(make("option", { value: k }, name)));
const mark = charts();
classTable();
confusions();

const sliders = ["threshold", "viewer-threshold"].map(byId);
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

for (const slider of sliders) {
  slider.min = content.least;
  slider.addEventListener("input", () => setThreshold(Number(slider.value)));
}
byId("show").addEventListener("change", (event) => { state.show = event.target.value; refresh(); });
byId("class").addEventListener("change", (event) => { state.label = Number(event.target.value); refresh(); });
cards.forEach((card) => watcher.observe(card.item));
setThreshold(runs[0].threshold);
