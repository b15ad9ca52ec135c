// The phone's agent: says hello, then takes one request after the other and hands it to a web worker.
//
//   hello ─ turn ─ turn ─ turn ─ ...      each turn brings the answer of the last request and waits for the next one
//         └ stay ─ stay ─ ...             kept open by the host: as long as one is, this page is there
//
// A turn that does not get through is repeated until it does; the host knows requests and answers by their number.
"use strict";

const RETRY_MS = [300, 1000, 2000, 5000];
// Where another page is in charge: when to ask again whether it still is.
const KNOCK_MS = [5000, 5000, 5000, 5000, 30000];

const token = keep("token", () => new URLSearchParams(location.hash.slice(1)).get("t") || "");
const client = keep("client", randomId);
const page = randomId();
const epoch_ms = Number(keep("epoch_ms", () => performance.timeOrigin));
const workers = new Map();
let sawHidden = false;
let screenLock = null;
let facts = null;
let threads = null; // as many as the target asks for, once that is known
let isOver = false;
let staying = new AbortController();
let shown = "";

// sessionStorage lives as long as the tab: a reload, which iOS does by itself, finds everything again.
function keep(name, make) {
  const stored = sessionStorage.getItem(name);
  const fresh = name === "token" && location.hash ? make() : stored;
  const value = fresh || make();
  sessionStorage.setItem(name, value);
  return value;
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function main() {
  history.replaceState(null, "", location.pathname); // the token is neither shown nor shared
  const problem = whyNot();
  if (problem) return say("bad", "This browser cannot measure", problem);
  if (!token) return say("bad", "No code", "Scan the code that edgebench shows in the terminal.");
  await holdScreen();
  const looker = new WebWorker();
  facts = await gatherFacts(await looker.ask({ id: 0, do: "look" }));
  looker.close();
  showOffers();
  for (let knocks = 0; ; ) {
    try {
      await serve();
    } catch (refusal) {
      if (!(refusal instanceof HostRefused)) throw refusal;
      if (refusal.code === 404) continue;
      say("bad", refusal.title, refusal.remedy);
      if (refusal.code !== 409) return;
      await slept(KNOCK_MS[Math.min(knocks++, KNOCK_MS.length - 1)]);
      await visible();
    }
  }
}

// From hello until the host no longer knows this page: the host was restarted, or another page is in charge.
async function serve() {
  const hello = await post("/api/hello", { client, page, facts });
  document.getElementById("target").textContent = hello.target;
  threads = hello.threads;
  showOffers();
  shown = "";
  show(hello.show);
  const service = { ended: false };
  stay(service);
  try {
    for (let answer = null; ; ) {
      const turn = await said(answer);
      for (const worker of turn.close) closeWorker(worker);
      if (show(turn.show)) await painted();
      answer = turn.request ? await perform(turn.request) : null;
    }
  } finally {
    service.ended = true;
    staying.abort();
    for (const number of [...workers.keys()]) closeWorker(number);
  }
}

// An answer that is too long for the host is a failure of the artifact, which the host has to hear about.
async function said(answer) {
  try {
    return await post("/api/turn", { client, page, answer });
  } catch (refusal) {
    if (!answer || ![400, 413].includes(refusal.code)) throw refusal;
    const failed = { id: answer.id, error: `the answer is too long. ${refusal.remedy}` };
    return await post("/api/turn", { client, page, answer: failed });
  }
}

// Sent again when the page is hidden or shown.
async function stay(service) {
  for (let attempt = 0; !service.ended; attempt++) {
    const { signal } = (staying = new AbortController());
    const hidden = document.visibilityState === "hidden";
    const answer = await fetch("/api/stay", { ...message({ client, page, hidden }), signal }).catch(() => null);
    if ((answer && answer.ok) || signal.aborted) attempt = -1;
    else await slept(RETRY_MS[Math.min(attempt, 2)]);
  }
}

// ------------------------------------------------------------------ requests

async function perform(request) {
  await visible();
  sawHidden = false;
  if (!workers.has(request.worker)) workers.set(request.worker, new WebWorker());
  const answer = await workers.get(request.worker).ask({ ...request, epoch_ms });
  return sawHidden ? { ...answer, interrupted: "the page was hidden" } : answer;
}

class WebWorker {
  constructor() {
    this.worker = new Worker("/worker.js");
    this.worker.onmessage = ({ data }) => this.answered(data);
    this.worker.onerror = (event) => this.answered({ error: event.message || "the web worker did not start" });
    this.worker.postMessage({ do: "token", token });
  }

  ask(request) {
    return new Promise((resolve) => {
      this.answered = (answer) => {
        if (answer.id === undefined && !answer.error) return; // the answer to the token
        resolve({ ...answer, id: request.id });
      };
      this.worker.postMessage(request);
    }).then((answer) => (request.do === "look" ? answer.ok : answer));
  }

  answered() {}

  close() {
    this.worker.terminate();
  }
}

function closeWorker(number) {
  const worker = workers.get(number);
  if (worker) worker.close();
  workers.delete(number);
}

// ------------------------------------------------------------------ the host

class HostRefused extends Error {
  constructor(code, title, remedy) {
    super(title);
    Object.assign(this, { code, title, remedy });
  }
}

async function post(path, body) {
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await fetch(path, message(body));
      const content = await answer.json();
      if (answer.ok) return content;
      if (answer.status < 500) throw new HostRefused(answer.status, content.title, content.remedy);
    } catch (error) {
      if (error instanceof HostRefused) throw error;
    }
    if (isOver) {
      setText(document.getElementById("detail"), "The computer has disconnected. You can leave this page open for next time.");
    } else if (attempt > 0) {
      shown = "";
      say("warn", "No connection to the computer", "It continues by itself when edgebench answers again.");
    }
    await slept(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]);
  }
}

