// Texts by key, status lines that screen readers announce, and the browser's own voice.
import words from "./words.js";

export function text(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// A live region is announced when its text changes; the same text again is not.
export function show(element, line) {
  if (element.textContent !== line) element.textContent = line;
}

export function speak(line, { interrupt = false } = {}) {
  if (!("speechSynthesis" in window) || !line) return;
  if (interrupt) window.speechSynthesis.cancel();
  const said = new SpeechSynthesisUtterance(line);
  said.lang = document.documentElement.lang;
  window.speechSynthesis.speak(said);
}

// A choice that is remembered for the next page. If the browser refuses to store it, it applies only to this page.
export function remembered(box, name) {
  try {
    const kept = window.localStorage.getItem(name);
    if (kept !== null) box.checked = kept === "yes";
    box.addEventListener("change", () => window.localStorage.setItem(name, box.checked ? "yes" : "no"));
  } catch {
    // the choice is not stored
  }
}
