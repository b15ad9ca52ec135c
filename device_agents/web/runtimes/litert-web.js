// LiteRT's WebAssembly build with XNNPACK, driven through the bindings that its own wrapper uses: the wrapper supports
// neither int8 tensors nor an open batch size. They are internal to @litertjs/core, hence its pinned version.
"use strict";

// litert::ElementType
const LITERT_TYPES = {
  1: ["float32", 4], 2: ["int32", 4], 3: ["uint8", 1], 4: ["int64", 8], 6: ["bool", 1], 7: ["int16", 2], 9: ["int8", 1],
};
const LITERT_VIEWS = {
  float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array, int16: Int16Array, bool: Uint8Array,
};

let litert = null;
let environment = null;
let litertThreads = 1;

runtimes["litert-web"] = {
  async facts({ threads, assets, tiny }) {
    const threaded = threads > 1 && canShareMemory() && hasRelaxedSimd();
    const variant = threaded ? "_threaded" : hasRelaxedSimd() ? "" : "_compat";
    const script = `${assets}litert_wasm${variant}_internal.js`;
    importScripts(script);
    litert = await self.ModuleFactory({
      locateFile: (name) => assets + name,
      mainScriptUrlOrBlob: script, // else its threads would load this worker's script
      print() {},
      printErr: (text) => console.warn(text),
    });
    environment = litert.LiteRtEnvironment.create(null);
    litertThreads = threaded ? threads : 1;
    await litertCompile(tiny);
    return { threads: String(litertThreads), build: "wasm" + (variant || "_simd").replace("_", " ") };
  },

  async load(bytes, { shapes, signature }) {
    if (signature) throw new Error("LiteRT in a browser runs a file's first signature: leave --signature out");
    const { model, compiled } = await litertCompile(bytes);
    const names = litertNames(model.getSignature(0).inputNames());
    const inputs = names.map((name, index) => litertTensor(model.getInputTensorType(0, index), name, shapes || {}));
    const buffers = inputs.map((input) => litertBuffer(input));
    const output = outputOf(bytes);
    let results = [];
    return {
      inputs: () => inputs.map(({ name, shape, dtype, bytes: size }) => ({ name, shape, dtype, bytes: size })),
      feed(index, data) {
        const at = buffers[index].lock(litert.LiteRtTensorBufferLockMode.WRITE);
        litert.HEAPU8.set(data, at);
        buffers[index].unlock();
      },
      // Every run allocates its outputs; those of the run before are freed here, inside the timed part as in any program.
      invoke() {
        for (const result of results) result.delete();
        results = compiled.run(0, buffers);
        if (typeof results.then === "function") throw new Error("this build of LiteRT runs asynchronously");
      },
      logits() {
        const [result] = results;
        const { dtype } = litertTensor(result.tensorType(), "output");
        const at = result.lock(litert.LiteRtTensorBufferLockMode.READ);
        const stored = new LITERT_VIEWS[dtype](litert.HEAPU8.slice(at, at + result.packedSize()).buffer);
        result.unlock();
        return dequantised(stored, output);
      },
      notes: () => ({ fully_delegated: compiled.isFullyAccelerated() }),
    };
  },
};

async function litertCompile(bytes) {
  const at = litert._malloc(bytes.length);
  litert.HEAPU8.set(bytes, at);
  const model = litert.loadModel(environment, at, bytes.length);
  const options = { accelerator: "wasm", cpuOptions: { numThreads: litertThreads }, gpuOptions: {}, webNNOptions: {} };
  return { model, compiled: await litert.compileModel(environment, model, options) };
}

function litertNames(vector) {
  return Array.from({ length: vector.size() }, (_, index) => vector.get(index));
}

// given: for an input the sizes from the host, {} without any; left out for an output.
function litertTensor(type, name, given) {
  const element = type.elementType();
  if (!(element.value in LITERT_TYPES)) throw new Error(`tensor '${name}' has element type ${element.value}`);
  const [dtype, width] = LITERT_TYPES[element.value];
  const stored = litertNames(type.layout().dimensions());
  const shape = given ? fedShape(name, stored, given) : stored.map((size) => Math.max(size, 1));
  if (stored.some((size, axis) => size < 1 && shape[axis] !== 1)) {
    throw new Error(`input '${name}' leaves sizes open, and LiteRT's build for browsers only takes 1 for them`);
  }
  return { name, shape, dtype, element, bytes: shape.reduce((product, size) => product * size, width) };
}

function litertBuffer({ shape, element, bytes }) {
  const sizes = new litert.VectorInt32();
  for (const size of shape) sizes.push_back(size);
  const type = litert.LiteRtRankedTensorType.create(element, litert.LiteRtLayout.create(sizes));
  return litert.LiteRtTensorBuffer.createManaged(environment, litert.LiteRtTensorBufferType.HOST_MEMORY, type, bytes);
}

function dequantised(stored, { scale, zeroPoint }) {
  if (!scale) return Float32Array.from(stored);
  return Float32Array.from(stored, (value) => (value - zeroPoint) * scale);
}

// Scale and zero point of the first output, read from the file (a flatbuffer): the bindings do not expose them.
// Fields by number, as in TensorFlow Lite's schema.
function outputOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const follow = (at) => at + view.getUint32(at, true);
  const field = (table, number) => {
    const vtable = table - view.getInt32(table, true);
    const slot = 4 + 2 * number;
    const offset = slot < view.getUint16(vtable, true) ? view.getUint16(vtable + slot, true) : 0;
    return offset && table + offset;
  };
  const subgraph = follow(follow(field(follow(0), 2)) + 4);
  const number = view.getInt32(follow(field(subgraph, 2)) + 4, true);
  const tensor = follow(follow(field(subgraph, 0)) + 4 + 4 * number);
  const quantization = field(tensor, 4) && follow(field(tensor, 4));
  const scales = quantization && field(quantization, 2) && follow(field(quantization, 2));
  if (!scales || view.getUint32(scales, true) !== 1) return { scale: 0, zeroPoint: 0 };
  const points = field(quantization, 3) && follow(field(quantization, 3));
  const zeroPoint = points && view.getUint32(points, true) ? Number(view.getBigInt64(points + 4, true)) : 0;
  return { scale: view.getFloat32(scales + 4, true), zeroPoint };
}
