// What is wrong with the layout of a page, in words: whether it scrolls sideways, and what sticks out of its box.
() => {
  const wrong = [];
  const root = document.scrollingElement;
  if (root.scrollWidth > root.clientWidth) wrong.push(`the page is ${root.scrollWidth} wide, the window ${root.clientWidth}`);
  const clips = (element) => getComputedStyle(element).overflowX !== "visible";
  for (const element of document.body.querySelectorAll("*")) {
    if (element.closest("svg, .skip, .unheard, dialog:not([open]), datalist, option")) continue;
    if (!element.checkVisibility()) continue;
    const box = element.getBoundingClientRect();
    if (box.width === 0 || (box.left >= -1 && box.right <= root.clientWidth + 1)) continue;
    let above = element.parentElement;
    while (above !== null && !clips(above)) above = above.parentElement;
    if (above === null || above === document.documentElement || above === document.body) {
      wrong.push(`${element.tagName} ${element.className} from ${Math.round(box.left)} to ${Math.round(box.right)}`);
    }
  }
  return wrong;
}
