// The page of the cluster: what comes over the stream goes to the drawing, the charts and the list.
"use strict";

const MAX_EVENTS = 60;
const AGAIN_MS = 2000;
const SILENT_MS = 4000; // a proxy between may pass on what comes in bursts

{
  const place = document.getElementById("cluster");
  const topology = new Topology(
    document.getElementById("topology"), document.querySelector(".nodes"), JSON.parse(place.dataset.settings));
  const charts = new Charts(document.getElementById("charts"));
  const events = document.getElementById("events");
  const connection = document.getElementById("connection");
  new Lesson(document.getElementById("lesson"), topology);

  const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 1, hourCycle: "h23" });

  function tell({ at, text, rule, kind }) {
    const moment = new Date(1000 * at);
    const time = make("time", { datetime: moment.toISOString() }, clock.format(moment));
    document.getElementById("nothing")?.remove();
    events.prepend(make("li", { class: kind }, time, text, ...cite(rule)));
    while (events.children.length > MAX_EVENTS) events.lastChild.remove();
  }

  let links; // where they can be disturbed
  let begun = false;
  function watch() {
    if (!window.SharedWorker) return watchAlone();
    const worker = new SharedWorker(place.dataset.watching);
    worker.addEventListener("error", watchAlone); // it did not load
    worker.port.addEventListener("message", ({ data }) => (data ? show(data) : lose()));
    worker.port.start();
    addEventListener("pagehide", () => worker.port.postMessage("going"), { once: true });
  }
  addEventListener("pageshow", (event) => event.persisted && watch());

  /** With a stream of its own, for as long as it is looked at. */
  function watchAlone() {
    if (document.hidden) return document.addEventListener("visibilitychange", watchAlone, { once: true });
    const stream = new EventSource("/cluster/events");
    const end = () => {
      stream.close();
      clearTimeout(silence);
      document.removeEventListener("visibilitychange", pause);
    };
    const pause = () => (end(), watchAlone());
    document.addEventListener("visibilitychange", pause);
    stream.addEventListener("message", (message) => show(JSON.parse(message.data)));
    stream.addEventListener("error", () => {
      lose();
      // A refusal ends it for good: then it is on us to try again.
      if (stream.readyState === EventSource.CLOSED) end(), setTimeout(watchAlone, AGAIN_MS);
    });
  }

  /** Nothing comes: what is drawn is not how it is any more. */
  function lose() {
    place.classList.add("lost");
    connection.textContent = "The front end does not answer; connecting again…";
  }

  const databases = document.getElementById("databases"); // where the shop keeps its state in one
  const standing = ({ role, name, answers, writes, lag }) => `Database of the ${role}: ${name} ${
    !answers ? "does not answer" : writes ? "takes writes" : `is a standby${lag === null ? "" : `, ${lag} bytes behind`}`}`;

  let silence;
  function show(seen) {
    clearTimeout(silence);
    silence = setTimeout(lose, SILENT_MS);
    if (place.classList.contains("lost")) {
      place.classList.remove("lost");
      tell({ at: Date.now() / 1000, text: "this page sees its front end again", rule: "", kind: "good" });
    }
    connection.textContent = "Live, five times a second.";
    if (!seen.nodes && begun) return; // what happened before: known, after a lost connection
    begun = true;
    seen.events.forEach(tell);
    if (seen.nodes) topology.show(seen);
    if (seen.links) links?.show(seen.links);
    if (databases && seen.databases) databases.replaceChildren(...seen.databases.map((server) => make("li", {}, standing(server))));
    if (seen.rates) charts.add(seen.rates);
  }
  watch();

  // --- disturbing ---

  const disturbed = document.getElementById("disturbed"); // not where nodes are on several machines
  document.getElementById("token-form")?.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
  });

  async function disturb(path, body, done) {
    if (place.classList.contains("lost")) return;
    const token = document.getElementById("token");
    if (!token.value) {
      disturbed.textContent = "Give the cluster token first.";
      token.focus();
      return;
    }
    try {
      const answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${token.value}` },
        body: JSON.stringify(body),
      });
      const told = await answer.json();
      disturbed.textContent = answer.ok ? done : `Refused: ${told.error}.`;
    } catch {
      disturbed.textContent = "The front end does not answer. Try again.";
    }
  }

  document.querySelector(".nodes").addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    const name = button.closest("[data-node]").dataset.node;
    const done = { pause: "is paused", kill: "is killed", return: "may go on" }[button.dataset.do];
    disturb(`/cluster/nodes/${name}`, { do: button.dataset.do }, `${name} ${done}.`);
  });

  const form = document.getElementById("links");
  if (form) links = new Links(form, document.getElementById("impaired"), disturb);
}
