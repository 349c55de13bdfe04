// Shared by all pages: confirmation before actions that cannot be undone, copying code, times in the local time zone.

import { announce } from "./common.js";

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.type !== "file") return; // browsers open the dialog with Space only
  event.preventDefault();
  event.target.click();
});

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).innerText);
  announce("Copied.");
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = label), 1500);
});

const theme = document.getElementById("theme");
theme.hidden = false;
theme.value = document.documentElement.dataset.theme ?? "";
theme.addEventListener("change", () => {
  if (theme.value) document.documentElement.dataset.theme = theme.value;
  else delete document.documentElement.dataset.theme;
  document.cookie = `theme=${theme.value}; path=/; samesite=lax; max-age=${theme.value ? 31536000 : 0}`; // the server writes it into each page
  document.dispatchEvent(new Event("autodl:theme"));
});

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) time.title = format.format(new Date(time.dateTime));
