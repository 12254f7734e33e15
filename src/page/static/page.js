// Times in the browser's zone, and live parts. Everything else works without this.
(() => {
  "use strict";
  const zone = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });

  const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "2-digit", day: "2-digit" });

  function ago(from) {
    const s = Math.max(0, Math.floor((Date.now() - from) / 1000));
    if (s < 60) return `${s} s ago`;
    if (s < 3600) return `${Math.floor(s / 60)} min ago`;
    if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min ago`;
    return `${Math.floor(s / 86400)} days ago`;
  }

  function times(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.getAttribute("datetime"));
      if (Number.isNaN(at.valueOf())) continue;
      element.textContent = element.classList.contains("ago") ? ago(at) : zone.format(at);
    }
    for (const element of root.querySelectorAll("text[data-at]")) {
      const at = new Date(element.getAttribute("data-at"));
      if (Number.isNaN(at.valueOf())) continue;
      element.textContent = (element.getAttribute("data-by") === "day" ? day : hour).format(at);
    }
    for (const element of root.querySelectorAll("text[data-zone]")) element.textContent = "";
  }

  // A part that somebody is using stays as it is.
  function isInUse(part) {
    if (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, summary, button")) return true;
    return [...part.querySelectorAll("input, select, textarea")].some((field) =>
      field.type === "checkbox" || field.type === "radio" ? field.checked !== field.defaultChecked
        : field.tagName === "SELECT" ? [...field.options].some((option) => option.selected !== option.defaultSelected)
          : field.value !== field.defaultValue);
  }

  // An answer that takes longer is none.
  const LONGEST = 10000;
  // What is not as it is now is asked for again after so long.
  const AGAIN = 10000;
  // The relay says at least once a minute that time went on: longer silence is a line that is dead.
  const SILENCE = 90000;
  let asking = false;
  let again = false;
  let asked = Date.now();
  let shown = new Date();
  let old = null;
  let later = null;

  // Says above all else that what is shown may no longer be true, and why.
  function isOld(why) {
    if (!old) {
      old = document.createElement("p");
      old.className = "problem";
      old.setAttribute("role", "status");
      document.querySelector("main").prepend(old);
    }
    const text = `This screen is as it was at ${zone.format(shown)}: ${why}`;
    if (old.textContent !== text) old.textContent = text;
  }

  function isFresh() {
    shown = new Date();
    if (old) { old.remove(); old = null; }
  }

  async function load() {
    const ending = new AbortController();
    const timer = setTimeout(() => ending.abort(), LONGEST);
    try {
      const answer = await fetch(location.href, {
        credentials: "same-origin", redirect: "manual", headers: { "X-Live": "1" }, signal: ending.signal,
      });
      if (answer.type === "opaqueredirect") return { why: "you are no longer logged in. Load it again to log in." };
      if (!answer.ok) return { why: `the relay answered ${answer.status}. Load it again to see why.` };
      return { text: await answer.text() };
    } catch {
      return { why: ending.signal.aborted ? "the relay has not answered within 10 s." : "the relay does not answer." };
    } finally {
      clearTimeout(timer);
    }
  }

  async function refresh() {
    if (asking) { again = true; return; }
    asking = true;
    asked = Date.now();
    clearTimeout(later);
    const { text, why } = await load();
    if (why) {
      isOld(why);
      later = setTimeout(refresh, AGAIN);
    } else {
      const fresh = new DOMParser().parseFromString(text, "text/html");
      for (const part of document.querySelectorAll("[data-live][id]")) {
        const now = fresh.getElementById(part.id);
        if (now && !isInUse(part)) {
          times(now);
          if (now.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(now));
        }
      }
      isFresh();
    }
    asking = false;
    if (again) { again = false; if (!why) refresh(); }
  }

  function hear() {
    const source = new EventSource("/live");
    let lost = false;
    source.addEventListener("changed", refresh);
    source.addEventListener("open", () => { if (lost) { lost = false; refresh(); } });
    // Why is found out by asking. A browser listens again by itself, unless it was refused.
    source.addEventListener("error", () => {
      if (!lost) { lost = true; refresh(); }
      if (source.readyState === EventSource.CLOSED) setTimeout(hear, AGAIN);
    });
  }

  function listen() {
    if (!document.querySelector("[data-live]") || !window.EventSource) return;
    hear();
    setInterval(() => {
      times(document);
      if (Date.now() - asked > SILENCE) refresh();
    }, 15000);
  }

  document.addEventListener("DOMContentLoaded", () => {
    times(document);
    listen();
  });
})();
