// Samples that are chosen for a change, also on other pages of a grid; one sample shown large.

import { announce } from "./common.js";

const form = document.getElementById("fix");
const dialog = document.getElementById("enlarged");
const boxes = () => [...document.querySelectorAll('input[type="checkbox"][name="item"]')];
const chosen = new Set();

function show() {
  for (const box of boxes()) box.checked = chosen.has(box.value);
  const here = new Set(boxes().map((box) => box.value));
  form.querySelectorAll('input[type="hidden"][name="item"]').forEach((input) => input.remove());
  for (const source of chosen) {
    if (!here.has(source)) form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "item", value: source }));
  }
  document.getElementById("fix-count").textContent = `${chosen.size.toLocaleString()} selected`;
}

function choose(sources, on) {
  for (const source of sources) on ? chosen.add(source) : chosen.delete(source);
  show();
  announce(`${chosen.size} selected`);
}

if (form) {
  for (const button of form.querySelectorAll(".with-fix-script")) button.hidden = false;
  form.addEventListener("click", ({ target }) => {
    if (target.dataset.fix === "all") choose(boxes().map((box) => box.value), true);
    if (target.dataset.fix === "none") {
      choose([...chosen], false);
      boxes()[0]?.focus();
    }
  });
  document.addEventListener("change", ({ target }) => {
    if (target.name !== "item") return;
    choose([target.value], target.checked);
    const classes = document.getElementById("fix-to");
    if (target.checked && target.dataset.suggested) classes.value = target.dataset.suggested; // what the model said
  });
  document.body.addEventListener("htmx:afterSettle", show);
  document.addEventListener("autodl:region", show);
}

let place = -1; // of the sample that is shown large
const enlargers = () => [...document.querySelectorAll("[data-enlarge]")];
const boxOf = (button) => button.closest("li").querySelector('input[name="item"]');

function enlarge(at) {
  const all = enlargers();
  place = (at + all.length) % all.length;
  const item = all[place].closest("li");
  const content = item.querySelector("img, svg, blockquote, dl").cloneNode(true);
  content.removeAttribute("loading");
  if (all[place].dataset.picture) {
    const large = new Image(); // the preview stays until it is there, or if it cannot be shown
    [large.alt, large.className] = [content.alt, content.className];
    large.addEventListener("load", () => content.isConnected && content.replaceWith(large));
    large.src = all[place].dataset.picture;
  }
  dialog.querySelector(".enlarged-content").replaceChildren(content);
  document.getElementById("enlarged-title").textContent = all[place].getAttribute("aria-label").replace("Enlarge ", "");
  const pick = document.getElementById("enlarged-pick");
  if (pick) pick.checked = boxOf(all[place]).checked;
  if (!dialog.open) dialog.showModal();
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-enlarge]") ?? target.closest(".pickable .thumb")?.closest("li").querySelector("[data-enlarge]");
  if (button) enlarge(enlargers().indexOf(button));
});
dialog?.addEventListener("click", ({ target }) => {
  const steps = { previous: -1, next: 1 };
  if (target.dataset.enlarged === "close" || target === dialog) dialog.close();
  else if (target.dataset.enlarged) enlarge(place + steps[target.dataset.enlarged]);
});
dialog?.addEventListener("keydown", ({ key }) => {
  if (key === "ArrowLeft") enlarge(place - 1);
  if (key === "ArrowRight") enlarge(place + 1);
});
dialog?.addEventListener("close", () => enlargers()[place]?.focus());
document.getElementById("enlarged-pick")?.addEventListener("change", ({ target }) => choose([boxOf(enlargers()[place]).value], target.checked));
