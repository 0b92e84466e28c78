// How far teaching is, announced when it changes; the page is shown anew when it is done.
import { show, text } from "./say.js";

const EVERY_MS = 1000;
const state = document.getElementById("teach-state");
const button = document.querySelector("#teach-form button");

document.getElementById("teach-form").addEventListener("submit", (event) => {
  if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
});

async function look() {
  let job;
  try {
    job = await (await fetch(state.dataset.job)).json();
  } catch {
    show(state, text("teach.lost"));
    return;
  }
  show(state, job.said);
  if (job.state === "waiting" || job.state === "running") setTimeout(look, EVERY_MS);
  else {
    const address = new URL(location.href);
    address.searchParams.delete("notice");
    address.hash = "teach";
    history.replaceState(null, "", address);
    location.reload();
  }
}

if (["waiting", "running"].includes(state.dataset.state)) {
  button.setAttribute("aria-disabled", "true");
  look();
}
