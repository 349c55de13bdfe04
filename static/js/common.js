// Functions that several scripts import. Nothing here runs by itself: the server sends an imported file under another
// address than a script of a page, so a browser runs it once for each.

/** Announce a change of the page to screen readers. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** Disable a button while ``work`` is done; then it has the focus again. */
export async function whileDisabled(button, work) {
  const hadFocus = document.activeElement === button;
  button.disabled = true;
  try {
    await work();
  } finally {
    button.disabled = false;
    if (hadFocus && document.activeElement === document.body) button.focus();
  }
}
