// What a page gains with JavaScript: logs as they are written, fresh numbers, copy buttons.
// Text only ever enters the page as text, or as a page that the server rendered and escaped.
"use strict";

const LOG_CHARACTERS = 400_000; // kept on screen; the whole log is one link away

function copyFrom(button) {
  const source = document.getElementById(button.dataset.copy);
  const done = (word) => {
    button.textContent = word;
    setTimeout(() => (button.textContent = "Copy"), 1500);
  };
  const byHand = () => {
    getSelection().selectAllChildren(source);
    done(document.execCommand("copy") ? "Copied" : "Press Ctrl-C");
  };
  // The clipboard interface exists only on https and on this machine.
  if (!navigator.clipboard) return byHand();
  navigator.clipboard.writeText(source.textContent).then(() => done("Copied"), byHand);
}

function showCopyButtons() {
  for (const button of document.querySelectorAll("button.copy")) button.hidden = false;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.copy");
  if (button) copyFrom(button);
});

// Fetch this page again and take over its parts marked data-live, unless somebody is in the middle of one.
let refreshing = false;
const shown = new Map(); // id → the HTML last taken over
async function refresh() {
  if (refreshing || document.hidden) return;
  refreshing = true;
  try {
    const answer = await fetch(location.href, { redirect: "error" });
    if (answer.ok) takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The server is away for a moment; the next round finds it again.
  } finally {
    refreshing = false;
  }
}

function takeOver(page) {
  document.title = page.title;
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    if (!fresh || isInUse(old) || shown.get(old.id) === fresh.innerHTML) continue;
    shown.set(old.id, fresh.innerHTML);
    for (const details of old.querySelectorAll("details[open]")) {
      const same = fresh.querySelector("#" + CSS.escape(details.id));
      if (same) same.open = true;
    }
    old.replaceWith(fresh);
  }
  showCopyButtons();
}

function isInUse(part) {
  const selection = getSelection();
  const isSelected = !selection.isCollapsed && part.contains(selection.anchorNode);
  return isSelected || (part.contains(document.activeElement) && document.activeElement !== document.body);
}

function followLog(log) {
  const address = new URL(log.dataset.events, location.href);
  const state = document.getElementById("log-state");
  const say = (text) => (state.textContent = text);
  let source = null;

  const listeners = {
    log(event) {
      const follow = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      log.append(JSON.parse(event.data));
      while (log.childNodes.length > 1 && log.textContent.length > LOG_CHARACTERS) log.firstChild.remove();
      if (follow) log.scrollTop = log.scrollHeight;
      address.searchParams.set("offset", event.lastEventId);
    },
    restart(event) {
      log.replaceChildren();
      address.searchParams.set("attempt", event.data);
      address.searchParams.set("offset", 0);
    },
    changed: refresh,
    end(event) {
      source.close();
      document.removeEventListener("visibilitychange", attend);
      say(`${event.data}.`);
      refresh();
    },
  };

  // Browsers allow six connections to a server; tabs that nobody looks at must not hold them.
  function attend() {
    source?.close();
    if (document.hidden) return;
    source = new EventSource(address);
    source.onopen = () => say("Live.");
    source.onerror = () => {
      const isOver = source.readyState === EventSource.CLOSED; // the session ended, for example
      say(isOver ? "Reload to see more." : "The connection is lost; trying again.");
    };
    for (const [name, listener] of Object.entries(listeners)) source.addEventListener(name, listener);
  }
  document.addEventListener("visibilitychange", attend);
  attend();
}

showCopyButtons();
document.addEventListener("visibilitychange", refresh);
const log = document.getElementById("log");
if (log) log.scrollTop = log.scrollHeight;
if (log?.dataset.events) followLog(log);
const every = document.querySelector("[data-refresh]")?.dataset.refresh;
if (every) setInterval(refresh, every * 1000);
