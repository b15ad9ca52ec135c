// ONNX Runtime's WebAssembly build on the CPU. Its interface copies the outputs out of wasm in every run.
"use strict";

const ORT_TYPES = {
  float32: Float32Array, float16: Uint16Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array,
  uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array,
  uint64: BigUint64Array, bool: Uint8Array,
};

let ortOptions = { executionProviders: ["wasm"] };

runtimes["onnxruntime-web"] = {
  // The tiny model proves that it works, and has the wasm compiled before anything is loaded and timed.
  async facts({ threads, assets, tiny }) {
    importScripts(assets + "ort.wasm.min.js");
    ort.env.wasm.wasmPaths = assets;
    ort.env.wasm.numThreads = canShareMemory() ? threads : 1;
    ort.env.logLevel = "error";
    await (await ort.InferenceSession.create(tiny, ortOptions)).release();
    return { threads: String(ort.env.wasm.numThreads), build: "wasm simd" };
  },

  async load(bytes, { shapes }) {
    const session = await ort.InferenceSession.create(bytes, ortOptions);
    const inputs = session.inputMetadata.map((input) => ortInput(input, shapes));
    const feeds = {};
    let results = null;
    return {
      inputs: () => inputs,
      feed(index, data) {
        const { name, dtype, shape } = inputs[index];
        const copy = data.slice();
        feeds[name] = new ort.Tensor(dtype, new ORT_TYPES[dtype](copy.buffer), shape);
      },
      invoke() {
        return session.run(feeds).then((outputs) => {
          results = outputs;
        });
      },
      answers: () => session.outputNames.map((name) => flat(results[name].data, !results[name].type.startsWith("float"))),
      notes: () => ({ providers: ortOptions.executionProviders }),
    };
  },
};

function ortInput({ name, type, shape }, shapes) {
  if (!(type in ORT_TYPES)) throw new Error(`input '${name}' is a ${type}, which cannot be fed`);
  const sizes = fedShape(name, shape, shapes);
  const count = sizes.reduce((product, size) => product * size, 1);
  return { name, shape: sizes, dtype: type, bytes: count * ORT_TYPES[type].BYTES_PER_ELEMENT };
}
