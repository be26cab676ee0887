// Holds the one stream of events that all of a browser's pages of the cluster share: over HTTP/1.1 a
// browser has six connections to a site, and each page's own stream would be one less for all else.
"use strict";

const MAX_EVENTS = 60;
const AGAIN_MS = 2000;

const pages = new Set();
let stream = null;
let again;
let events = null; // what has happened, for pages that come later

function tell(seen) {
  for (const page of pages) page.postMessage(seen);
}

function watch() {
  stream = new EventSource("/cluster/events");
  stream.addEventListener("message", (message) => {
    const seen = JSON.parse(message.data);
    events = seen.nodes ? [...(events ?? []), ...seen.events].slice(-MAX_EVENTS) : seen.events;
    tell(seen);
  });
  stream.addEventListener("error", () => {
    tell(null);
    // A refusal ends it for good: then it is on us to try again.
    if (stream.readyState === EventSource.CLOSED) again = setTimeout(watch, AGAIN_MS);
  });
}

self.addEventListener("connect", ({ ports: [page] }) => {
  // All that a page ever says is that it goes.
  page.addEventListener("message", () => {
    pages.delete(page);
    if (pages.size) return;
    clearTimeout(again);
    stream.close();
    stream = events = null;
  });
  page.start();
  pages.add(page);
  if (events) page.postMessage({ events });
  if (!stream) watch();
});
