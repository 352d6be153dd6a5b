// The keys of blind rating. Each presses what is on the page; `typing` and `help` are those of keys.js.
"use strict";

{
  const choices = { ArrowLeft: "left", a: "left", ArrowRight: "right", l: "right", t: "tie", s: "skip", u: "undo" };

  document.addEventListener("keydown", (event) => {
    // A key that is held down must not rate the pairs that follow.
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target) || help().open || !Object.hasOwn(choices, event.key)) return;
    event.preventDefault();
    document.querySelector(`[data-rate="${choices[event.key]}"]`)?.click();
  });

  const form = document.querySelector("form[data-rating]");
  let sent = false;
  form?.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
  });
  // A page that the browser kept can be sent again when one comes back to it.
  addEventListener("pageshow", () => { sent = false; });
}
