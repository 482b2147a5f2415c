// Suggestions in the forms of commands that are searched on the server while the user types.
"use strict";

const WAIT_MS = 200;
const tokens = document.querySelector("datalist[data-search]");
let waiting = 0;

async function search(text) {
  const answer = await fetch(`${tokens.dataset.search}?search=${encodeURIComponent(text)}`);
  if (!answer.ok) return;
  const options = (await answer.json()).tokens.map(({ id_tag, type, description }) => {
    const option = document.createElement("option");
    [option.value, option.textContent, option.dataset.type] = [id_tag, [type, description].filter(Boolean).join(" · "), type];
    return option;
  });
  tokens.replaceChildren(...options);
}

// Sets the type beside the id token `input`, if it is one of the suggestions and has a type.
function fillType(input) {
  const chosen = [...tokens.options].find((option) => option.value === input.value);
  const name = input.name.replace(/[^.]*$/, input.dataset.fills);
  const other = input.form.elements[name];
  if (chosen?.dataset.type && other) other.value = chosen.dataset.type;
}

if (tokens) {
  document.addEventListener("input", (event) => {
    const input = event.target;
    if (input.getAttribute("list") !== tokens.id) return;
    if (input.dataset.fills) fillType(input);
    clearTimeout(waiting);
    if (input.value) waiting = setTimeout(() => search(input.value), WAIT_MS);
  });
}
