"use strict";
const settings = JSON.parse(document.getElementById("settings").textContent);
const READ_MS = 250;  // nobody decides sooner: a key that is pressed twice answers for one photo only
const GRID = 12;
const letters = "qwertyadfhjk";  // of the photos in the grid; g, s, u and z have other meanings
const element = (id) => document.getElementById(id);
const made = (kind, properties) => Object.assign(document.createElement(kind), properties);
const preloaded = new Map();  // identity -> Image: the next photos, fetched before they are shown
const decided = new Set();  // until the server's next list comes without them
const marked = new Set();  // photos of the grid that the next answer is not for
let waiting = [];
let more = false;  // wait beyond those
let batch = [];  // identities of the photos that are shown: none is added while somebody looks at them
let readable = 0;  // when an answer can be given
let grid = false;
let asked = 0;  // questions for the waiting photos, counted
let answered = 0;  // the latest of them whose answer is shown
let skipped = 0;
let unreachable = false;
let last = Promise.resolve();  // decisions are carried out one after the other

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  };
  const response = await fetch(path, options);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function say(text) {
  element("message").textContent = text;
}

function inTurn(task) {
  last = last.then(task).catch((error) => say(error.message));
}

function counts(status) {
  if (status.labels.join() !== settings.labels.join()) location.reload();  // the stack has other labels now
  element("waiting").textContent = status.waiting;
  element("decided").textContent = status.decided;
  element("progress").max = Math.max(1, status.decided + status.waiting);
  element("progress").value = status.decided;
  element("undo").disabled = !status.answers.length;
  skipped = status.skipped;
  strip(status.answers);
}

function strip(answers) {
  const list = element("strip");
  const shown = [...list.children].map((item) => item.dataset.answer);
  element("answers").hidden = !answers.length;
  if (shown.join() === answers.map((one) => one.id + one.photos).join()) return;  // keeps the focus
  list.replaceChildren(...answers.map((one) => {
    const text = one.label === "" ? "cannot tell" : one.label === settings.neither ? "neither" : one.label;
    const several = one.photos > 1 ? ` × ${one.photos}` : "";
    const button = made("button", { type: "button", textContent: "undo" });
    button.setAttribute("aria-label", `undo ${text}${several}, ${one.key}`);
    button.addEventListener("click", () => undo(one.id));
    const image = made("img", { alt: "", src: `photos/${one.photo}` });
    image.addEventListener("error", () => image.remove());
    const item = made("li", { title: one.key });
    item.dataset.answer = one.id + one.photos;
    item.append(image, made("b", { textContent: text + several }), button);
    return item;
  }));
}

function picture(id) {
  if (!preloaded.has(id)) {
    const image = made("img", { alt: "the photo to decide on", src: `photos/${id}` });
    image.addEventListener("load", enable);
    image.addEventListener("error", () => { image.alt = "This photo cannot be shown here. Decide, or give it to somebody else."; enable(); });
    preloaded.set(id, image);
  }
  return preloaded.get(id);
}

function guess(photo) {
  if (photo.audit) return "audit: what does it show?";
  if (photo.kind === settings.neither) return `neither ${(100 * photo.neither).toFixed(0)} %`;
  const sure = photo.confidence === null ? "" : `${(100 * photo.confidence).toFixed(1)} %`;
  return `${photo.label || "no label"} ${sure}`;
}

function tile(photo, place) {
  const button = made("button", { type: "button", title: photo.key });
  button.dataset.photo = photo.id;
  button.dataset.key = letters[place];
  button.setAttribute("aria-pressed", marked.has(photo.id));
  button.setAttribute("aria-label", `exclude ${photo.key}, ${guess(photo)}`);
  const text = made("span", { textContent: guess(photo) });
  text.append(made("kbd", { textContent: letters[place] }));
  button.append(picture(photo.id), text);
  button.addEventListener("click", () => {
    if (!marked.delete(photo.id)) marked.add(photo.id);
    button.setAttribute("aria-pressed", marked.has(photo.id));
  });
  return button;
}

// The photos that the next answer may be for: those of the first one's kind, as long as one of them is open.
function chosen() {
  const open = waiting.filter((photo) => !decided.has(photo.id));
  const here = open.filter((photo) => batch.includes(photo.id));
  if (here.length) return here;
  const next = open.filter((photo) => photo.kind === open[0].kind).slice(0, grid ? GRID : 1);
  if (grid && more && decided.size && next.length < GRID) return [];  // more of them come when the answers are saved
  batch = next.map((photo) => photo.id);
  return next;
}

function none() {
  if (decided.size) return made("p", { textContent: `Saving your answers: ${decided.size} to go. Keys answer again once the next photos are here.` });
  const others = skipped ? ` ${skipped} that you could not tell ${skipped > 1 ? "wait" : "waits"} for somebody else; what nobody takes in two minutes comes back here.` : "";
  return made("p", { textContent: `No photo is waiting. New ones appear here by themselves.${others}` });
}

