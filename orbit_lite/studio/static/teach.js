// Announces the progress of teaching when it changes; at the end, shows the results without reloading the page.
import { show, text } from "./say.js";

const EVERY_MS = 1000;
const state = document.getElementById("teach-state");
const button = document.querySelector("#teach-form button");

document.getElementById("teach-form").addEventListener("submit", (event) => {
  if (button.getAttribute("aria-disabled") !== "true") return;
  event.preventDefault();
  if (!state.textContent) show(state, document.getElementById("teach-note").textContent);
});

async function look() {
  let job = null;
  try {
    const answer = await fetch(state.dataset.job);
    if (answer.ok) job = await answer.json();
  } catch {
    // the studio was stopped or is busy; try again
  }
  if (job === null) show(state, text("teach.lost"));
  else if (job.state === "waiting" || job.state === "running") {
    show(state, job.said);
    document.title = `${job.said} - ${state.dataset.page}`;
  } else if (await found()) {
    show(state, job.said);
    return;
  }
  setTimeout(look, EVERY_MS);
}

// Takes the results from the server's page, so that only the server renders them.
async function found() {
  let page;
  try {
    const answer = await fetch(location.pathname);
    if (!answer.ok) return false;
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return false;
  }
  for (const id of ["taught", "teach-fault"]) {
    document.getElementById(id).replaceChildren(...page.getElementById(id).childNodes);
  }
  document.title = page.title;
  if (!page.querySelector("#teach-form button[aria-disabled]")) button.removeAttribute("aria-disabled");
  return true;
}

if (["waiting", "running"].includes(state.dataset.state)) {
  button.setAttribute("aria-disabled", "true");
  look();
}
