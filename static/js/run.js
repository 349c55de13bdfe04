// The run page, live: the server sends regions of HTML and a Plotly figure; this file puts them in place.
// It uses server-sent events; if they fail, it polls the same JSON every three seconds.

import { whileDisabled } from "./common.js";

const root = document.getElementById("run");
const plot = document.getElementById("plot");
const compare = document.getElementById("compare");
const connection = document.getElementById("connection");
const notify = document.getElementById("notify");
const notified = document.getElementById("notified");
const POLL_MS = 3000;
const SPEAK_MS = 5000; // between two announcements
const NARROW_PX = 740; // as in site.css
const SILENCE_MS = 12000; // without any message while the run is open: poll beside the stream

let stream = null;
let poller = 0;
let lastHeard = Date.now();
let lastFigure = null;
let spoken = null; // number of predictions that need not be announced any more
let unspoken = [];
let pause = 0;
let wasOpen = false;

const serverAhead = Number(root.dataset.now) * 1000 - Date.now();

function address(base) {
  const chosen = compare ? new URLSearchParams(new FormData(compare)).toString() : "";
  return chosen ? `${base}?${chosen}` : base;
}

// --- Showing ------------------------------------------------------------------------------------------------

function show(page) {
  heard();
  for (const [name, html] of Object.entries(page.regions)) replace(document.querySelector(`[data-region="${name}"]`), html);
  showActions(page.state);
  document.getElementById("summary").textContent = page.summary;
  announce(page);
  draw(page.figure);
  tick();
}

let lastFocused = null; // a button that is disabled loses the focus
document.addEventListener("focusin", ({ target }) => (lastFocused = target));

/** What may be done now; if the button with the focus is gone, the next one gets it. */
function showActions(state) {
  const active = document.activeElement;
  const focused = (active === document.body ? lastFocused : active)?.closest("[data-when]");
  const parts = [...document.querySelectorAll("[data-when]")];
  for (const part of parts) part.hidden = !part.dataset.when.split(" ").includes(state);
  const next = focused?.hidden && parts.find((part) => !part.hidden);
  if (next) (next.querySelector("button") ?? next).focus();
}

function heard() {
  lastHeard = Date.now();
  if (!connection.hidden) say("The connection to the server is back.");
  connection.hidden = true;
}

/** Replace the content of a region, keeping the focus, the scroll positions and what is unfolded. */
function replace(region, html) {
  if (region.dataset.shown === html) return;
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const mark = focused && (focused.getAttribute("href") || focused.getAttribute("aria-label"));
  const scrolled = [...region.querySelectorAll(".scroll")].map((part) => [part.scrollLeft, part.scrollTop]);
  const unfolded = region.querySelector(".earlier")?.open;
  region.innerHTML = html;
  if (unfolded) region.querySelector(".earlier").open = true;
  document.dispatchEvent(new Event("autodl:region"));
  region.dataset.shown = html;
  region.querySelectorAll(".scroll").forEach((part, i) => {
    if (scrolled[i]) [part.scrollLeft, part.scrollTop] = scrolled[i];
  });
  if (mark) [...region.querySelectorAll("a, [tabindex]")].find((part) => [part.getAttribute("href"), part.getAttribute("aria-label")].includes(mark))?.focus();
}

/** Announce each new prediction once, and the end; the latter also as a notification of the browser. */
function announce(page) {
  if (spoken === null || page.points.length < spoken) spoken = page.points.length;
  for (const point of page.points.slice(spoken)) {
    const score = point.accuracy === null ? `NAUC ${point.nauc.toFixed(2)}` : `${Math.floor(100 * point.accuracy)} % accuracy`;
    say(`Prediction ${point.k + 1} after ${Math.round(point.t)} seconds: ${score}.`);
  }
  spoken = page.points.length;
  if (wasOpen && !page.open) {
    const status = document.querySelector('[data-region="status"]');
    const text = [".badge", ".sentence"].map((part) => status.querySelector(part)?.textContent ?? "").join(": ");
    say(text);
    if (canNotify() && Notification.permission === "granted") new Notification(document.title, { body: text, tag: page.id });
  }
  wasOpen = page.open;
  offerNotification();
}

/** Speak now, or together with what else comes up in the next seconds. */
function say(text) {
  unspoken.push(text);
  if (!pause) speak();
}

function speak() {
  pause = unspoken.length ? setTimeout(speak, SPEAK_MS) : 0;
  if (unspoken.length) document.getElementById("announcer").textContent = unspoken.join(" ");
  unspoken = [];
}

function canNotify() {
  return isSecureContext && "Notification" in window;
}

function offerNotification() {
  notify.hidden = !wasOpen || !canNotify() || Notification.permission !== "default";
  notified.hidden = !wasOpen || !canNotify() || Notification.permission !== "granted";
}

function colour(name) {
  return resolved(getComputedStyle(document.documentElement).getPropertyValue(name).trim());
}

/** Variables may hold light-dark(): let the browser work out the colour. */
function resolved(value) {
  const probe = document.createElement("span");
  probe.style.color = value;
  document.body.append(probe);
  const answer = getComputedStyle(probe).color;
  probe.remove();
  return answer;
}

function faded(rgb, share) {
  return rgb.replace(/^rgb\((.*)\)$/, (_, parts) => `rgba(${parts}, ${share})`);
}