function show() {
  const photos = chosen();
  const frame = element("frame");
  const ids = photos.map((photo) => photo.id).join();
  if (!ids) frame.replaceChildren(none());
  else if (ids !== frame.dataset.shown) {  // else the focus stays
    readable = performance.now() + READ_MS;
    setTimeout(enable, READ_MS + 1);
    zoom(false);
    frame.replaceChildren(...(grid ? photos.map(tile) : [picture(photos[0].id)]));
  }
  frame.dataset.shown = ids;
  const [photo] = grid ? [] : photos;
  element("name").textContent = photo ? photo.key : "";
  element("guess").textContent = photo ? `${photo.audit ? "" : "the model: "}${guess(photo)}` : "";
  enable();
}

function enable() {
  const photos = chosen();
  const seen = photos.length && performance.now() >= readable && photos.every((photo) => picture(photo.id).complete);
  for (const button of document.querySelectorAll("[data-label]")) button.disabled = !seen;
  element("zoom").disabled = grid || !photos.length;
}

function update(status) {
  waiting = status.photos;
  more = status.waiting > waiting.length + status.skipped;
  const held = new Set(waiting.map((photo) => photo.id));
  for (const id of decided) if (!held.has(id)) decided.delete(id);
  for (const id of preloaded.keys()) if (!held.has(id)) preloaded.delete(id);
  for (const photo of waiting.slice(0, 2 * GRID)) picture(photo.id);
  counts(status);
  show();
}

async function refresh() {
  const turn = ++asked;
  const status = await ask(grid ? "waiting?grid" : "waiting");
  if (turn < answered) return;  // a later question was answered first, and that answer is shown
  answered = turn;
  update(status);
}

function decide(label) {
  const photos = chosen().filter((photo) => !marked.has(photo.id));
  const answer = crypto.randomUUID();
  for (const photo of photos) decided.add(photo.id);
  marked.clear();
  show();  // at once: the decisions are carried out meanwhile
  element("undo").disabled = false;
  say("");
  inTurn(async () => {
    const problems = [];  // of all the photos: a later photo's success hides no earlier one's failure
    for (const photo of photos) {
      try {
        const status = await ask("decide", { id: photo.id, label, answer });
        counts(status);
        if (status.problem) problems.push(status.problem);
      } catch (error) {
        decided.delete(photo.id);
        problems.push(`${photo.key} is not decided: ${error.message}`);
      }
      say(problems.join("\n"));
    }
    refresh().catch((error) => say(error.message));
  });
}

function undo(answer) {
  inTurn(async () => {
    const status = await ask(`undo?${new URLSearchParams({ answer })}`, {});
    answered = ++asked;  // older lists do not have the photos
    for (const id of status.undone) decided.delete(id);
    if (status.undone.length) batch = [];
    say(status.problem);
    update(status);  // the photos are shown again, before all others
  });
}

function zoom(on) {
  const frame = element("frame");
  frame.classList.toggle("zoomed", on);
  element("zoom").setAttribute("aria-pressed", on);
  if (!on) {
    frame.removeAttribute("tabindex");
    return;
  }
  frame.tabIndex = 0;  // the arrow keys scroll it
  frame.focus();
  frame.scrollTo((frame.scrollWidth - frame.clientWidth) / 2, (frame.scrollHeight - frame.clientHeight) / 2);
}

function toggleZoom() {
  if (!element("zoom").disabled) zoom(!element("frame").classList.contains("zoomed"));
}

for (const button of document.querySelectorAll("[data-label]")) button.addEventListener("click", () => decide(button.dataset.label));
element("undo").addEventListener("click", () => undo(""));
element("zoom").addEventListener("click", toggleZoom);
element("frame").addEventListener("click", (event) => { if (!grid && event.target.tagName === "IMG") toggleZoom(); });
element("help").addEventListener("click", () => element("keys").showModal());
element("mode").addEventListener("click", () => {
  grid = !grid;
  marked.clear();
  waiting = batch = [];
  answered = ++asked;  // the list before has fewer photos
  element("mode").setAttribute("aria-pressed", grid);
  element("frame").classList.toggle("grid", grid);
  element("caption").hidden = grid;
  element("hint").hidden = !grid;
  show();
  element("frame").replaceChildren(made("p", { textContent: "Asking for photos …" }));
  refresh().catch((error) => say(error.message));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || element("keys").open) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button && !button.disabled) {
    event.preventDefault();
    button.click();
  }
});

async function bound() {
  try {
    element("bound").textContent = (await ask("bound")).sentence;
  } catch (error) {
    element("bound").textContent = error.message;
  }
}

async function keepFresh() {
  try {
    await refresh();
    if (unreachable) say("");
    unreachable = false;
  } catch (error) {
    unreachable = true;
    say(`The desk does not answer (${error.message}). It is asked again by itself; what you see may be old.`);
  }
  setTimeout(keepFresh, 1500);
}
keepFresh();
bound();
setInterval(bound, 30000);
