// The upload form: sends one file unchanged, several files or a folder as one zip; resumable (tus, vendored).
// It resumes after a lost connection, a restarted server, and a closed tab (when the same files are chosen again).

import { announce } from "./common.js";
import { sha256 } from "./sha256.js";
import { crc32, Zip } from "./zip.js";

const RETRY_MS = [0, 1000, 3000, 5000, 10000, ...Array(30).fill(20000)];
const RETRIED_STATUS = [409, 423, 460]; // offset moved, still writing, damaged on the way
function start(form) {
  const zone = new Zone(form);
  form.classList.add("live");
  const [files, folder] = [form.querySelector("#upload-file"), form.querySelector("#upload-folder")];
  files.multiple = true;
  for (const input of [files, folder]) {
    const take = () => {
      const chosen = [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
      input.value = ""; // so that the same choice counts again
      if (chosen.length) zone.send(chosen);
    };
    input.addEventListener("change", take);
    take(); // chosen before this script was there
  }
  form.addEventListener("autodl:files", ({ detail }) => zone.send(detail)); // recorded (record.js)
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  form.addEventListener("dragleave", (event) => {
    if (!form.contains(event.relatedTarget)) form.classList.remove("over");
  });
  form.addEventListener("drop", async (event) => {
    event.preventDefault();
    form.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    zone.say("Looking at your files …");
    const dropped = (await Promise.all(entries.map((entry) => filesOf(entry)))).flat();
    if (dropped.length) zone.send(dropped);
    else zone.fail("You dropped no files.");
  });
}

/** All files below a dropped file or folder as {path, file}. */
async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ path: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100 a call
    if (!some.length) return found;
    for (const child of some) found.push(...(await filesOf(child)));
  }
}

/** One file goes as it is; several become a zip, in an order that does not depend on how they were chosen. */
function pack(chosen) {
  if (chosen.length === 1 && !chosen[0].path.includes("/")) return chosen[0].file;
  chosen.sort((a, b) => (a.path < b.path ? -1 : 1));
  const roots = new Set(chosen.map(({ path }) => (path.includes("/") ? path.split("/")[0] : "")));
  const root = roots.size === 1 ? [...roots][0] : "";
  return new Zip(chosen, `${root || "files"}.zip`);
}

/** Identifies a choice of files, to find an earlier upload of the same files. */
function fingerprint(chosen, source, owner) {
  let crc = 0;
  const encoder = new TextEncoder();
  for (const { path, file } of chosen) crc = crc32(encoder.encode(`${path}|${file.size}|${file.lastModified}\n`), crc);
  return ["autodl", owner, source.name, source.size, crc].join("-");
}

class Zone {
  constructor(form) {
    this.form = form;
    this.find = (selector) => form.querySelector(selector);
    this.upload = null;
    for (const button of form.querySelectorAll("[data-do]")) {
      button.addEventListener("click", () => this[button.dataset.do]());
    }
    window.addEventListener("online", () => this.waiting && this.resume());
  }

  async send(chosen) {
    const source = pack(chosen);
    this.find(".upload-error").hidden = true;
    if (!source.size) return this.fail("The file is empty: choose another one.");
    if (source.size > Number(this.form.dataset.maxBytes)) {
      return this.fail(`You chose ${bytes(source.size)}, but can upload only ${this.form.dataset.maxWords} now. ${this.form.dataset.advice}`);
    }
    this.find(".upload-choose").hidden = true;
    this.find(".upload-status").hidden = false;
    const count = source instanceof Zip ? ` (${chosen.length.toLocaleString()} files)` : "";
    this.find(".upload-name").textContent = source.name + count;
    this.say("Starting …");
    this.upload = this.prepare(source, fingerprint(chosen, source, [this.form.dataset.owner, ...Object.values(this.continues())].join("-")));
    const earlier = await this.upload.findPreviousUploads();
    if (earlier.length) this.upload.resumeFromPreviousUpload(earlier[0]);
    this.resume();
  }

  /** The data set to which the files are added, if any. */
  continues() {
    const id = this.form.elements.continues?.value;
    return id ? { continues: id } : {};
  }

