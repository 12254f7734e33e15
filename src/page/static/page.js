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

  let asking = false;
  let again = false;
  async function refresh() {
    if (asking) { again = true; return; }
    asking = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual", headers: { "X-Live": "1" } });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live][id]")) {
          const now = fresh.getElementById(part.id);
          if (now && !isInUse(part)) {
            times(now);
            if (now.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(now));
          }
        }
      }
    } catch {
      // The relay is away for a moment; the next message asks again.
    }
    asking = false;
    if (again) { again = false; refresh(); }
  }

  function listen() {
    if (!document.querySelector("[data-live]") || !window.EventSource) return;
    const source = new EventSource("/live");
    let lost = null;
    source.addEventListener("changed", refresh);
    source.addEventListener("open", () => { if (lost) { lost.remove(); lost = null; refresh(); } });
    // What is shown may no longer be true.
    source.addEventListener("error", () => {
      if (lost) return;
      lost = document.createElement("p");
      lost.className = "problem";
      lost.setAttribute("role", "status");
      lost.textContent = `The relay does not answer: this is how it was at ${zone.format(new Date())}.`;
      document.querySelector("main").prepend(lost);
    });
    setInterval(() => times(document), 15000);
  }

  document.addEventListener("DOMContentLoaded", () => {
    times(document);
    listen();
  });
})();
