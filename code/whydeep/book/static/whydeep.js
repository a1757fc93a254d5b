// Two small services of every page; without this script all text can still be read.
"use strict";

// 1. A button that copies the citation of a claim, also on a page from the file system.

function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = Object.assign(document.createElement("textarea"), { value: text });
  area.style.position = "fixed"; // so that the page does not scroll to it
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done ? Promise.resolve() : Promise.reject(new Error("copying is not allowed here"));
}

/** @type {NodeListOf<HTMLDetailsElement>} */
const citations = document.querySelectorAll(".claim-citation");
for (const details of citations) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy citation";
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  button.addEventListener("click", () => {
    details.open = true;
    copyText(details.querySelector("pre").textContent).then(
      () => { said.textContent = "Copied."; },
      () => { said.textContent = "Select the text below and copy it."; },
    );
  });
  details.before(button, said);
}

// 2. What scrolls sideways can be reached by key: long formulas, wide tables, code.

const MAY_SCROLL = "mjx-container[display='true'], .pst-scrollable-table-container, pre, .math";

function letKeysScroll() {
  /** @type {NodeListOf<HTMLElement>} */
  const found = document.querySelectorAll(MAY_SCROLL);
  for (const element of found) {
    const style = getComputedStyle(element).overflowX;
    const scrolls = (style === "auto" || style === "scroll")
      && element.scrollWidth > element.clientWidth;
    if (scrolls) element.tabIndex = 0;
  }
}

window.addEventListener("load", () => {
  Promise.resolve(window["MathJax"]?.startup?.promise).then(letKeysScroll);
});
window.addEventListener("resize", letKeysScroll);
