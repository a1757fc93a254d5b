// A copy button for each claim's citation. Without this script the text can still be opened and read.
"use strict";

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

for (const details of document.querySelectorAll(".claim-citation")) {
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
