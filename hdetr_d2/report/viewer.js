// One picture, large.

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
    const boxes = [...(objects ? seen.objects : []), ...(detections ? seen.detections : [])];
    const picture = make("span", { class: "picture" }, make("img", { alt: `${image.name}: ${words(seen)}`, src: source(state.open) }),
      overlay(image, boxes));
    picture.style.cssText = `aspect-ratio:${width}/${height};width:min(100%, ${((72 * width) / height).toFixed(2)}vh)`;
    if (names) picture.append(...tags(image, boxes.filter(({ kind }) => kind !== "true" || !detections)));
    return make("div", { class: "view" }, make("p", { role: "status" }, named(run, words(seen))), picture);
  }));
}

/** Names at the corners of boxes, on the side of the picture that has room. */
function tags(image, boxes) {
  const [width, height] = image.size;
  return boxes.map(({ box: [x, y, w], label, score, kind }) => {
    const tag = make("span", { class: `tag ${kind}${y < height / 20 ? " inside" : ""}` }, classes[label] + (score === undefined ? "" : ` ${cut(score)}`));
    const fromLeft = x <= 0.6 * width;
    const share = (100 * (fromLeft ? Math.max(0, x) : Math.max(0, width - x - w))) / width;
    tag.style[fromLeft ? "left" : "right"] = `${share}%`;
    tag.style.maxWidth = `${100 - share}%`;
    tag.style.top = `${(100 * Math.max(0, y)) / height}%`;
    return tag;
  });
}

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
