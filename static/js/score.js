// The figure of "About the score": its steps can be moved, and the area below them is computed as the site does.

const T0_S = 60, BUDGET_S = 1200;
const figure = document.querySelector("[data-score]");
const svg = figure.querySelector("svg");
const [area, line] = svg.querySelectorAll("path");
const handles = [...svg.querySelectorAll(".handle")];
const output = figure.querySelector("output");
const width = Number(svg.dataset.width), height = Number(svg.dataset.height);

const place = (t) => Math.log1p(t / T0_S) / Math.log1p(BUDGET_S / T0_S);
const time = (x) => T0_S * Math.expm1(x * Math.log1p(BUDGET_S / T0_S));
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const steps = handles.map((handle) => ({ x: place(Number(handle.dataset.t)), nauc: Number(handle.dataset.nauc) }));

function seconds(t) {
  return t < 10 ? `${t.toFixed(1)} s` : t < 120 ? `${Math.round(t)} s` : `${(t / 60).toFixed(1)} min`;
}

function draw() {
  let path = `M0 ${height}`, alc = 0;
  steps.forEach((step, i) => {
    const end = i + 1 < steps.length ? steps[i + 1].x : 1;
    alc += step.nauc * (end - step.x);
    path += `H${step.x * width}V${(1 - step.nauc) * height}`;
    const handle = handles[i];
    handle.setAttribute("cx", step.x * width);
    handle.setAttribute("cy", (1 - step.nauc) * height);
    handle.setAttribute("aria-valuenow", step.nauc.toFixed(2));
    handle.setAttribute("aria-valuetext", `NAUC ${step.nauc.toFixed(2)} after ${seconds(time(step.x))}`);
  });
  path += `H${width}`;
  line.setAttribute("d", path);
  area.setAttribute("d", `${path}V${height}H0Z`);
  output.textContent = `ALC ${alc.toFixed(3)}`;
}

function move(i, x, nauc) {
  const low = i > 0 ? steps[i - 1].x : 0, high = i + 1 < steps.length ? steps[i + 1].x : 1;
  steps[i] = { x: clamp(x, low, high), nauc: clamp(nauc, 0, 1) };
  draw();
}

handles.forEach((handle, i) => {
  handle.setAttribute("tabindex", "0");
  handle.setAttribute("role", "slider");
  handle.setAttribute("aria-label", handle.dataset.name);
  handle.setAttribute("aria-valuemin", "0");
  handle.setAttribute("aria-valuemax", "1");
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    move(i, at.x / width, 1 - at.y / height);
  });
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, 0.02], ArrowDown: [0, -0.02] }[event.key];
    if (!by) return;
    event.preventDefault();
    move(i, steps[i].x + by[0], steps[i].nauc + by[1]);
  });
});
figure.querySelector("[data-hint]").hidden = false;
draw();
