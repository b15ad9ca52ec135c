// Holds one runtime and one model, and does nothing else: a web worker, whose time is measured.
//
// The same verbs as device_agents/python/worker.py, asked by page.js: runtime, load, golden, time, memory, look.
// It sleeps in between.
"use strict";

// One file of runtimes/ adds itself here: {facts(options), load(bytes, options)} -> a session
//   inputs()       [{name, shape, dtype, bytes}]
//   feed(i, data)  Uint8Array of input i, in the model's own dtype and layout
//   invoke()       one inference, result in wasm's memory; returns a promise, or nothing if it is finished
//   answers()      the outputs of the last inference, each a Float32Array, dequantised, or a BigInt64Array of whole numbers
//   notes()        what was really built
const runtimes = {};
const memories = new Set();
let session = null;
let period_ms = 0;

const VERBS = {
  // The resolution of the clock: 20 to 200 times coarser if the page is not isolated.
  look() {
    return { clock_step_ns: clockStepNs(), relaxed_simd: hasRelaxedSimd(), shared_memory: canShareMemory() };
  },

  async runtime({ script, assets, name, options, tiny, emulated }) {
    importScripts(script);
    return runtimes[name].facts({ ...options, assets, emulated, tiny: fromBase64(tiny) });
  },

  // golden: [blob, bytes] of the golden inputs, of which the first is fed; or none.
  async load({ blob, bytes, options, golden = [] }) {
    const model = await fetched(blob, bytes);
    const samples = await Promise.all(golden.map(([name, size]) => fetched(name, size)));
    const started = performance.now();
    session = await runtimes[options.runtime].load(model, options);
    const loaded = performance.now();
    session.inputs().forEach((input, index) => {
      session.feed(index, samples.length ? samples[index].subarray(0, input.bytes) : madeUp(input));
    });
    const ready = performance.now();
    await session.invoke();
    return {
      load_ns: nanoseconds(loaded - started),
      first_inference_ns: nanoseconds(performance.now() - ready),
      inputs: session.inputs(),
      notes: session.notes(),
    };
  },

  // The numbers of every output, in order: base64 of float32 ("f") or of whole numbers, int64 ("q").
  // The last sample stays fed: what is timed is a real image.
  async golden({ inputs, count }) {
    const answers = [];
    await answerEach(inputs, count, (outputs) => answers.push(outputs));
    return { outputs: answers[0].map((first, number) => joined(answers.map((outputs) => outputs[number]))) };
  },

  // For each sample the place of the largest number of its first output, of several equal ones the first.
  async classify({ inputs, count }) {
    const classes = [];
    await answerEach(inputs, count, ([logits]) => classes.push(logits.indexOf(largest(logits))));
    return { classes };
  },

  // From now on start an inference every `period_ns`, and sleep in between.
  pace({ period_ns }) {
    period_ms = period_ns / 1e6;
    return null;
  },

  // `count` values, each over `block` inferences in a row, and more until they have lasted for `least_s`.
  // start_ns counts from `epoch_ms`, across reloads of the page.
  async time({ count, block, least_s, epoch_ms }) {
    const started = performance.now();
    const start_ns = nanoseconds(performance.timeOrigin - epoch_ms + started);
    let { values, missed } = await fill(count, block);
    while (performance.now() - started < 1000 * least_s) {
      const more = await fill(Math.max(1, Math.floor(count / 100)), block);
      values = values.concat(more.values);
      if (missed !== null) missed += more.missed;
    }
    return { start_ns, duration_ns: nanoseconds(performance.now() - started), missed, values_ns: values };
  },

  async run_for({ seconds, epoch_ms }) {
    const started = performance.now();
    const start_ns = nanoseconds(performance.timeOrigin - epoch_ms + started);
    let inferences = 0;
    if (period_ms) {
      inferences = Math.max(1, Math.round((1000 * seconds) / period_ms));
      await paced(inferences);
      await asleep(started + 1000 * seconds - performance.now());
    }
    while (performance.now() - started < 1000 * seconds) {
      await session.invoke();
      inferences++;
    }
    return { inferences, start_ns, duration_ns: nanoseconds(performance.now() - started) };
  },

  // What wasm has reserved so far. It never gives memory back, so this is a high-water mark. No browser reports RSS.
  memory() {
    let size = 0;
    for (const memory of memories) size += memory.buffer.byteLength;
    return { wasm_heap_bytes: size };
  },
};

// inputs: [blob, bytes] for each input of the model.
async function answerEach(inputs, count, take) {
  const taken = session.inputs();
  if (inputs.length !== taken.length) {
    throw new Error(`golden inputs for ${inputs.length} inputs, the model has ${taken.length}`);
  }
  const samples = [];
  for (const [number, [blob, bytes]] of inputs.entries()) {
    const size = bytes / count;
    if (size !== taken[number].bytes) throw new Error(`a sample has ${size} bytes, the model takes ${taken[number].bytes}`);
    samples.push(await fetched(blob, bytes));
  }
  for (let index = 0; index < count; index++) {
    samples.forEach((data, number) => {
      const size = taken[number].bytes;
      session.feed(number, data.subarray(index * size, (index + 1) * size));
    });
    await session.invoke();
    take(session.answers());
  }
}

function joined(arrays) {
  const all = new arrays[0].constructor(arrays.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const one of arrays) {
    all.set(one, at);
    at += one.length;
  }
  return [all instanceof BigInt64Array ? "q" : "f", toBase64(new Uint8Array(all.buffer))];
}

function largest(values) {
  return values.reduce((most, value) => (value > most ? value : most));
}

