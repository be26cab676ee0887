// One request, and the way it took: step by step, with the rule of the protocol that each followed.
"use strict";

const CACHE = {
  hit: "a hit, from the front end’s cache",
  miss: "a miss, fetched from a replica",
  pass: "passed by the cache",
};

const MORE = {
  out_of_stock: ". Try another book",
  not_found: ". The number of each book stands in the address of its page",
};

class Lesson {
  constructor(form, topology) {
    this.form = form;
    this.topology = topology;
    this.result = document.getElementById("result");
    this.steps = document.getElementById("steps");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.#send(event.submitter?.value || "read");
    });
  }

  async #send(act) {
    if (this.busy) return;
    this.busy = true;
    this.result.textContent = act === "buy" ? "Buying…" : "Reading…";
    try {
      const book = Number(document.getElementById("book").value);
      const answer = await fetch("/cluster/try", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ do: act, book }),
      });
      const body = await answer.json();
      if (answer.ok) this.#show(act, body);
      else this.#refused(answer.status, body);
    } catch {
      this.#refused(0, { error: "the front end does not answer" });
    } finally {
      this.busy = false;
    }
  }

  #refused(status, body) {
    this.steps.replaceChildren();
    this.topology.showWay([]);
    const more = MORE[body.code] ?? "";
    this.result.textContent = `Refused${status ? ` (${status})` : ""}: ${body.error}${more}.`;
  }

  #show(act, { steps, ms, result }) {
    this.result.textContent = act === "buy"
      ? `Bought in ${milliseconds(ms)}; ${result.left} left.`
      : `Answered in ${milliseconds(ms)}: ${CACHE[result.cache]}.`;
    let hop = 0;
    this.steps.replaceChildren(...steps.map((step) => {
      const bar = make("span", { class: "bar" });
      bar.style.marginLeft = `${Math.min((100 * step.began_ms) / ms, 99)}%`;
      bar.style.width = `${(100 * step.ms) / ms}%`;
      const way = step.to ? ` → ${step.to}` : "";
      const number = step.to ? `${++hop}. ` : "";
      return make("li", {},
        make("span", { class: "ms" }, step.ms ? milliseconds(step.ms) : ""),
        make("span", { class: "at" }, `${number}${step.at}${way}`), ...cite(step.rule), ` ${step.text}.`, bar);
    }));
    this.topology.showWay(steps);
  }
}