function slept(milliseconds) {
  return new Promise((wake) => setTimeout(wake, milliseconds));
}

// So that the host does not wait for a page that was closed. After a reload the page says hello again.
addEventListener("pagehide", () => {
  if (facts) fetch("/api/leave", { ...message({ client, page }), keepalive: true }).catch(() => {});
});

function message(body) {
  return {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: "Bearer " + token },
    body: JSON.stringify(body),
  };
}

// ------------------------------------------------------------------ the screen

document.addEventListener("visibilitychange", () => {
  staying.abort();
  if (document.visibilityState === "hidden") sawHidden = true;
  else holdScreen().then(showOffers);
});

function visible() {
  if (document.visibilityState !== "hidden") return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", () => visible().then(resolve), { once: true });
  });
}

async function holdScreen() {
  try {
    screenLock = await navigator.wakeLock.request("screen");
  } catch {
    screenLock = null; // plain http, or low battery; the list shows it
  }
}

// Changes on the page are drawn before anything is measured. A page in the background draws nothing.
function painted() {
  const drawn = new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  return Promise.race([drawn, new Promise((resolve) => setTimeout(resolve, 100))]);
}

function say(level, headline, detail) {
  document.getElementById("status").className = level;
  setText(document.getElementById("headline"), headline);
  setText(document.getElementById("detail"), detail);
}

// Whether anything changed on the page.
function show(wanted) {
  const text = JSON.stringify(wanted);
  if (text === shown) return false;
  shown = text;
  const { level, headline, detail, over, artifacts } = wanted;
  isOver = over;
  say(level, headline, detail);
  document.getElementById("work").hidden = artifacts.length === 0;
  setText(document.getElementById("meaning"), over ? "Median of one inference." : "Median of one inference so far.");
  const list = document.getElementById("artifacts");
  while (list.children.length > artifacts.length) list.lastChild.remove();
  artifacts.forEach((artifact, index) => {
    if (!list.children[index]) list.append(row("label", "value", "note"));
    showArtifact(list.children[index], artifact);
  });
  return true;
}

function showArtifact(item, { name, value, note, failed, share }) {
  const [label, number, remark] = item.children;
  setText(label, name);
  setText(number, value);
  setText(remark, note);
  remark.className = failed ? "note bad" : "note";
  let bar = item.querySelector("progress");
  if (share === null) {
    if (bar) bar.remove();
    return;
  }
  if (!bar) {
    bar = document.createElement("progress");
    bar.max = 1;
    item.append(bar);
  }
  if (bar.value !== share) bar.value = share;
}

function showOffers() {
  if (!facts) return;
  const items = offers(facts, threads, screenLock !== null && !screenLock.released).map(([there, what, note]) => {
    const item = row("mark", "label", "note");
    item.className = there ? "" : "missing";
    [there ? "✓" : "–", what, note].forEach((text, index) => setText(item.children[index], text));
    if (!note) item.lastChild.remove();
    return item;
  });
  document.getElementById("offers").replaceChildren(...items);
  document.getElementById("browser").hidden = false;
}

function row(...classes) {
  const item = document.createElement("li");
  for (const name of classes) {
    const part = document.createElement("span");
    part.className = name;
    item.append(part);
  }
  return item;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

main().catch((error) => say("bad", "This page is broken", `${error.message}. Reload it; if that does not help, please report it.`));
