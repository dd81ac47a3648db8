// What a page can do beyond being read: it stays live, its times go on, and "/" goes to the search.
// Every page is complete without this. Live: the server says that something changed, the page is asked for anew, and
// the parts of it marked data-part that differ are put in the place of the old ones.
"use strict";

(() => {
  const body = document.body;
  const parser = new DOMParser();
  const state = document.querySelector("[data-live-state]");

  function ago(seconds) {
    const [sign, span] = seconds < -1 ? [-1, -seconds] : [1, seconds];
    if (sign > 0 && span < 5) return "just now";
    const [unit, name] = span >= 86400 ? [86400, "d"] : span >= 3600 ? [3600, "h"] : span >= 60 ? [60, "min"] : [1, "s"];
    const text = `${Math.floor(span / unit)} ${name}`;
    return sign > 0 ? `${text} ago` : `in ${text}`;
  }

  // The server's clock decides: this machine's may be wrong.
  const drawn = Date.parse(document.querySelector("[data-drawn]")?.dateTime ?? "") || Date.now();
  const ahead = Date.now() - drawn;

  function tick() {
    for (const each of document.querySelectorAll("time[data-ago]")) {
      const text = ago((Date.now() - ahead - Date.parse(each.dateTime)) / 1000);
      if (each.textContent !== text) each.textContent = text;
    }
  }
  setInterval(tick, 5000);

  function isBusy(part) {
    const inside = document.activeElement;
    if (inside && part.contains(inside) && inside.matches("input, select, textarea")) return true;
    const chosen = document.getSelection();
    return Boolean(chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode));
  }

  function exchange(page) {
    for (const part of document.querySelectorAll("[data-part]")) {
      const fresh = page.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`);
      if (!fresh || fresh.dataset.mark === part.dataset.mark && fresh.innerHTML === part.innerHTML || isBusy(part)) continue;
      const open = [...part.querySelectorAll("details[open][id]")].map((each) => each.id);
      const focused = part.contains(document.activeElement) ? document.activeElement.id || document.activeElement.getAttribute("href") : null;
      const scrolled = [...part.querySelectorAll("[data-scrolls]")].map((each) => each.scrollLeft);
      const old = new Map([...part.querySelectorAll("[data-mark]")].map((each) => [each.dataset.key, each.dataset.mark]));
      fresh.querySelectorAll("[data-mark]").forEach((each) => each.classList.toggle("fresh", old.get(each.dataset.key) !== each.dataset.mark));
      part.replaceWith(fresh);
      open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
      fresh.querySelectorAll("[data-scrolls]").forEach((each, n) => { each.scrollLeft = scrolled[n] ?? 0; });
      if (focused) [...fresh.querySelectorAll("a, button")].find((each) => each.id === focused || each.getAttribute("href") === focused)?.focus();
    }
    enliven();
    tick();
  }

  // What makes sense with scripts alone is hidden as drawn.
  function enliven() {
    for (const each of document.querySelectorAll("[data-copies]")) each.hidden = !navigator.clipboard;
  }

  let asking = false;
  let again = false;
  async function refresh() {
    if (asking) { again = true; return; }
    asking = true;
    again = false;
    const began = performance.now();
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
      if (answer.ok || answer.status === 503) exchange(parser.parseFromString(await answer.text(), "text/html"));
      else say(false);
    } catch {
      say(false);
    }
    // A page that is slow to draw is asked for less often.
    setTimeout(() => { asking = false; if (again) refresh(); }, Math.max(500, 4 * (performance.now() - began)));
  }

  function say(isLive) {
    if (!state) return;
    const word = state.querySelector("[data-live-word]");
    const text = isLive ? "live" : "not live";
    state.hidden = false;
    state.classList.toggle("off", !isLive);
    if (word.textContent !== text) word.textContent = text;
  }

  // A hidden page listens to nothing: browsers have few connections to one server, and tabs share them.
  let source = null;
  function listen() {
    if (source || document.hidden) return;
    source = new EventSource(body.dataset.live);
    source.addEventListener("open", () => { say(true); refresh(); });  // what changed while nobody listened
    source.addEventListener("error", () => say(false));
    source.addEventListener("changed", refresh);
  }
  function rest() {
    source?.close();
    source = null;
  }
  if (body.dataset.live && document.querySelector("[data-part]")) {
    listen();
    document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
    addEventListener("pagehide", rest);
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const find = document.getElementById("find");
    if (find) { event.preventDefault(); find.focus(); find.select(); }
  });
  for (const each of document.querySelectorAll("[data-without-script]")) each.hidden = true;
  for (const each of document.querySelectorAll("select[data-submits]")) each.addEventListener("change", () => each.form.submit());
  // On the document, since parts of the page are exchanged.
  document.addEventListener("click", async (event) => {
    const copier = event.target.closest("[data-copies]");
    if (!copier) return;
    await navigator.clipboard.writeText(copier.dataset.copies);
    copier.textContent = "Copied";
    setTimeout(() => { copier.textContent = "Copy reference"; }, 1500);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-once]")) event.target.querySelectorAll("button").forEach((each) => { each.disabled = true; });
  });
  enliven();
  tick();
})();
