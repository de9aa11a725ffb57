"use strict";
const settings = JSON.parse(document.getElementById("settings").textContent);
const element = (id) => document.getElementById(id);
const preloaded = new Map();  // identity -> Image: the next photos, fetched before they are shown
const decided = new Set();  // until the server's next list comes without them
let waiting = [];
let shown = null;
let busy = false;
let grid = false;
let asked = 0;  // questions for the waiting photos, counted
let answered = 0;  // the latest of them whose answer is shown
const marked = new Set();  // photos of the grid that the next answer is not for
const letters = "qwertyasdfhj";  // of the photos in the grid; u and g have other meanings

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

function counts(status) {
  if (status.labels.join() !== settings.labels.join()) location.reload();  // the stack has other labels now
  element("waiting").textContent = status.waiting;
  element("decided").textContent = status.decided;
  element("undo").disabled = !status.can_undo;
}

function picture(id) {
  if (!preloaded.has(id)) {
    const image = new Image();
    image.alt = "the photo to decide on";
    image.src = `photos/${id}`;
    preloaded.set(id, image);
  }
  return preloaded.get(id);
}

function guess(photo) {
  if (photo.audit) return "audit: what does it show?";
  const sure = photo.confidence === null || photo.confidence === undefined ? "" : `${(100 * photo.confidence).toFixed(1)} %`;
  return `${photo.label || "no label"} ${sure}`;
}

function tile(photo, place) {
  const button = Object.assign(document.createElement("button"), { type: "button", title: photo.key });
  button.dataset.photo = photo.id;
  button.dataset.key = letters[place];
  button.setAttribute("aria-pressed", marked.has(photo.id));
  button.setAttribute("aria-label", `exclude ${photo.key}, ${guess(photo)}`);
  const image = picture(photo.id);
  const text = Object.assign(document.createElement("span"), { textContent: guess(photo) });
  text.append(Object.assign(document.createElement("kbd"), { textContent: letters[place] }));
  button.append(image, text);
  button.addEventListener("click", () => {
    if (!marked.delete(photo.id)) marked.add(photo.id);
    button.setAttribute("aria-pressed", marked.has(photo.id));
  });
  return button;
}

function showGrid() {
  const open = waiting.filter((photo) => !decided.has(photo.id));
  for (const button of document.querySelectorAll("[data-label]")) button.disabled = open.length === 0;
  shown = null;
  const frame = element("frame");
  const there = [...frame.querySelectorAll("[data-photo]")].map((button) => button.dataset.photo);
  if (there.length && there.join() === open.map((photo) => photo.id).join()) return;  // keeps the focus
  if (open.length) frame.replaceChildren(...open.map(tile));
  else frame.replaceChildren(Object.assign(document.createElement("p"), { textContent: "No photo is waiting. New ones appear here by themselves." }));
}

function show() {
  if (grid) {
    showGrid();
    return;
  }
  const next = waiting.find((photo) => !decided.has(photo.id)) || null;
  for (const button of document.querySelectorAll("[data-label]")) button.disabled = next === null;
  if (next && shown && next.id === shown.id && element("frame").contains(picture(next.id))) return;
  shown = next;
  const frame = element("frame");
  if (!next) {
    frame.replaceChildren(Object.assign(document.createElement("p"), { textContent: "No photo is waiting. New ones appear here by themselves." }));
    element("name").textContent = "";
    element("guess").textContent = "";
    return;
  }
  const image = picture(next.id);
  image.onerror = () => say("This photo cannot be shown here; decide, or leave it to somebody else.");
  frame.replaceChildren(image);
  element("name").textContent = next.key;
  element("guess").textContent = next.audit ? guess(next) : `the model: ${guess(next)}`;
}

function update(status) {
  waiting = status.photos;
  const held = new Set(waiting.map((photo) => photo.id));
  for (const id of decided) if (!held.has(id)) decided.delete(id);
  for (const id of preloaded.keys()) if (!held.has(id)) preloaded.delete(id);
  for (const photo of waiting) picture(photo.id);
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

async function decide(label) {
  if (busy) return;
  const chosen = grid ? waiting.filter((photo) => !decided.has(photo.id) && !marked.has(photo.id)) : [shown].filter(Boolean);
  for (const photo of chosen) decided.add(photo.id);
  show();  // at once: the decisions are carried out meanwhile
  const problems = [];  // of all the photos chosen: a later photo's success hides no earlier one's failure
  say("");
  for (const photo of chosen) {
    try {
      const status = await ask("decide", { id: photo.id, label });
      counts(status);
      if (status.problem) problems.push(status.problem);
    } catch (error) {
      decided.delete(photo.id);
      problems.push(`${photo.key} is not decided: ${error.message}`);
    }
    say(problems.join("\n"));
  }
  await refresh().catch((error) => say(error.message));
}

async function undo() {
  if (busy) return;
  busy = true;
  try {
    const status = await ask("undo", {});
    answered = ++asked;  // older lists do not have the photo
    decided.delete(status.id);
    say(status.problem);
    update(status);  // the photo is shown again, before all others
  } catch (error) {
    say(error.message);
  } finally {
    busy = false;
  }
}

for (const button of document.querySelectorAll("[data-label]")) button.addEventListener("click", () => decide(button.dataset.label));
element("undo").addEventListener("click", undo);
element("mode").addEventListener("click", () => {
  grid = !grid;
  marked.clear();
  element("mode").setAttribute("aria-pressed", grid);
  element("frame").classList.toggle("grid", grid);
  element("caption").hidden = grid;
  element("hint").hidden = !grid;
  shown = null;
  show();
  refresh().catch((error) => say(error.message));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
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
  } catch (error) {
    say(`The desk does not answer: ${error.message}`);
  }
  setTimeout(keepFresh, 1500);
}
keepFresh();
bound();
setInterval(bound, 30000);
