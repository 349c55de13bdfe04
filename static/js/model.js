// Send files, a row or a text without leaving the page, and show the predictions when they are ready.

import { clip, open, picture, sound, stop } from "./capture.js";
import { whileDisabled } from "./common.js";
import { showWhy } from "./why.js";

const answer = document.getElementById("answer");
const packing = document.getElementById("packing");
const FIRST_POLL_MS = 50; // a loaded model answers at once
const POLL_MS = 400;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function complain(text) {
  const message = document.createElement("p");
  message.className = "message error";
  message.textContent = text;
  answer.replaceChildren(message);
}

async function follow(id, pictures) {
  for (let pause = FIRST_POLL_MS; ; pause = Math.min(1.5 * pause, POLL_MS)) {
    const response = await fetch(answer.dataset.base + id);
    if (!response.ok) return complain(`The server answered ${response.status}; try again.`);
    answer.innerHTML = await response.text();
    if (response.headers.get("X-State") !== "queued") break;
    await wait(pause);
  }
  illustrate(pictures);
  answer.scrollIntoView({ block: "nearest" });
  const why = answer.querySelector("[data-why]");
  if (why) showWhy(why);
}

/** Show the dropped image or sound beside its prediction, from the browser's own copy. */
function illustrate(files) {
  for (const item of answer.querySelectorAll("[data-name]")) {
    const file = files.find((one) => one.name === item.dataset.name) ?? (files.length === 1 ? files[0] : null);
    const kind = file?.type.split("/")[0];
    if (!["image", "audio", "video"].includes(kind)) continue;
    const view = document.createElement(kind === "image" ? "img" : kind);
    view.src = URL.createObjectURL(file);
    if (kind === "image") view.alt = file.name;
    else view.controls = true;
    view.className = "thumb";
    item.prepend(view);
  }
}

async function send(form, body) {
  try {
    const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    const reply = response.headers.get("Content-Type")?.includes("json") ? await response.json() : {};
    if (!response.ok) return complain(reply.error ?? `The server answered ${response.status}; try fewer or smaller files.`);
    await follow(reply.id, body.getAll("files").filter((file) => file.size));
  } catch (error) {
    complain(`The connection to the server is lost (${error.message}); try again.`);
  }
}

for (const form of document.querySelectorAll("form[data-try]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileDisabled(form.querySelector("button"), () => send(form, new FormData(form)));
  });
}

for (const zone of document.querySelectorAll("[data-drop]")) {
  const form = zone.closest("form");
  const input = zone.querySelector("input[type=file]");
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    input.files = event.dataTransfer.files;
    if (input.files.length) form.requestSubmit();
  });
  input.addEventListener("change", () => input.files.length && form.requestSubmit());
}

/** Send one file as if it were chosen. */
function sendFile(blob, name) {
  const chosen = new DataTransfer();
  chosen.items.add(new File([blob], name, { type: blob.type.split(";")[0] }));
  const input = document.getElementById("try-files");
  input.files = chosen.files;
  input.form.requestSubmit();
}

/** The camera stays on for more pictures until the page is left; the microphone is asked for each time. */
async function capture(place, kind) {
  const [video, message] = [place.querySelector("video"), place.querySelector("[role=status]")];
  message.textContent = "";
  let stream = null;
  try {
    stream = video?.srcObject ?? (await open(kind));
    if (video && !video.srcObject) {
      video.srcObject = stream;
      video.hidden = false;
      await new Promise((resolve) => video.addEventListener("loadedmetadata", resolve, { once: true }));
      place.querySelector("button").textContent = place.dataset.then;
      return;
    }
    const seconds = Number(place.dataset.seconds);
    if (kind !== "picture") message.textContent = `Recording for ${seconds} s …`;
    if (kind === "picture") sendFile(await picture(video), "picture.jpg");
    else if (kind === "sound") sendFile(await sound(stream, seconds), "sound.wav");
    else sendFile(await clip(stream, seconds), "clip.webm");
    message.textContent = "";
  } catch (error) {
    message.textContent = error.message;
  } finally {
    if (!video) stop(stream);
  }
}

for (const place of document.querySelectorAll("[data-capture]")) {
  const button = place.querySelector("button");
  button.addEventListener("click", () => whileDisabled(button, () => capture(place, place.dataset.capture)));
  place.hidden = false;
}

document.addEventListener("paste", (event) => {
  const input = document.getElementById("try-files");
  const isText = event.target.closest?.("textarea, input:not([type=file])");
  if (isText || !input || !event.clipboardData.files.length) return;
  event.preventDefault();
  input.files = event.clipboardData.files;
  input.form.requestSubmit();
});

if (answer?.dataset.waiting) follow(answer.dataset.waiting, []);

if (packing?.dataset.state === "queued") {
  const since = packing.querySelector("[data-since]");
  const begun = Math.min(Date.now(), Number(since.dataset.since) * 1000);
  setInterval(() => (since.textContent = `for ${Math.round((Date.now() - begun) / 1000)} s`), 1000);
  for (;;) {
    await wait(1500);
    const response = await fetch(packing.dataset.stateUrl);
    if (response.ok && (await response.json()).final) break;
  }
  location.reload();
}
