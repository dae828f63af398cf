"use strict";

// Hands on the signal in chunks of `hop` samples, channels mixed to one.
class Chunks extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.chunk = new Float32Array(options.processorOptions.hop);
    this.filled = 0;
  }

  process(inputs) {
    const channels = inputs[0];
    const length = channels.length ? channels[0].length : 0;
    for (let at = 0; at < length; at++) {
      let sum = 0;
      for (const channel of channels) sum += channel[at];
      this.chunk[this.filled++] = sum / channels.length;
      if (this.filled === this.chunk.length) {
        this.port.postMessage(this.chunk);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("chunks", Chunks);
