// Behaviour of all pages: translated texts, relative times, lists in forms, confirmations.
"use strict";

const texts = JSON.parse(document.getElementById("texts").textContent);

// Returns the translation of an English text, with {name} replaced by the value of that name.
function translated(text, values = {}) {
  return (texts[text] ?? text).replace(/{(\w+)}/g, (_, name) => values[name]);
}

function ago(at) {
  const seconds = (Date.now() - at) / 1000, distance = Math.abs(seconds);
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => distance >= size) ?? [1, "s"];
  if (distance < 5) return translated("just now");
  return translated(seconds > 0 ? "{time} ago" : "in {time}", { time: `${Math.round(distance / size)} ${translated(unit)}` });
}

function writeTimes(root) {
  for (const time of root.querySelectorAll("time[data-ago]")) time.textContent = ago(new Date(time.dateTime));
}

function unfold(root) {
  for (const details of root.querySelectorAll("details[data-keeps-open]")) {
    if (sessionStorage.getItem(details.dataset.keepsOpen)) details.open = true;
    details.addEventListener("toggle", () => details.open
      ? sessionStorage.setItem(details.dataset.keepsOpen, "1") : sessionStorage.removeItem(details.dataset.keepsOpen));
  }
}

writeTimes(document);
unfold(document);
setInterval(() => writeTimes(document), 10000);
document.addEventListener("renewed", (event) => { writeTimes(event.target); unfold(event.target); });

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.goes) {
    event.preventDefault();
    location.href = form.dataset.goes.replace(/ACTION\/$/, `${form.querySelector("[data-action]").value}/`) + location.search;
  }
  const question = form.dataset.confirm ?? form.querySelector("[data-confirm]:checked")?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// A file that is too large is refused before it is sent, because the server would close the connection.
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-largest]")) return;
  const isTooLarge = [...event.target.files].some((file) => file.size > Number(event.target.dataset.largest));
  event.target.setCustomValidity(isTooLarge ? event.target.dataset.tooLarge : "");
});

document.addEventListener("click", (event) => {
  if (!event.target.matches("[data-adds]")) return;
  const list = event.target.closest("[data-list]"), items = list.querySelector("[data-items]");
  // Only the number of this list, because lists within the new item have numbers of their own.
  const path = `${list.dataset.list}.`;
  const html = list.querySelector(":scope > template").innerHTML;
  const template = html.replaceAll(`${path}__n__`, path + items.children.length);
  items.insertAdjacentHTML("beforeend", template);
  items.lastElementChild.querySelector("input, select, textarea")?.focus();
});

// On a phone the navigation is a menu.
document.getElementById("menu")?.addEventListener("click", (event) => {
  const isOpen = event.currentTarget.getAttribute("aria-expanded") === "true";
  event.currentTarget.setAttribute("aria-expanded", String(!isOpen));
});
