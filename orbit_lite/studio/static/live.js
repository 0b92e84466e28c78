// Sends the camera's pictures to the server as small JPEGs over a WebSocket, and shows the answers, also by voice.
import { CameraFault, closeCamera, listCameras, openCamera } from "./camera.js";
import { remembered, show, speak, text } from "./say.js";

const EVERY_MS = 66; // fifteen pictures per second, of which the server answers the newest
const SPEED_EVERY_MS = 1000;
const element = (id) => document.getElementById(`live-${id}`);
const panel = element("panel");
const picture = element("picture");
const slider = document.getElementById("threshold");
const canvas = document.createElement("canvas");
canvas.width = canvas.height = Number(panel.dataset.side);
let socket = null;
let timer = null;
let number = 0;
let encoding = false;
let opening = false;
let speedShown = 0;
const sent = new Map();

panel.hidden = false;
remembered(element("speak"), "studio-live-speak");

function stop(line) {
  clearInterval(timer);
  timer = null;
  if (socket) {
    const open = socket;
    socket = null;
    open.close();
  }
  closeCamera(picture);
  sent.clear();
  if (document.activeElement === element("stop")) {
    element("start").hidden = false;
    element("start").focus();
  }
  element("start").hidden = false;
  element("stop").hidden = true;
  show(element("said"), line);
}

function sendFrame() {
  if (encoding || !socket || socket.readyState !== WebSocket.OPEN || !picture.videoWidth) return;
  if (socket.bufferedAmount > 0) return; // the last one has not been sent yet
  const side = Math.min(picture.videoWidth, picture.videoHeight);
  const [left, top] = [(picture.videoWidth - side) / 2, (picture.videoHeight - side) / 2];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, left, top, side, side, 0, 0, canvas.width, canvas.height);
  encoding = true;
  const taken = performance.now();
  canvas.toBlob(
    async (jpeg) => {
      if (!jpeg) {
        encoding = false; // the camera sent no picture
        return;
      }
      const bytes = await jpeg.arrayBuffer();
      encoding = false;
      if (!socket || socket.readyState !== WebSocket.OPEN) return;
      number += 1;
      const message = new Uint8Array(4 + bytes.byteLength);
      new DataView(message.buffer).setUint32(0, number);
      message.set(new Uint8Array(bytes), 4);
      sent.set(number, taken);
      socket.send(message);
    },
    "image/jpeg",
    0.9,
  );
}

function answered(found) {
  if (found.fault) {
    show(element("fault"), found.fault);
    return;
  }
  show(element("fault"), "");
  show(element("answer"), found.kind === "none" ? text("live.none") : found.object);
  element("answer").dataset.kind = found.kind;
  show(element("sure"), found.kind === "none" ? "" : text(`live.${found.kind === "sure" ? "sure" : "maybe"}`));
  if (found.say) {
    show(element("said"), found.say);
    if (element("speak").checked) speak(found.say, { interrupt: true });
  }
  if (found.work_ms === undefined) return;
  const now = performance.now();
  const latency = Math.round(now - (sent.get(found.frame) ?? now));
  for (const old of sent.keys()) if (old <= found.frame) sent.delete(old);
  panel.dataset.latency = String(latency);
  if (now - speedShown > SPEED_EVERY_MS) {
    speedShown = now;
    show(element("speed"), text("live.speed", { latency, rate: found.rate, dropped: found.dropped }));
  }
}

function lost() {
  stop("");
  show(element("fault"), text("film.unplugged"));
}

async function start(chosen) {
  if (opening || socket) return;
  opening = true;
  show(element("fault"), "");
  show(element("said"), text("film.opening"));
  try {
    const stream = await openCamera(picture, chosen, lost);
    await listCameras(element("cameras"), element("camera"), stream);
  } catch (error) {
    stop("");
    show(element("fault"), error instanceof CameraFault ? error.message : text("film.in_use"));
    return;
  } finally {
    opening = false;
  }
  number = 0;
  socket = new WebSocket(`ws://${location.host}${panel.dataset.address}`);
  const own = socket;
  own.addEventListener("open", () => {
    move();
    timer = setInterval(sendFrame, EVERY_MS);
    element("stop").hidden = false;
    element("start").hidden = true;
    element("stop").focus();
    show(element("said"), text("live.started"));
  });
  own.addEventListener("message", (event) => answered(JSON.parse(event.data)));
  own.addEventListener("close", () => {
    if (socket !== own) return;
    stop("");
    if (!element("fault").textContent) show(element("fault"), text("live.lost"));
  });
}

function move() {
  if (!slider) return;
  const aim = slider.dataset.aims.split(" ")[Number(slider.value)];
  const named = slider.dataset.names.split(" ").map((one) => one.split(":")).find(([, share]) => Number(share) === Number(aim));
  const share = Math.round(100 * Number(aim));
  const said = named
    ? text("live.threshold_named", { name: text(`live.${named[0]}`), share })
    : text("live.threshold_value", { share });
  slider.setAttribute("aria-valuetext", said);
  show(document.getElementById("threshold-value"), said);
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ aim: Number(aim) }));
}

if (slider) {
  slider.addEventListener("input", move);
  move();
}
element("start").addEventListener("click", () => start(""));
element("stop").addEventListener("click", () => stop(text("live.stopped")));
element("camera").addEventListener("change", () => {
  stop("");
  start(element("camera").value);
});
window.addEventListener("pagehide", () => stop(""));
