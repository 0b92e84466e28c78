// Checks whether the studio still responds; if not, the page says so and sends no forms.
import { show, text } from "./say.js";

const EVERY_MS = 3000;
const line = document.getElementById("studio-gone");
let gone = false;

async function look() {
  try {
    const answer = await fetch("/alive");
    if (answer.ok) {
      show(line, gone ? text("gone.back") : "");
      gone = false;
    } else {
      gone = true;
      show(line, text("gone.restarted"));
    }
  } catch {
    gone = true;
    show(line, text("gone.stopped"));
  }
  setTimeout(look, EVERY_MS);
}

document.addEventListener("submit", (event) => {
  if (!gone || event.defaultPrevented) return;
  event.preventDefault();
  const said = line.textContent;
  show(line, "");
  setTimeout(() => show(line, said), 100); // so that it is announced again
});

setTimeout(look, EVERY_MS);
