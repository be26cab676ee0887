// The links between nodes: the form that cuts, slows and mends one, and the list of those that are not whole.
"use strict";

class Links {
  /** `disturb(path, body, done)` sends what is wanted, and says `done` if it was. */
  constructor(form, list, disturb) {
    this.form = form;
    this.list = list;
    this.disturb = disturb;
    this.shown = new Map(); // by their ends: a button that has the focus stays
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopPropagation();
      const [one, other, delay] = ["one", "other", "delay"].map((id) => document.getElementById(id).value);
      this.#send([one, other], event.submitter?.value || "slow", Number(delay));
    });
  }

  #send(between, act, delay) {
    const how = { cut: "is cut", slow: `is slow by ${delay} ms each way`, mend: "is whole" }[act];
    const more = act === "slow" ? { delay_ms: delay } : {};
    return this.disturb("/cluster/links", { between, do: act, ...more }, `The link ${named(between)} ${how}.`);
  }

  show(links) {
    const seen = new Set();
    for (const link of links) {
      const name = named(link.between);
      seen.add(name);
      if (!this.shown.has(name)) this.shown.set(name, this.#item(name, link.between));
      const how = link.delay_ms === null ? "cut" : `slow by ${link.delay_ms} ms each way`;
      this.shown.get(name).text.textContent = `${name}: ${how}, for ${Math.ceil(link.left_s)} s more`;
    }
    for (const [name, { item }] of this.shown) {
      if (seen.has(name)) continue;
      if (item.contains(document.activeElement)) this.form.querySelector("select").focus(); // or it would be nowhere
      item.remove();
      this.shown.delete(name);
    }
  }

  #item(name, between) {
    const button = make("button", { type: "button", "aria-label": `Mend the link ${name}` }, "Mend");
    button.addEventListener("click", () => this.#send(between, "mend"));
    const text = make("span");
    const item = make("li", {}, text, button);
    this.list.append(item);
    return { item, text };
  }
}

function named(between) {
  return between.join(" – ");
}
