// Files from the picker or dropped on the page, sent one after the other. Without this script the form does it.
import { show, text } from "./say.js";
import { inGigabytes, send } from "./send.js";

const form = document.getElementById("upload-form");
const files = document.getElementById("files");
const state = document.getElementById("upload-state");
const results = document.getElementById("upload-results");
const bar = document.getElementById("upload-bar");
let busy = false;

document.getElementById("drop-hint").hidden = false;

function line(words) {
  const item = document.createElement("li");
  item.textContent = words;
  results.append(item);
}

async function sendAll(list) {
  if (busy || !list.length) return;
  busy = true;
  results.replaceChildren();
  let refused = 0;
  const place = form.querySelector("input[name=place]:checked");
  document.getElementById("upload-progress").hidden = false;
  for (const file of list) {
    show(state, text("upload.sending", { name: file.name }));
    const tooLarge = inGigabytes(form, file);
    const found = tooLarge
      ? { kept: false, name: file.name, said: tooLarge }
      : await send(form.action, file, place ? { place: place.value } : {}, (done) => {
          bar.value = done;
          if (done >= 100) show(state, text("upload.judging", { name: file.name }));
        });
    if (!found.kept) refused += 1;
    line(found.line || text("upload.refused", { name: found.name, why: found.said }));
    if (list.length === 1) show(state, found.line || text("upload.refused", { name: found.name, why: found.said }));
  }
  if (list.length > 1) show(state, text(refused ? "upload.some_refused" : "upload.all_kept"));
  document.getElementById("upload-progress").hidden = true;
  bar.value = 0;
  form.reset();
  busy = false;
  form.dispatchEvent(new CustomEvent("sent", { bubbles: true }));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sendAll([...files.files]);
});

document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  sendAll([...event.dataTransfer.files]);
});
