// Shows the OCPP messages of a charger live, with a filter, a pause and a copy button.
"use strict";
(() => {
  const list = document.getElementById("console");
  if (!list) return;
  const filter = document.getElementById("console-filter"), pause = document.getElementById("console-pause");
  const MAX_LINES = 500;
  const kinds = { call: "Call", result: "Result", error: "Error", other: "Other" };  // of messages without an action
  // Uses the format of the server: the time zone of the page, 24 hours.
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
    for (const frame of frames) {
      const line = document.createElement("li"), isReceived = frame.direction === "in";
      line.classList.toggle("is-error", frame.is_error);
      const at = cell("span", clock.format(new Date(frame.at)), frame.at);
      at.className = "muted";
      line.append(at, cell("span", isReceived ? "←" : "→", isReceived ? translated("from the charger") : translated("to the charger")),
        cell("b", frame.action || translated(kinds[frame.kind])), cell("code", frame.frame));
      line.hidden = !isWanted(line);
      list.prepend(line);
    }
    while (list.children.length > MAX_LINES) list.lastElementChild.remove();
  }

  document.addEventListener("frames", (event) => {
    if (pause.getAttribute("aria-pressed") === "true") held = held.concat(event.detail).slice(-MAX_LINES);
    else add(event.detail);
  });
  filter.addEventListener("input", () => { for (const line of list.children) line.hidden = !isWanted(line); });
  pause.addEventListener("click", () => {
    const isPaused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", isPaused);
    pause.textContent = isPaused ? translated("Resume") : translated("Pause");
    if (!isPaused) { add(held); held = []; }
  });
  const copy = document.getElementById("console-copy");
  copy.hidden = !navigator.clipboard;  // browsers offer it only over TLS and on localhost
  copy.addEventListener("click", async () => {
    const lines = [...list.children].filter((line) => !line.hidden).reverse();
    const text = lines.map((line) => [...line.children].map((part, n) => n ? part.textContent : part.title).join(" ")).join("\n");
    await navigator.clipboard.writeText(text);
    document.getElementById("console-note").textContent = translated("Messages copied: {number}", { number: lines.length });
  });
})();
