"use strict";
const EVERY_MS = 1500;
const byId = (name) => document.getElementById(name);
let chosen = "";

const element = (kind, className, text) => {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
};

const say = (text, news = false) => {
  byId("message").textContent = text;
  byId("message").classList.toggle("news", news);
};

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function row(photo) {
  const button = element("button", "", "");
  button.type = "button";
  button.dataset.id = `${photo.key}\n${photo.version}`;
  button.setAttribute("aria-pressed", String(button.dataset.id === chosen));
  const sure = photo.confidence === null ? "" : ` ${photo.confidence.toFixed(3)}`;
  const said = photo.label ? `${photo.label}${sure}` : photo.error || "";
  button.append(
    element("span", `tag ${photo.outcome}`, photo.outcome),
    element("span", "key", photo.key.replace(/^incoming\//, "")),
    element("span", "", photo.decided_by ? `${said} (${photo.decided_by})` : said),
    element("time", "", new Date(photo.recorded_at).toLocaleTimeString()),
  );
  button.addEventListener("click", () => show(photo, button.dataset.id));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

async function show(photo, id) {
  chosen = id;
  for (const button of byId("latest").querySelectorAll("button"))
    button.setAttribute("aria-pressed", String(button.dataset.id === id));
  const query = new URLSearchParams({ key: photo.key, version: photo.version });
  try {
    const trace = await ask(`/live/trace?${query}`);
    if (chosen === id) draw(photo, trace, query);
  } catch (error) { say(error.message); }
}

function draw(photo, trace, query) {
  const picture = document.createElement("img");
  picture.src = `/live/photo?${query}`;
  picture.alt = `the photo ${photo.key}`;
  picture.addEventListener("error", () => picture.remove());
  const steps = document.createElement("ol");
  for (const step of trace.steps) {
    const tries = step.attempts > 1 ? `, ${step.attempts} attempts` : "";
    const item = element("li", "", `${step.name} ${step.seconds ? `${step.seconds.toFixed(2)} s` : ""}${tries}`);
    if (step.error) item.append(element("span", "error", ` ${step.error}`));
    steps.append(item);
  }
  const record = trace.record;
  const reason = record.cause ? element("p", "", record.cause) : "";
  byId("trace").replaceChildren(picture, element("b", "", photo.key), element("p", "", `${record.outcome} ${record.label || ""}`), reason, steps);
}

async function refresh() {
  try {
    const state = await ask("/live/state");
    for (const [name, count] of Object.entries({ ...state.counts, ...state.states })) byId(name).textContent = count.toLocaleString();
    byId("running").textContent = state.running >= 100 ? "100+" : state.running;
    byId("waiting").textContent = state.waiting;
    const focused = document.activeElement?.dataset?.id;
    byId("latest").replaceChildren(...state.latest.map(row));
    if (focused) [...byId("latest").querySelectorAll("button")].find((one) => one.dataset.id === focused)?.focus();
  } catch (error) { say(error.message); }
  setTimeout(refresh, EVERY_MS);
}

async function send(files) {
  const problems = [];
  for (const file of files) {
    say([...problems, `sending ${file.name} …`].join("\n"), !problems.length);
    try {
      const query = new URLSearchParams({ name: file.name });
      const sent = await ask(`/live/drop?${query}`, { method: "POST", body: file });
      say([...problems, `${sent.key} is on its way`].join("\n"), !problems.length);
    } catch (error) {
      problems.push(`${file.name}: ${error.message}`);
      say(problems.join("\n"));
    }
  }
}

const main = byId("drop");
addEventListener("dragover", (event) => { event.preventDefault(); main.classList.add("dropping"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) main.classList.remove("dropping"); });
addEventListener("drop", (event) => { event.preventDefault(); main.classList.remove("dropping"); send(event.dataTransfer.files); });
byId("files").addEventListener("change", (event) => { send(event.target.files); });
refresh();
