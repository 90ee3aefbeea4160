// What a page is about, and how its elements and numbers are written.

const content = JSON.parse(document.getElementById("content").textContent);
const { runs, images, classes } = content;
const two = runs.length > 1;
const [HIT, IGNORED] = [1, 2];
const byId = (id) => document.getElementById(id);

/** An element with attributes and children; text is text, never markup. */
function filled(element, attributes = {}, ...children) {
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const make = (name, ...rest) => filled(document.createElement(name), ...rest);
const draw = (name, ...rest) => filled(document.createElementNS("http://www.w3.org/2000/svg", name), ...rest);

const letter = (run) => "AB"[runs.indexOf(run)];
/** Of two runs, which one it is of. */
const named = (run, text) => (two ? `${letter(run)}: ${text}` : text);
const shown = (value) => (value === null ? "–" : value.toFixed(1));
/** A score as it is used, with two digits or as many as it has. */
const exact = (score) => (score === null ? "–" : Number(score.toFixed(2)) === score ? score.toFixed(2) : String(score));
/** Never more than the score, so that what is written as 0.43 is there from 0.43 on. */
const cut = (score) => (Math.floor(score * 100 + 1e-9) / 100).toFixed(2);
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;
