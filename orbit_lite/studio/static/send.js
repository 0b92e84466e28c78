// Sends one file to the server, with progress, and returns the result.
import { text } from "./say.js";

export function send(address, file, fields, progress = () => {}) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("files", file, file.name);
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    // `again`: the file itself is fine, so it may be sent again
    const failed = (said) => resolve({ kept: false, again: true, name: file.name, said });
    const broken = () => failed(text("upload.broken"));
    request.open("POST", address);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress((100 * event.loaded) / event.total);
    });
    request.addEventListener("error", broken);
    request.addEventListener("load", () => {
      const answer = request.response;
      if (answer && answer.files && answer.files.length) resolve(answer.files[0]);
      else if (answer && answer.fault) failed(answer.fault);
      else broken();
    });
    request.send(form);
  });
}

export function inGigabytes(form, file) {
  return file.size > Number(form.dataset.most) ? text("upload.too_large", { most: form.dataset.mostSaid }) : "";
}
