// Sends files from the picker, or dropped on the page, one after the other. Without this script, the form sends them.
import { show, text } from "./say.js";
import { inGigabytes, send } from "./send.js";

const form = document.getElementById("upload-form");
const files = document.getElementById("files");
const state = document.getElementById("upload-state");
const results = document.getElementById("upload-results");
const bar = document.getElementById("upload-bar");
const WORDS =
  form.dataset.does === "try"
    ? { all: "try.all_answered", some: "try.some_refused", refused: "try.refused" }
    : { all: "upload.all_kept", some: "upload.some_refused", refused: "upload.refused" };
const waiting = []; // files added while others are being sent
let busy = false;

document.getElementById("drop-hint").hidden = false;

function line(words) {
  const item = document.createElement("li");
  item.textContent = words;
  results.append(item);
}

async function sendAll(list) {
  const chosen = form.querySelector("input[name=place]:checked");
  waiting.push(...list.map((file) => ({ file, fields: chosen ? { place: chosen.value } : {} })));
  if (busy || !waiting.length) return;
  busy = true;
  results.replaceChildren();
  let refused = 0;
  let count = 0;
  let last = "";
  document.getElementById("upload-progress").hidden = false;
  while (waiting.length) {
    const { file, fields } = waiting.shift();
    count += 1;
    show(state, text("upload.sending", { name: file.name }));
    const tooLarge = inGigabytes(form, file);
    const found = tooLarge
      ? { kept: false, name: file.name, said: tooLarge }
      : await send(form.action, file, fields, (done) => {
          bar.value = done;
          if (done >= 100) show(state, text("upload.judging", { name: file.name }));
        });
    if (!found.kept) refused += 1;
    last = found.line || text(WORDS.refused, { name: found.name, why: found.said });
    line(last);
  }
  show(state, count === 1 ? last : text(refused ? WORDS.some : WORDS.all));
  document.getElementById("upload-progress").hidden = true;
  bar.value = 0;
  busy = false;
  form.dispatchEvent(new CustomEvent("sent", { bubbles: true }));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = [...files.files];
  files.value = "";
  sendAll(chosen);
});
window.addEventListener("beforeunload", (event) => busy && event.preventDefault());

document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  sendAll([...event.dataTransfer.files]);
});
