// The keys: j k n p / ? and nothing else. Every one of them does what a link or a field on the page does too.
"use strict";

const typing = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

// Rows are links marked data-row, so that Enter opens the one that has the focus.
function moveInList(rows, step) {
  const at = rows.indexOf(document.activeElement);
  const next = at === -1 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1);
  rows[next].focus();
}

function follow(relation) {
  document.querySelector(`a[rel~="${relation}"]`)?.click();
}

function move(step) {
  const rows = [...document.querySelectorAll("a[data-row]")];
  if (rows.length > 0) moveInList(rows, step);
  else follow(step > 0 ? "next" : "prev");
}

const help = () => document.getElementById("help");

const keys = {
  j: () => move(1),
  k: () => move(-1),
  n: () => follow("next"),
  p: () => follow("prev"),
  "/": () => document.querySelector("input[type=search]")?.focus(),
  "?": () => help().showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (help().open) return;
  const action = Object.hasOwn(keys, event.key) ? keys[event.key] : undefined;
  if (action === undefined) return;
  event.preventDefault();
  action();
});

document.querySelector("[data-help]")?.addEventListener("click", (event) => {
  event.preventDefault();
  help().showModal();
});
