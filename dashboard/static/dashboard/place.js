// Drags chargers to the buttons of sites. A drop selects the dragged charger and presses the button.
"use strict";
(() => {
  const form = document.getElementById("place");
  let dragged = null;

  form.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("[draggable]");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged?.textContent.trim() ?? "");
    form.classList.add("is-dragging");
  });
  form.addEventListener("dragend", () => { dragged = null; form.classList.remove("is-dragging"); });
  for (const target of form.querySelectorAll(".target")) {
    target.addEventListener("dragover", (event) => { if (dragged) { event.preventDefault(); target.classList.add("is-over"); } });
    target.addEventListener("dragleave", () => target.classList.remove("is-over"));
    target.addEventListener("drop", (event) => {
      event.preventDefault();
      target.classList.remove("is-over");
      const box = dragged?.querySelector("input[type=checkbox]");
      if (!box) return;
      box.checked = true;
      form.requestSubmit(target);
    });
    // Not the site of the list of the other button.
    target.addEventListener("click", () => { form.elements.to.value = ""; });
  }
})();
