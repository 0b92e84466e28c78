// Updates the list of videos: verdicts when they are ready, and new videos when they arrive.
import { show } from "./say.js";

const EVERY_MS = 1500;
const section = document.getElementById("videos-section");
const lines = () => [...section.querySelectorAll("[data-verdict]")];

async function look() {
  let known;
  try {
    const answer = await fetch(section.dataset.verdicts);
    if (!answer.ok) return;
    known = await answer.json();
  } catch {
    return; // the studio was stopped
  }
  let open = false;
  for (const line of lines()) {
    const said = known[line.dataset.verdict];
    if (said) show(line, said);
    else if (said === null) open = true;
  }
  if (open) setTimeout(look, EVERY_MS);
}

// Takes the list from the server's page, so that only the server renders it.
async function again() {
  const address = new URL(location.href);
  address.searchParams.delete("notice");
  let page;
  try {
    page = new DOMParser().parseFromString(await (await fetch(address)).text(), "text/html");
  } catch {
    return;
  }
  const fresh = page.getElementById("videos-section");
  if (fresh) section.replaceChildren(...fresh.childNodes);
  look();
}

document.addEventListener("sent", again);
look();
