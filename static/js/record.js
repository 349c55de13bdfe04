// Recording with the webcam or the microphone into class folders: each picture or sound is a file, and upload.js sends
// them as one zip.

import { open, picture, sound, stop } from "./capture.js";
import { announce } from "./common.js";

const PICTURE_MS = 250; // between two pictures
const SHOWN = 6; // last pictures of a class

class Recorder {
  constructor(panel, form) {
    [this.panel, this.form, this.stream] = [panel, form, null];
    this.opened = 0; // how often a camera or microphone was asked for
    this.holding = this.busy = false; // the button is held; something is being recorded, also a moment longer
    this.classes = new Map(); // name -> blobs in the order of recording
    this.find = (name) => panel.querySelector(`[data-record="${name}"]`);
    this.find("close").addEventListener("click", () => this.close());
    this.find("send").addEventListener("click", () => this.send());
    for (const input of panel.querySelectorAll('[name="record-kind"]')) input.addEventListener("change", () => this.open());
    const button = this.find("hold");
    const press = (event) => {
      event.preventDefault();
      if (event.type === "pointerdown") button.setPointerCapture(event.pointerId);
      button.focus();
      this.hold();
    };
    button.addEventListener("pointerdown", press);
    button.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && !event.repeat && press(event));
    for (const end of ["pointerup", "pointercancel", "keyup", "blur"]) button.addEventListener(end, () => (this.holding = false));
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
    window.addEventListener("pagehide", () => this.stop());
    window.addEventListener("beforeunload", (event) => this.classes.size && event.preventDefault());
  }

  get sounds() {
    return this.panel.querySelector('[name="record-kind"]:checked').value === "sound";
  }

  async open() {
    this.stop();
    this.panel.hidden = false;
    this.find("hold").disabled = true;
    this.fail("");
    for (const [name, shown] of [["video", !this.sounds], ["length", this.sounds]]) this.find(name).hidden = !shown;
    this.find("hint").textContent = this.sounds
      ? "Hold the button, or the space bar: one sound after the other is recorded."
      : "Hold the button, or the space bar: four pictures a second are recorded.";
    const turn = ++this.opened;
    const isLate = () => turn !== this.opened || this.panel.hidden; // the other kind was chosen meanwhile, or it was closed
    try {
      const stream = await open(this.sounds ? "sound" : "picture");
      if (isLate()) return stop(stream);
      this.stream = stream;
    } catch (error) {
      if (!isLate()) this.fail(error.message);
      return;
    }
    this.find("class").focus();
    const video = this.find("video");
    video.srcObject = this.sounds ? null : this.stream;
    if (!this.sounds) await new Promise((resolve) => video.addEventListener("loadedmetadata", resolve, { once: true }));
    if (!isLate()) this.find("hold").disabled = false;
  }

  stop() {
    this.holding = false;
    stop(this.stream);
    this.stream = null;
  }

  close() {
    this.stop();
    this.panel.hidden = true;
    document.getElementById("record-open").focus();
  }

  /** The class that is typed, or nothing and a message. */
  name() {
    const name = this.find("class").value.trim().replace(/[/\\]/g, "-");
    const usable = name && !/^\.+$/.test(name);
    this.fail(usable ? "" : "Type the name of the class first.");
    if (!usable) this.find("class").focus();
    return usable ? name : "";
  }

  async hold() {
    if (!this.stream || !this.name()) return;
    this.holding = true;
    if (this.busy) return; // a sound still ends; the next one gets the class that is typed then
    this.busy = true;
    const button = this.find("hold");
    button.classList.add("recording");
    try {
      for (let name = this.name(); name && this.stream; name = this.holding && this.name()) {
        const item = await (this.sounds ? this.sound() : this.picture());
        this.classes.set(name, [...(this.classes.get(name) ?? []), item]);
        this.show();
      }
    } catch (error) {
      this.fail(`Recording failed: ${error.message}`);
    }
    this.holding = this.busy = false;
    button.classList.remove("recording");
    announce(`${[...this.classes.values()].flat().length} recorded`);
  }

  async picture() {
    const made = picture(this.find("video"));
    await new Promise((resolve) => setTimeout(resolve, PICTURE_MS));
    return made;
  }

  /** One sound of the chosen length; it is finished also when the button is released earlier. */
  sound() {
    return sound(this.stream, Math.min(10, Math.max(1, Number(this.find("seconds").value) || 2)));
  }

  show() {
    const kind = this.sounds ? "sound" : "picture";
    const lines = [...this.classes].map(([name, items]) => {
      const line = document.createElement("li");
      line.className = "spread";
      const label = document.createElement("span");
      label.append(Object.assign(document.createElement("strong"), { textContent: name }), ` ${items.length} ${kind}${items.length === 1 ? "" : "s"}`);
      const thumbs = document.createElement("span");
      if (!this.sounds) thumbs.append(...items.slice(-SHOWN).map((item) => thumbnail(item)));
      const remove = Object.assign(document.createElement("button"), { type: "button", className: "button small", textContent: "Remove" });
      remove.setAttribute("aria-label", `Remove ${name}`);
      remove.addEventListener("click", () => {
        this.classes.delete(name);
        this.show();
        this.find("class").focus();
      });
      line.append(label, thumbs, remove);
      return line;
    });
    this.find("classes").replaceChildren(...lines);
    document.getElementById("record-names").replaceChildren(...[...this.classes.keys()].map((name) => new Option(name)));
    const count = [...this.classes.values()].reduce((sum, items) => sum + items.length, 0);
    const send = this.find("send");
    send.disabled = this.classes.size < Number(this.panel.dataset.minClasses);
    send.textContent = count ? `Upload ${count.toLocaleString()} ${kind}${count === 1 ? "" : "s"}` : "Upload";
    for (const input of this.panel.querySelectorAll('[name="record-kind"]')) input.disabled = count > 0; // one kind a data set
  }

  async send() {
    const root = this.sounds ? "recorded sounds" : "recorded pictures";
    const suffix = this.sounds ? "wav" : "jpg";
    const files = [...this.classes].flatMap(([name, items]) =>
      items.map((file, i) => ({ path: `${root}/${name}/${String(i + 1).padStart(4, "0")}.${suffix}`, file })),
    );
    this.classes.clear();
    this.show();
    this.close();
    this.form.dispatchEvent(new CustomEvent("autodl:files", { detail: files }));
  }

  fail(text) {
    const error = this.find("error");
    error.textContent = text;
    error.hidden = !text;
  }
}

function thumbnail(blob) {
  const image = Object.assign(new Image(), { alt: "", width: 40, height: 30, src: URL.createObjectURL(blob) });
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  return image;
}

const panel = document.getElementById("record");
if (panel) {
  const recorder = new Recorder(panel, document.querySelector("form.upload"));
  document.getElementById("record-open").addEventListener("click", () => recorder.open());
}