  prepare(source, print) {
    const digest = { header: null }; // of the part that is sent next
    return new window.tus.Upload(source, {
      endpoint: this.form.dataset.endpoint,
      chunkSize: Number(this.form.dataset.chunkBytes),
      retryDelays: RETRY_MS,
      metadata: { filename: source.name, ...this.continues() },
      headers: { "X-CSRFToken": this.find("[name=csrfmiddlewaretoken]").value },
      fingerprint: async () => print,
      removeFingerprintOnSuccess: true,
      fileReader: { openFile: async () => reader(source, digest) },
      onBeforeRequest: (request) => {
        if (request.getMethod() === "PATCH" && digest.header) request.setHeader("Upload-Checksum", digest.header);
      },
      onShouldRetry: (error) => this.shouldRetry(error),
      onProgress: (sent, total) => this.progress(sent, total),
      onError: (error) => this.broken(error),
      onSuccess: () => {
        this.say("Uploaded. Opening the report …");
        announce("The upload is complete.");
        window.location.assign(this.upload.url); // leads to the data set
      },
    });
  }

  shouldRetry(error) {
    const status = error.originalResponse?.getStatus() ?? 0;
    const again = status < 400 || status >= 500 || RETRIED_STATUS.includes(status);
    if (again) {
      this.waiting = true;
      this.say(status ? "The server is busy; trying again …" : "The connection is lost; trying again …");
    }
    return again;
  }

  progress(sent, total) {
    this.waiting = false;
    const now = performance.now();
    this.samples = [...(this.samples ?? []).filter(([t]) => now - t < 8000), [now, sent]]; // speed over 8 s
    const [t, before] = this.samples[0];
    const speed = now - t > 500 ? ((sent - before) * 1000) / (now - t) : 0;
    const left = speed > 0 ? ` · ${bytes(speed)}/s · ${duration((total - sent) / speed)} left` : "";
    this.find("progress").value = (1000 * sent) / total;
    this.say(`${bytes(sent)} of ${bytes(total)}${left}`);
    const quarter = Math.floor((4 * sent) / total);
    if (quarter > (this.quarter ?? 0)) announce(`${quarter * 25} % uploaded`);
    this.quarter = quarter;
  }

  resume() {
    this.samples = [];
    this.show(true);
    this.upload.abort().then(() => this.upload.start());
  }

  pause() {
    this.waiting = false;
    this.upload.abort();
    this.say(`Paused. ${this.find(".upload-line").textContent.split(" · ")[0]}`);
    this.show(false);
  }

  async discard() {
    await this.upload.abort(true);
    this.find(".upload-status").hidden = true;
    this.find(".upload-choose").hidden = false;
    this.find("#upload-file").focus();
    announce("The upload is discarded.");
  }

  broken(error) {
    const body = error.originalResponse?.getBody() ?? "";
    const status = error.originalResponse?.getStatus() ?? 0;
    if (status === 401 && this.form.dataset.owner === "guest") this.fail("Too many visitors upload without an account at the moment. Register, and choose the same files again.");
    else if (status === 401) this.fail("You are logged out. Log in again and choose the same files to resume the upload.");
    else if (status >= 400 && status < 500 && body && !body.startsWith("<")) this.fail(body);
    else this.fail("The server cannot be reached, or a file could not be read. Press Resume to try again.");
    this.show(false);
  }

  show(running) {
    const [pause, resume] = [this.find("[data-do=pause]"), this.find("[data-do=resume]")];
    const hadFocus = this.form.contains(document.activeElement); // on a button that is hidden now
    [pause.hidden, resume.hidden] = [!running, running];
    if (hadFocus) (running ? pause : resume).focus();
    if (running) this.find(".upload-error").hidden = true;
  }

  say(text) {
    this.find(".upload-line").textContent = text;
  }

  fail(text) {
    const error = this.find(".upload-error");
    error.textContent = text;
    error.hidden = false;
  }
}

/** What tus reads from: any part of a file or zip, with the part's SHA-256. */
function reader(source, digest) {
  return {
    size: source.size,
    async slice(start, end) {
      const value = await source.slice(start, Math.min(end, source.size));
      digest.header = await checksum(value);
      return { value, done: end >= source.size };
    },
    close() {},
  };
}

async function checksum(blob) {
  const content = await blob.arrayBuffer();
  const subtle = window.crypto?.subtle; // not over plain http from another machine
  const sum = subtle ? new Uint8Array(await subtle.digest("SHA-256", content)) : await sha256(new Uint8Array(content));
  return `sha256 ${btoa(String.fromCharCode(...sum))}`;
}

function bytes(count) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1024;
    unit++;
  }
  return `${count >= 100 || unit === 0 ? Math.round(count) : count.toFixed(1)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const form = document.querySelector("form.upload");
if (form) start(form);
