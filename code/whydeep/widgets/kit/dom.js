// Elements of the page, and ids for them.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (on… are listeners, true is an empty attribute) and children.
 *  @param {string} tag  @param {any} [attributes]  @param {...(Node | string)} children
 *  @returns {any} */
export function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "text", "rect", "clipPath", "defs"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** An id that no other widget on the page has. */
export function freshId() {
  return `wd-${Math.random().toString(36).slice(2)}`;
}