// An output as `answers` gives it: its numbers, and whether they are whole.
function flat(values, isWhole) {
  return isWhole ? BigInt64Array.from(values, BigInt) : Float32Array.from(values, Number);
}

// ------------------------------------------------------------------ timing

// Timed values in ns; missed is null without a pace.
async function fill(count, block) {
  return period_ms ? paced(count) : { values: await inBlocks(count, block), missed: null };
}

async function inBlocks(count, block) {
  const invoke = session.invoke;
  const values = new Float64Array(count);
  for (let index = 0; index < count; index++) {
    const before = performance.now();
    for (let repeat = 0; repeat < block; repeat++) {
      const pending = invoke();
      if (pending) await pending;
    }
    values[index] = performance.now() - before;
  }
  return Array.from(values, nanoseconds);
}

// Counts the inferences that were not finished when the next was due; a late one shifts those that follow.
async function paced(count) {
  const values = [];
  let missed = 0;
  let due = performance.now();
  for (let index = 0; index < count; index++) {
    await asleep(due - performance.now());
    const before = performance.now();
    await session.invoke();
    const done = performance.now();
    values.push(nanoseconds(done - before));
    due += period_ms;
    if (done > due) {
      missed++;
      due = done;
    }
  }
  return { values, missed };
}

async function asleep(milliseconds) {
  if (milliseconds > 0) await new Promise((wake) => setTimeout(wake, milliseconds));
}

onmessage = async ({ data: request }) => {
  try {
    postMessage({ id: request.id, ok: await VERBS[request.do](request) });
  } catch (error) {
    postMessage({ id: request.id, error: String((error && error.message) || error).slice(0, 2000) });
  }
};

// ------------------------------------------------------------------ wasm memory

// Emscripten asks for up to 4 GiB of shared memory at once, which phones refuse: ask for less until it is granted.
const LEAST_PAGES = 1024;
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
  construct(Memory, [wanted]) {
    for (;;) {
      try {
        const memory = new Memory(wanted);
        memories.add(memory);
        return memory;
      } catch (error) {
        const maximum = Math.floor(wanted.maximum / 2);
        if (!(error instanceof RangeError) || !(maximum >= Math.max(LEAST_PAGES, wanted.initial))) throw error;
        wanted = { ...wanted, maximum };
      }
    }
  },
});
for (const name of ["instantiate", "instantiateStreaming"]) {
  const original = WebAssembly[name];
  WebAssembly[name] = async (...given) => {
    const made = await original.apply(WebAssembly, given);
    for (const exported of Object.values((made.instance || made).exports)) {
      if (exported instanceof WebAssembly.Memory) memories.add(exported);
    }
    return made;
  };
}

// ------------------------------------------------------------------ what the browser offers

function clockStepNs() {
  const steps = [];
  const end = performance.now() + 30;
  for (let last = performance.now(); last < end; ) {
    const now = performance.now();
    if (now > last) steps.push(now - last);
    last = now;
  }
  return nanoseconds(Math.min(...steps));
}

function canShareMemory() {
  return typeof SharedArrayBuffer === "function" && self.crossOriginIsolated === true;
}

// A module whose only function returns an i8x16.relaxed_swizzle.
function hasRelaxedSimd() {
  return WebAssembly.validate(Uint8Array.of(
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15,
    253, 128, 2, 11,
  ));
}

// ------------------------------------------------------------------ bytes

let token = "";

async function fetched(sha256, size) {
  const answer = await fetch("/b/" + sha256, { headers: { Authorization: "Bearer " + token } });
  if (!answer.ok) throw new Error(`file ${sha256.slice(0, 12)} did not arrive: HTTP status ${answer.status}`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (bytes.length !== size) throw new Error(`only ${bytes.length} of ${size} bytes of file ${sha256.slice(0, 12)} arrived`);
  // Only secure contexts can hash; elsewhere the length has to suffice.
  if (self.crypto && crypto.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hex !== sha256) throw new Error(`file ${sha256.slice(0, 12)} was damaged on the way`);
  }
  return bytes;
}

VERBS.token = ({ token: given }) => {
  token = given;
  return null;
};

// The sizes that an input is fed with: those from the host, else those in the file, where only an open batch, the first
// of several axes, has a size: 1. An open size is a name, or less than 1.
function fedShape(name, shape, given) {
  const isOpen = (size) => typeof size !== "number" || size < 1;
  const shown = "[" + shape.map((size) => (isOpen(size) && typeof size === "number" ? "?" : size)).join(", ") + "]";
  if (given && given[name]) {
    const sizes = given[name];
    if (sizes.length !== shape.length || shape.some((size, axis) => !isOpen(size) && size !== sizes[axis])) {
      throw new Error(`input '${name}' is ${shown}, not [${sizes.join(", ")}]`);
    }
    return sizes;
  }
  const isBatch = shape.length > 1 || String(shape[0]).toLowerCase().includes("batch");
  if (shape.slice(isBatch ? 1 : 0).some(isOpen)) {
    throw new Error(`input '${name}' leaves sizes open, ${shown}: give them with --shape`);
  }
  return shape.map((size) => (isOpen(size) ? 1 : size));
}

function nanoseconds(milliseconds) {
  return Math.round(milliseconds * 1e6);
}

// Small positive values, the same every time.
function madeUp({ dtype, bytes }) {
  if (dtype === "float32") {
    const values = Float32Array.from({ length: bytes / 4 }, (_, index) => ((index * 37) % 101) / 101);
    return new Uint8Array(values.buffer);
  }
  if (dtype === "int8" || dtype === "uint8") return Uint8Array.from({ length: bytes }, (_, index) => (index * 37) % 101);
  return new Uint8Array(bytes);
}

function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
