// Sets the light or dark theme before the page is drawn: the chosen one, else that of the system.
"use strict";
const chosen = localStorage.getItem("theme");  // the admin also stores "auto"
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
