// The microphone, from permission to blocks of samples.

const RATES = { lowest: 8000, highest: 48000 }; // hertz, what the protocol takes

/** Why there is no microphone, before anybody is asked for one; null if there may be one. */
export function obstacle() {
  if (!window.isSecureContext) return "insecure";
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) return "unsupported";
  return null;
}

/** Microphones that the browser tells of: their names only after permission was given. */
export async function microphones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId && device.label);
}

export class Microphone {
  #stream;
  #context;
  #node;

  /**
   * Asks for permission and starts to record.
   * @param {string} deviceId of the microphone, "" for the system's choice
   * @param {(block: {samples: Int16Array, rms: number, peak: number}) => void} onBlock takes 20 ms of sound
   * @param {() => void} onLost called when the microphone goes away
   * @throws {DOMException} of getUserMedia, or NetworkError if the server is away
   */
  static async open(deviceId, onBlock, onLost) {
    const microphone = new Microphone();
    // What browsers do for calls between people takes away what a recogniser hears by.
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    if (deviceId) audio.deviceId = { exact: deviceId };
    microphone.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    try {
      await microphone.#record(onBlock);
    } catch (error) {
      await microphone.stop();
      throw error;
    }
    microphone.#stream.getAudioTracks()[0].addEventListener("ended", onLost);
    return microphone;
  }

  /** Samples a second. */
  get rate() {
    return this.#context.sampleRate;
  }

  async #record(onBlock) {
    this.#context = new AudioContext({ latencyHint: "interactive" });
    if (this.rate < RATES.lowest || this.rate > RATES.highest) {
      await this.#context.close();
      this.#context = new AudioContext({ latencyHint: "interactive", sampleRate: RATES.highest });
    }
    const context = this.#context;
    await context.audioWorklet.addModule("capture-worklet.js").catch(() => {
      throw new DOMException("expected capture-worklet.js from the server", "NetworkError");
    });
    this.#node = new AudioWorkletNode(context, "capture", { numberOfInputs: 1, numberOfOutputs: 1 });
    this.#node.port.onmessage = ({ data }) => data.samples && onBlock(data);
    context.createMediaStreamSource(this.#stream).connect(this.#node);
    this.#node.connect(context.destination); // its output is silence: browsers run only what leads somewhere
    // A telephone call or another page may take the sound away for a while.
    context.addEventListener("statechange", () => context.state === "interrupted" && context.resume());
    await context.resume();
  }

  /** Stops recording; returns when the last block was delivered. */
  async stop() {
    if (this.#node && this.#context.state === "running") await this.#drain();
    for (const track of this.#stream.getTracks()) track.stop();
    if (this.#context && this.#context.state !== "closed") await this.#context.close();
  }

  #drain() {
    const { port } = this.#node;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 500); // the audio thread may be gone with the device
      port.addEventListener("message", ({ data }) => {
        if (!data.last) return;
        clearTimeout(timer);
        resolve();
      });
      port.postMessage("stop");
    });
  }
}
