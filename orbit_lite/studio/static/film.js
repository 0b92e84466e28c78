// Films with the camera: a countdown by voice and text, some seconds of video, then the verdict.
import { CameraFault, closeCamera, listCameras, openCamera } from "./camera.js";
import { remembered, show, speak, text } from "./say.js";
import { send } from "./send.js";

const KINDS = ["video/mp4;codecs=avc1.42E01E", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];
const element = (id) => document.getElementById(`film-${id}`);
const form = element("form");
const picture = element("picture");
const COUNTDOWN_S = Number(form.dataset.countdown);
let running = null;
let opening = false;
let unsent = []; // videos that the studio did not accept, but may accept if they are sent again

form.hidden = false;
remembered(element("speak"), "studio-film-speak");

function say(line, options) {
  show(element("state"), line);
  if (element("speak").checked) speak(line, options);
}

function fault(line) {
  show(element("fault"), line);
  show(element("state"), "");
  show(element("count"), "");
  if (element("speak").checked) speak(line);
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function close() {
  closeCamera(picture);
  element("start").hidden = true;
  element("close").hidden = true;
  element("open").hidden = false;
}

function lost() {
  if (busy()) return; // the video so far is kept, see `film`
  close();
  fault(text("film.unplugged"));
}

const busy = () => element("start").getAttribute("aria-disabled") === "true";

async function open(chosen) {
  if (opening) return;
  opening = true;
  show(element("fault"), "");
  say(text("film.opening"));
  try {
    if (!("MediaRecorder" in window)) throw new CameraFault(text("film.unsupported"));
    closeCamera(picture);
    const stream = await openCamera(picture, chosen, lost);
    await listCameras(element("cameras"), element("camera"), stream);
    element("open").hidden = true;
    element("start").hidden = false;
    element("close").hidden = false;
    if (!chosen) element("start").focus();
    say(text("film.ready"));
  } catch (error) {
    close();
    fault(error instanceof CameraFault ? error.message : text("film.in_use"));
  } finally {
    opening = false;
  }
}

async function countDown() {
  for (let left = COUNTDOWN_S; left > 0; left -= 1) {
    show(element("count"), String(left));
    if (left === COUNTDOWN_S) say(text("film.soon", { seconds: left }), { interrupt: true });
    else if (element("speak").checked) speak(String(left));
    await pause(1000);
  }
}

function record(stream, seconds) {
  const kind = KINDS.find((one) => MediaRecorder.isTypeSupported(one));
  const recorder = new MediaRecorder(stream, kind ? { mimeType: kind, videoBitsPerSecond: 4000000 } : {});
  const chunks = [];
  return new Promise((resolve, reject) => {
    const began = performance.now();
    let half = false;
    const clock = setInterval(() => {
      const left = seconds - (performance.now() - began) / 1000;
      show(element("count"), text("film.left", { seconds: Math.max(0, Math.ceil(left)) }));
      if (!half && left <= seconds / 2) {
        half = true;
        say(text("film.half"));
      }
      if (left <= 0 && recorder.state === "recording") recorder.stop();
    }, 200);
    running = () => recorder.state === "recording" && recorder.stop();
    recorder.addEventListener("dataavailable", (event) => event.data.size && chunks.push(event.data));
    recorder.addEventListener("error", () => reject(new CameraFault(text("film.lost"))));
    recorder.addEventListener("stop", () => {
      clearInterval(clock);
      running = null;
      const type = (recorder.mimeType || "video/webm").split(";")[0];
      const film = new File(chunks, `filmed.${type === "video/mp4" ? "mp4" : "webm"}`, { type });
      if (film.size) resolve(film);
      else reject(new CameraFault(text("film.empty")));
    });
    recorder.start(1000);
  });
}

async function sendFilm(made, place) {
  const found = await send(form.dataset.address, made, { place });
  if (found.again) unsent.push({ made, place });
  if (!unsent.length && document.activeElement === element("again")) element("start").focus();
  element("again").hidden = !unsent.length;
  if (found.kept) {
    say(text("film.kept", { verdict: found.said }));
    form.dispatchEvent(new CustomEvent("sent", { bubbles: true }));
  } else {
    fault(text(found.again ? "film.unsent" : "film.refused", { why: found.said }));
  }
}

async function again() {
  if (!unsent.length || busy()) return;
  element("start").setAttribute("aria-disabled", "true");
  show(element("fault"), "");
  say(text("film.sending"));
  const films = unsent;
  unsent = [];
  for (const { made, place } of films) await sendFilm(made, place);
  element("start").removeAttribute("aria-disabled");
}

async function film() {
  if (busy()) return;
  element("start").setAttribute("aria-disabled", "true");
  element("close").hidden = true;
  show(element("fault"), "");
  try {
    await countDown();
    say(text("film.now"), { interrupt: true });
    element("stop").hidden = false;
    const made = await record(picture.srcObject, Number(element("seconds").value));
    if (document.activeElement === element("stop")) element("start").focus();
    element("stop").hidden = true;
    show(element("count"), "");
    say(text("film.done"));
    const place = form.querySelector("input[name=film-place]:checked").value;
    await sendFilm(made, place);
  } catch (error) {
    element("stop").hidden = true;
    fault(error instanceof CameraFault ? error.message : text("film.lost"));
  } finally {
    element("start").removeAttribute("aria-disabled");
    element("close").hidden = false;
    if (picture.srcObject && !picture.srcObject.active) close();
  }
}

element("open").addEventListener("click", () => open(""));
element("again").addEventListener("click", again);
element("close").addEventListener("click", () => {
  close();
  element("open").focus();
  show(element("fault"), "");
  say(text("film.off"));
});
element("camera").addEventListener("change", () => open(element("camera").value));
element("start").addEventListener("click", film);
element("stop").addEventListener("click", () => running && running());
form.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("beforeunload", (event) => (busy() || unsent.length) && event.preventDefault());
window.addEventListener("pagehide", () => closeCamera(picture));
