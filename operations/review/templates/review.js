"use strict";
const settings = JSON.parse(document.getElementById("settings").textContent);
const element = (id) => document.getElementById(id);
const preloaded = new Map();  // identity -> Image: the next photos, fetched before they are shown
const decided = new Set();  // until the server's next list comes without them
let waiting = [];
let shown = null;
let busy = false;

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", body: JSON.stringify(body), headers: { [settings.header]: settings.token, "Content-Type": "application/json" },
  };
  const response = await fetch(path, options);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function say(text) {
  element("message").textContent = text;
}

function counts(status) {
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

function show() {
  const next = waiting.find((photo) => !decided.has(photo.id)) || null;
  for (const button of document.querySelectorAll("[data-label]")) button.disabled = next === null;
  if (next && shown && next.id === shown.id) return;
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
  const sure = next.confidence === null || next.confidence === undefined ? "" : `${(100 * next.confidence).toFixed(1)} %`;
  element("guess").textContent = next.audit ? "audit: what does it show?" : `the model: ${next.label || "no label"} ${sure}`;
}

async function refresh() {
  const status = await ask("waiting");
  waiting = status.photos;
  const held = new Set(waiting.map((photo) => photo.id));
  for (const id of decided) if (!held.has(id)) decided.delete(id);
  for (const id of preloaded.keys()) if (!held.has(id)) preloaded.delete(id);
  for (const photo of waiting) picture(photo.id);
  counts(status);
  show();
}

async function decide(label) {
  if (!shown || busy) return;
  const photo = shown;
  decided.add(photo.id);
  show();  // at once: the decision is carried out meanwhile
  try {
    const status = await ask("decide", { id: photo.id, label });
    counts(status);
    say(status.problem);
  } catch (error) {
    decided.delete(photo.id);
    say(`${photo.key} is not decided: ${error.message}`);
  }
  await refresh().catch((error) => say(error.message));
}

async function undo() {
  if (busy) return;
  busy = true;
  try {
    const status = await ask("undo", {});
    if (status.id) decided.delete(status.id);
    say(status.problem);
    await refresh();
  } catch (error) {
    say(error.message);
  } finally {
    busy = false;
  }
}

for (const button of document.querySelectorAll("[data-label]")) button.addEventListener("click", () => decide(button.dataset.label));
element("undo").addEventListener("click", undo);
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
