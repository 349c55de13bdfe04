// Pictures, sounds and clips from the webcam and the microphone, as files.

const PICTURE_PX = 320; // the longer side
const RATE_HZ = 16000; // of the sounds
const TROUBLE = {
  NotAllowedError: "The browser does not let this page use the $: allow it in the address bar, then try again.",
  NotFoundError: "No $ was found: connect one, then try again.",
  NotReadableError: "The $ is in use by another program: close that, then try again.",
};

/** The stream of the camera ("picture", "clip") or of the microphone ("sound"); an error's message is for the user. */
export async function open(kind) {
  if (!navigator.mediaDevices) throw new Error("The browser allows recording only on a secure address (https).");
  try {
    return await navigator.mediaDevices.getUserMedia(kind === "sound" ? { audio: true } : { video: { width: { ideal: 640 } } });
  } catch (error) {
    const device = kind === "sound" ? "microphone" : "camera";
    throw new Error((TROUBLE[error.name] ?? `The $ does not work (${error.message}).`).replace("$", device));
  }
}

/** Let go of the camera or microphone. */
export function stop(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** What a video element shows, as a JPEG. */
export function picture(video) {
  const scale = PICTURE_PX / Math.max(video.videoWidth, video.videoHeight);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)];
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}

/** So many seconds of a stream, in the format of the browser. */
export async function clip(stream, seconds) {
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  recorder.stop();
  await stopped;
  return new Blob(parts, { type: recorder.mimeType });
}

/** So many seconds of sound, as WAV. */
export async function sound(stream, seconds) {
  const context = new OfflineAudioContext(1, 1, RATE_HZ); // decoding resamples to its rate
  return wav(await context.decodeAudioData(await (await clip(stream, seconds)).arrayBuffer()));
}

/** Sound as a WAV file of 16 bits, its channels averaged. */
function wav(sound) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  const view = new DataView(new ArrayBuffer(44 + 2 * sound.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  const [size, rate] = [2 * sound.length, sound.sampleRate];
  text(0, "RIFF");
  view.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, size, true);
  for (let i = 0; i < sound.length; i++) {
    const value = channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
    view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true);
  }
  return new Blob([view], { type: "audio/wav" });
}
