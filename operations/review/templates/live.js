"use strict";
const EVERY_MS = 1500;
const byId = (name) => document.getElementById(name);
const ANSWER_MS = 15000;
let chosen = "", outcome = "", drawn = "", since = "";

const element = (kind, className, text) => {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
};

const clock = (time) => new Date(time).toLocaleTimeString();

const say = (text, news = false) => {
  byId("message").textContent = text;
  byId("message").classList.toggle("news", news);
};

async function ask(path, options) {
  const answer = await fetch(path, options || { signal: AbortSignal.timeout(ANSWER_MS) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

function row(photo) {
  const button = element("button", "", "");
  button.type = "button";
  button.dataset.id = `${photo.key}\n${photo.version}`;
  button.setAttribute("aria-pressed", String(button.dataset.id === chosen));
  const sure = photo.confidence === null ? "" : ` ${photo.confidence.toFixed(3)}`;
  const answer = photo.decided_by ? `${photo.label || "neither"}, by ${photo.decided_by}` : photo.label ? `${photo.label}${sure}` : photo.error || "";
  const picture = element("img", "", "");
  picture.alt = "";
  picture.loading = "lazy";
  picture.fetchPriority = "low";  // figures do not wait for thumbnails
  picture.src = `/live/photo?small&${new URLSearchParams({ key: photo.key, version: photo.version })}`;
  button.append(
    picture,
    element("span", `tag ${photo.outcome}`, photo.outcome),
    element("span", "key", photo.key.replace(/^incoming\//, "")),
    element("span", "answer", answer),
    element("time", "", clock(photo.recorded_at)),
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
  const shut = element("button", "close", "Close");
  shut.type = "button";
  shut.addEventListener("click", close);
  byId("trace").replaceChildren(shut, picture, element("b", "", photo.key), element("p", "", `${record.outcome} ${record.label || ""}`), reason, steps);
  byId("trace").classList.add("open");
}

function close() {
  const row = rows().find((one) => one.dataset.id === chosen);
  chosen = "";
  row?.setAttribute("aria-pressed", "false");
  byId("trace").classList.remove("open");
  byId("trace").replaceChildren(element("p", "soft", "Choose a photo to see its trace through the workflow."));
  row?.focus();
}

const rows = () => [...byId("latest").querySelectorAll("button")];

function node(step) {
  const item = element("li", step.stuck ? "node step stuck" : "node step", "");
  item.append(element("span", "", step.name));
  if (step.entered !== null) item.append(element("b", "", step.entered.toLocaleString()));
  if (step.stuck) item.append(element("span", "error", `${step.stuck} stuck since ${step.since ? clock(step.since) : "a while"}: ${step.error}`));
  return item;
}

function drawState(state) {
  for (const [name, count] of Object.entries(state.counts)) byId(name).textContent = count.toLocaleString();
  byId("running").textContent = state.running >= 1000 ? "1,000+" : state.running;
  byId("waiting").textContent = state.waiting;
  for (const old of byId("flow").querySelectorAll(".step")) old.remove();
  byId("ends").before(...state.steps.map(node));
  const focused = document.activeElement?.dataset?.id;
  byId("listed").textContent = outcome ? `Latest photos: ${outcome}` : "Latest photos";
  byId("latest").replaceChildren(...state.latest.map(row));
  if (!state.latest.length) byId("latest").append(element("li", "soft", "No photo in the last hour."));
  if (focused) rows().find((one) => one.dataset.id === focused)?.focus();
}

async function update() {
  const wanted = outcome;
  try {
    const state = await ask(`/live/state?outcome=${wanted}`);
    if (wanted !== outcome) return;
    const text = JSON.stringify([wanted, state]);
    if (text !== drawn) drawState(state);
    drawn = text;
    if (document.body.classList.contains("stale")) say("");
    document.body.classList.remove("stale");
    since = new Date();
  } catch (error) {
    document.body.classList.add("stale");
    say(`${since ? `Figures of ${clock(since)}; trying` : "Trying"} again: ${error.message}`);
  }
}

async function refresh() {
  await update();
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
byId("ends").addEventListener("click", (event) => {
  const name = event.target.closest("button")?.dataset.outcome;
  if (!name) return;
  outcome = outcome === name ? "" : name;
  for (const one of byId("ends").querySelectorAll("button")) one.setAttribute("aria-pressed", String(one.dataset.outcome === outcome));
  update();
});
addEventListener("keydown", (event) => { if (event.key === "Escape" && chosen) close(); });
addEventListener("dragover", (event) => { event.preventDefault(); main.classList.add("dropping"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) main.classList.remove("dropping"); });
addEventListener("drop", (event) => { event.preventDefault(); main.classList.remove("dropping"); send(event.dataTransfer.files); });
byId("files").addEventListener("change", (event) => { send(event.target.files); });
refresh();
