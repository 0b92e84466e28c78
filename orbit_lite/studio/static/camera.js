// Turns the camera on and off, lists several cameras, and reports why there is none.
import { text } from "./say.js";

const FAULTS = {
  NotAllowedError: "film.denied",
  SecurityError: "film.denied",
  NotFoundError: "film.absent",
  OverconstrainedError: "film.absent",
  NotReadableError: "film.in_use",
  AbortError: "film.in_use",
};

export class CameraFault extends Error {}

// `lost` is called if the camera is unplugged or the system takes it away.
export async function openCamera(picture, chosen, lost) {
  if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) throw new CameraFault(text("film.unsupported"));
  const which = chosen ? { deviceId: { exact: chosen } } : { facingMode: { ideal: "environment" } };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { ...which, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
      audio: false,
    });
  } catch (error) {
    throw new CameraFault(text(FAULTS[error.name] || "film.in_use"));
  }
  stream.getVideoTracks().forEach((track) => track.addEventListener("ended", lost));
  picture.srcObject = stream;
  picture.hidden = false;
  await picture.play();
  return stream;
}

export function closeCamera(picture) {
  const stream = picture.srcObject;
  if (stream) stream.getTracks().forEach((track) => track.stop());
  picture.srcObject = null;
  picture.hidden = true;
}

// The names of cameras are known only after the user has allowed one.
export async function listCameras(field, select, stream) {
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  const current = stream.getVideoTracks()[0].getSettings().deviceId;
  select.replaceChildren(
    ...cameras.map((camera, place) => {
      const option = document.createElement("option");
      option.value = camera.deviceId;
      option.textContent = camera.label || text("film.camera_number", { number: place + 1 });
      option.selected = camera.deviceId === current;
      return option;
    }),
  );
  field.hidden = cameras.length < 2;
}