function draw(figure) {
  if (!window.Plotly || !figure) return;
  lastFigure = figure;
  const accent = colour("--accent");
  const quiet = colour("--quiet");
  const line = colour("--line");
  for (const trace of figure.data) {
    const role = trace.meta.role;
    const own = role === "main" || role === "held";
    const tint = own ? accent : colour(`--series-${2 + (Number(role.split("-")[1]) % 5)}`);
    trace.line = { ...trace.line, color: tint };
    trace.marker = { ...trace.marker, color: tint };
    if (trace.fill) trace.fillcolor = faded(accent, role === "main" ? 0.16 : 0.07);
  }
  plot.hidden = false;
  document.getElementById("curve-svg").hidden = true;
  const axis = { color: quiet, gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true };
  const layout = {
    ...figure.layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: quiet },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: accent, font: { color: colour("--text") } },
    xaxis: { ...figure.layout.xaxis, ...axis, ...ticksThatFit(figure.layout.xaxis) },
    yaxis: { ...figure.layout.yaxis, ...axis },
  };
  window.Plotly.react(plot, figure.data, layout, {
    responsive: true,
    displayModeBar: innerWidth < NARROW_PX ? false : "hover",
    displaylogo: false,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
  });
}

/** The ticks from the right that leave each other room, since turned texts are hard to read. */
function ticksThatFit({ range, tickvals, ticktext }) {
  const room = (48 * (range[1] - range[0])) / Math.max(1, plot.clientWidth - 100);
  const kept = [];
  for (let i = tickvals.length - 1; i >= 0; i--) {
    if (!kept.length || tickvals[kept[0]] - tickvals[i] >= room) kept.unshift(i);
  }
  return { tickangle: 0, tickvals: kept.map((i) => tickvals[i]), ticktext: kept.map((i) => ticktext[i]) };
}

/** Update the clock between two messages. */
function tick() {
  for (const place of document.querySelectorAll("[data-since]")) {
    const seconds = (Date.now() + serverAhead) / 1000 - Number(place.dataset.since);
    place.textContent = `for ${Math.max(0, Math.floor(seconds))} s`;
  }
  const clock = document.querySelector("[data-started]");
  if (!clock) return;
  const budget = Number(clock.dataset.budget);
  const passed = Math.min(budget, Math.max(0, (Date.now() + serverAhead) / 1000 - Number(clock.dataset.started)));
  const whole = Math.floor(passed);
  clock.firstElementChild.textContent = whole < 120 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const bar = document.querySelector("[data-budget-bar]");
  if (bar) bar.value = passed;
}

// --- Listening ------------------------------------------------------------------------------------------------

async function fetchState() {
  const response = await fetch(address(root.dataset.stateUrl), { headers: { Accept: "application/json" } });
  if (response.status === 404) {
    leave("This run is no longer available: it was deleted, or you are logged out. Reload the page to see which.");
    return { final: true };
  }
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const page = await response.json();
  show(page);
  return page;
}

function listen() {
  stream?.close();
  stream = new EventSource(address(root.dataset.streamUrl));
  stream.addEventListener("page", (message) => show(JSON.parse(message.data)));
  stream.addEventListener("point", () => (lastHeard = Date.now()));
  stream.addEventListener("end", (message) => (JSON.parse(message.data).state === "gone" ? leave(root.dataset.gone) : hangUp()));
  stream.addEventListener("open", heard);
}

function hangUp() {
  stream?.close();
  stream = null;
  clearInterval(poller);
}

/** The run is gone: say so, stop the clock and hide all buttons. */
function leave(sentence) {
  hangUp();
  clearInterval(clock);
  document.querySelector('[data-region="status"]').replaceChildren();
  for (const part of document.querySelectorAll("[data-when]")) part.hidden = true;
  connection.textContent = sentence;
  connection.hidden = false;
  say(sentence);
  wasOpen = false;
  offerNotification();
}

async function pollIfSilent() {
  if (!stream || Date.now() - lastHeard < SILENCE_MS) return;
  try {
    if ((await fetchState()).final) hangUp();
  } catch (error) {
    connection.textContent = `The connection to the server is lost (${error.message}). Training continues; reconnecting.`;
    if (connection.hidden) say("The connection to the server is lost. Training continues; reconnecting.");
    connection.hidden = false;
    if (stream.readyState === EventSource.CLOSED) listen();
  }
}

// --- Actions --------------------------------------------------------------------------------------------------

for (const form of document.querySelectorAll("form[data-quiet]")) {
  form.addEventListener("submit", async (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    whileDisabled(form.querySelector("button"), async () => {
      await fetch(form.action, { method: "POST", body: new FormData(form) });
      await fetchState();
    });
  });
}

if (compare) {
  compare.querySelector("button").hidden = true;
  compare.addEventListener("change", async () => {
    history.replaceState(null, "", address(location.pathname));
    if (!(await fetchState()).final) listen();
  });
}

notify.addEventListener("click", async () => {
  await Notification.requestPermission();
  offerNotification();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(lastFigure));
document.addEventListener("autodl:theme", () => draw(lastFigure));
matchMedia(`(max-width: ${NARROW_PX}px)`).addEventListener("change", () => draw(lastFigure));
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && pollIfSilent());
const clock = setInterval(tick, 1000);

if ("final" in root.dataset) {
  fetchState();
} else {
  listen();
  poller = setInterval(pollIfSilent, POLL_MS);
}
