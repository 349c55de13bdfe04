// The slider of the decision threshold: shows the scores that the server has computed for each step.

const NBSP = "\u00a0";

function percent(share) {
  if (share === null) return "–";
  const digits = share === 0 || share === 1 || (share >= 0.0995 && share <= 0.99) ? 0 : 1;
  return `${Math.min(100 * share, share < 1 ? 99.9 : 100).toFixed(digits)}${NBSP}%`;
}

function show(section) {
  const slider = section.querySelector('input[type="range"]');
  const points = JSON.parse(section.querySelector("select").selectedOptions[0].dataset.points);
  const scores = points[(Number(slider.value) - Number(slider.min)) / Number(slider.step)];
  slider.setAttribute("aria-valuetext", `${slider.value} %`);
  section.querySelector("output").textContent = `${slider.value}${NBSP}%`;
  for (const place of section.querySelectorAll("[data-score]")) place.textContent = percent(scores[place.dataset.score]);
}

document.addEventListener("input", ({ target }) => {
  const section = target.closest("[data-thresholds]");
  if (section) show(section);
});
