// The page of the cluster: what comes over the stream goes to the drawing, the charts and the list.
"use strict";

const MAX_EVENTS = 60;

{
  const place = document.getElementById("cluster");
  const topology = new Topology(
    document.getElementById("topology"), document.querySelector(".nodes"), JSON.parse(place.dataset.settings));
  const charts = new Charts(document.getElementById("charts"));
  const events = document.getElementById("events");
  const connection = document.getElementById("connection");
  new Lesson(document.getElementById("lesson"), topology);

  function tell({ at, text, rule, kind }) {
    const moment = new Date(1000 * at);
    const time = make("time", { datetime: moment.toISOString() }, moment.toLocaleTimeString());
    document.getElementById("nothing")?.remove();
    events.prepend(make("li", { class: kind }, time, text, ...cite(rule)));
    while (events.children.length > MAX_EVENTS) events.lastChild.remove();
  }

  const stream = new EventSource("/cluster/events");
  let begun = false;
  stream.addEventListener("message", (message) => {
    const seen = JSON.parse(message.data);
    connection.textContent = "Live.";
    if (!seen.nodes && begun) return; // what happened before: known, after a lost connection
    begun = true;
    seen.events.forEach(tell);
    if (seen.nodes) topology.show(seen);
    if (seen.rates) charts.add(seen.rates);
  });
  stream.addEventListener("error", () => {
    connection.textContent = "The stream broke off; connecting again…";
  });

  // --- disturbing ---

  const disturbed = document.getElementById("disturbed");
  document.getElementById("token-form")?.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
  });
  document.querySelector(".nodes").addEventListener("click", async (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    const name = button.closest("[data-node]").dataset.node;
    const token = document.getElementById("token");
    if (!token.value) {
      disturbed.textContent = "Give the cluster token first.";
      token.focus();
      return;
    }
    const answer = await fetch(`/cluster/nodes/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token.value}` },
      body: JSON.stringify({ do: button.dataset.do }),
    });
    const body = await answer.json();
    const done = { pause: "is paused", kill: "is killed", return: "goes on" }[button.dataset.do];
    disturbed.textContent = answer.ok ? `${name} ${done}.` : `Refused: ${body.error}`;
  });
}
