// The frames of a charger as they pass: filtered, paused, copied.
"use strict";
(() => {
  const list = document.getElementById("console");
  if (!list) return;
  const filter = document.getElementById("console-filter"), pause = document.getElementById("console-pause");
  const MOST = 500;
  // As the server writes the time of day: in its zone, from 00 to 23 hours.
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: document.documentElement.dataset.timeZone, timeStyle: "medium" });
  let held = [];

  const isWanted = (line) => line.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());

  function cell(name, text, title) {
    const made = document.createElement(name);
    made.textContent = text;
    if (title) made.title = title;
    return made;
  }

  function add(frames) {
    for (const told of frames) {
      const line = document.createElement("li"), comes = told.direction === "in";
      line.classList.toggle("is-error", told.is_error);
      const at = cell("span", clock.format(new Date(told.at)), told.at);
      at.className = "muted";
      line.append(at, cell("span", comes ? "←" : "→", comes ? "from the charger" : "to the charger"),
        cell("b", told.action || told.kind), cell("code", told.frame));
      line.hidden = !isWanted(line);
      list.prepend(line);
    }
    while (list.children.length > MOST) list.lastElementChild.remove();
  }

  document.addEventListener("frames", (event) => {
    if (pause.getAttribute("aria-pressed") === "true") held = held.concat(event.detail).slice(-MOST);
    else add(event.detail);
  });
  filter.addEventListener("input", () => { for (const line of list.children) line.hidden = !isWanted(line); });
  pause.addEventListener("click", () => {
    const isPaused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", isPaused);
    pause.textContent = isPaused ? "Go on" : "Pause";
    if (!isPaused) { add(held); held = []; }
  });
  const copy = document.getElementById("console-copy");
  copy.hidden = !navigator.clipboard;  // browsers lend it to pages that came over TLS, or from their own machine
  copy.addEventListener("click", async () => {
    const lines = [...list.children].filter((line) => !line.hidden).reverse();
    const text = lines.map((line) => [...line.children].map((part, n) => n ? part.textContent : part.title).join(" ")).join("\n");
    await navigator.clipboard.writeText(text);
    document.getElementById("console-note").textContent = `${lines.length} frames copied.`;
  });
})();
