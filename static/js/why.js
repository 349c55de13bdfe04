// Why a model gave its answer: ask for it where the page offers that, and show it when it is there.

const FIRST_POLL_MS = 200;
const POLL_MS = 1000;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

export async function showWhy(place) {
  for (let pause = FIRST_POLL_MS; place.isConnected; pause = Math.min(1.5 * pause, POLL_MS)) {
    const response = await fetch(place.dataset.why);
    if (!response.ok) return;
    const isQueued = response.headers.get("X-State") === "queued";
    if (!isQueued || !place.childElementCount) place.innerHTML = await response.text();
    if (!isQueued) return;
    await wait(pause);
  }
}

for (const place of document.querySelectorAll("[data-why]")) {
  const form = place.querySelector("form");
  const asked = form && (await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } }));
  if (asked?.ok) place.replaceChildren();
  if (asked?.ok || place.querySelector(".busy")) showWhy(place);
}
