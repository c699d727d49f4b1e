// Runs on the audio thread: microphone samples become blocks of 16-bit integers with their level.

const BLOCK_S = 0.02;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(Math.round(sampleRate * BLOCK_S));
    this.filled = 0;
    this.squares = 0;
    this.peak = 0;
    this.stopping = false;
    this.port.onmessage = () => {
      this.stopping = true;
    };
  }

  process(inputs) {
    if (this.stopping) {
      this.post();
      this.port.postMessage({ last: true });
      return false;
    }
    const channels = inputs[0];
    // A muted microphone gives no channel at all; silence keeps session time and wall time together.
    const frames = channels.length > 0 ? channels[0].length : 128;
    for (let i = 0; i < frames; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.add(channels.length > 1 ? sum / channels.length : sum);
    }
    return true;
  }

  add(sample) {
    this.squares += sample * sample;
    this.peak = Math.max(this.peak, Math.abs(sample));
    this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
    if (this.filled === this.block.length) this.post();
  }

  post() {
    if (this.filled === 0) return;
    const samples = this.block.slice(0, this.filled);
    const rms = Math.sqrt(this.squares / this.filled);
    this.port.postMessage({ samples, rms, peak: this.peak }, [samples.buffer]);
    this.filled = this.squares = this.peak = 0;
  }
}

registerProcessor("capture", Capture);
