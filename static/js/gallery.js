// All samples in one scrolling box: each page of them is a part with a known height, and only parts near the view hold
// elements, so that any number scrolls smoothly.  Without this script there are links to the pages.

import { announce } from "./common.js";

const MARGIN_PX = 800; // parts that are this near are loaded
const REST_MS = 80; // a part that is scrolled past faster is not loaded
const samples = () => document.getElementById("samples");

function start() {
  const box = samples()?.querySelector(".gallery");
  if (!box || box.classList.contains("live") || Number(box.dataset.pages) < 2) return;
  box.classList.add("live");
  [box.tabIndex, box.role, box.ariaLabel] = [0, "region", box.dataset.label];
  samples().querySelector("nav").hidden = true;
  const given = box.querySelector("ul");
  const parts = Array.from({ length: Number(box.dataset.pages) }, (_, i) => (i + 1 === Number(box.dataset.page) ? given : given.cloneNode(false)));
  box.replaceChildren(...parts);
  const height = given.offsetHeight;
  for (const part of parts) if (part !== given) part.style.minHeight = `${height}px`;
  box.scrollTop = given.offsetTop - box.offsetTop;
  const near = new Set(); // parts that should hold their samples
  const held = new Set([given]); // parts that do
  const seen = (entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? fill(target) : near.delete(target);
    tidy();
  };
  const watcher = new IntersectionObserver(seen, { root: box, rootMargin: `${MARGIN_PX}px 0px` });
  for (const part of parts) watcher.observe(part);
  box.addEventListener("focusin", tidy); // the part that had the focus was kept

  async function fill(part) {
    near.add(part);
    if (part.childElementCount) return;
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    if (!near.has(part) || part.childElementCount) return;
    const response = await fetch(`?${box.dataset.query}&page=${parts.indexOf(part) + 1}`, { headers: { "X-Part": "samples" } });
    if (!response.ok || !near.has(part)) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    part.replaceChildren(...(page.querySelector(".gallery ul")?.children ?? []));
    part.style.minHeight = "";
    held.add(part);
    tidy();
  }

  function tidy() {
    for (const part of held) {
      if (near.has(part) || part.contains(document.activeElement)) continue;
      part.style.minHeight = `${part.offsetHeight}px`;
      part.replaceChildren();
      held.delete(part);
    }
    document.dispatchEvent(new CustomEvent("autodl:region")); // what is chosen is marked (fix.js)
  }
}

start();
document.body.addEventListener("htmx:afterSettle", () => {
  if (samples()?.querySelector(".gallery:not(.live)")) announce(samples().querySelector(".gallery").dataset.label);
  start();
});
