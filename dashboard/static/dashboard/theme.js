// Before the page is drawn: light or dark as it was chosen here, else as the system has it.
"use strict";
const chosen = localStorage.getItem("theme");  // the admin has "auto" there, too
if (["light", "dark"].includes(chosen)) document.documentElement.dataset.theme = chosen;
document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme")?.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    document.dispatchEvent(new Event("themed"));
  });
});
