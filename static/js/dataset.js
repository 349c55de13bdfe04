// The report page: keeps the focus after the samples were filtered (htmx).

let focused = "";
document.body.addEventListener("htmx:beforeSwap", () => {
  const { id, name, value } = document.activeElement ?? {};
  focused = id ? `#${id}` : name ? `[name="${name}"][value="${value}"]` : "";
});
document.body.addEventListener("htmx:afterSettle", () => {
  if (focused) document.querySelector(`#samples ${focused}`)?.focus();
});
