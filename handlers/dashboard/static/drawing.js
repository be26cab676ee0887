// SVG and HTML elements, made without markup in strings.
"use strict";

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function milliseconds(ms) {
  return ms >= 100 ? `${ms.toFixed(0)} ms` : ms >= 1 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(2)} ms`;
}

/** Names of rules, each a link to what it says. */
function cite(rules) {
  return rules.split(", ").filter(Boolean).flatMap((name) => {
    const link = make("a", { class: "rule", href: `#rule-${name}` }, name);
    link.addEventListener("click", () => {
      document.getElementById("rules").open = true;
      document.getElementById(`rule-${name}`).focus();
    });
    return [" ", link];
  });
}
