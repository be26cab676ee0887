// What makes the shop better where there is a script. Without one, the same forms work by themselves.
"use strict";

const PATIENCE_MS = 20000;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// --- how much is in the basket: pages about books are the same for all, so it is filled in here ---

function showCount() {
  const match = /(?:^|; )basket="?([0-9a-f]{32,40}[~0-9.]*)/.exec(document.cookie);
  const lines = match ? match[1].split("~").slice(1) : [];
  const copies = lines.reduce((sum, line) => sum + Number(line.split(".")[1]), 0);
  for (const place of document.querySelectorAll("[data-basket-count]")) {
    place.textContent = copies ? String(copies) : "";
  }
}

// --- what was bought just now: its page says so, and offers it again only if asked to -------------

function showBought() {
  const place = document.querySelector("[data-bought]");
  if (!place) return;
  const match = new RegExp(`[="~]${place.dataset.bought}\\.([0-9a-f]{32})\\.`).exec(
    /(?:^|; )bought=[^;]*/.exec(document.cookie)?.[0] ?? "");
  const form = document.querySelector("[data-buy]");
  place.hidden = !match;
  if (form) form.hidden = !!match;
  if (!match) return;
  place.querySelector("a").href = `/receipt/${match[1]}`;
  place.querySelector("h2").focus();
  place.querySelector("button")?.addEventListener("click", (event) => {
    event.target.disabled = true;  // it keeps its place, so that no button of the form is under a second tap
    form.hidden = false;
    form.tabIndex = -1;  // nor anything that a second press of Enter would do
    form.focus({ preventScroll: true });
  }, { once: true });
}

// --- a form that is sent once, however often its button is pressed --------------------------------

function busy(form, is) {
  form.dataset.busy = is ? "yes" : "";
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-busy", String(is));
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.busy === "yes") {
    event.preventDefault();
  } else if (form.dataset.buy && !event.submitter?.hasAttribute("formaction")) {
    event.preventDefault();
    busy(form, true);
    buy(form).finally(() => busy(form, false));
  } else if (form.method === "post") {
    busy(form, true);
  }
});

// --- buying: one key until there is an order, through lost connections and reloads ---------------

async function buy(form) {
  const slot = `key-${form.dataset.buy}`;
  let key;
  try {
    key = sessionStorage.getItem(slot) || newKey();
    sessionStorage.setItem(slot, key);
  } catch {
    form.submit();  // nothing can be kept here, as where there is no script
    return;
  }
  form.elements.key.value = key;
  const asked = new URLSearchParams(new FormData(form));
  const told = document.querySelector("[data-told]");
  const until = Date.now() + PATIENCE_MS;
  told.textContent = "Buying…";
  for (let pause = 250; Date.now() < until; pause = Math.min(pause * 2, 2000)) {
    let answer, to;
    try {
      answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json" },
        body: asked,
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (answer.ok) to = (await answer.json()).location;  // the order, or a question
    } catch {
      told.textContent = "The connection broke. Asking again; it stays one order…";
      await wait(pause);
      continue;
    }
    if (to) {
      sessionStorage.removeItem(slot);
      location.assign(to);
      return;
    }
    if (answer.status === 422) {
      sessionStorage.removeItem(slot);
      told.textContent = "An earlier press went through, with other copies. Press again for one more order.";
      return;
    }
    if (answer.status < 500 && answer.status !== 429) {
      form.submit();  // to the page that says why
      return;
    }
    told.textContent = "The shop needs a moment. Asking again; it stays one order…";
    await wait(pause);
  }
  told.textContent = "No answer so far. Press again whenever you like: it stays the same order.";
}

// A page from before, by the back button: nothing is under way on it any more, and what it shows of
// stock may be old (browsers do not ask again then, whatever Cache-Control says).
window.addEventListener("pageshow", (event) => {
  const [way] = performance.getEntriesByType("navigation");
  const back = event.persisted || way?.type === "back_forward";
  if (back && document.querySelector("[data-bought]")) location.reload();
  else if (event.persisted && document.querySelector("[data-fresh]")) location.reload();
  for (const form of document.forms) busy(form, false);
  showCount();
  showBought();
});
