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
    // The signature names them in an order of its own; they are fed and answered in that of the file's graph.
    const ports = portsOf(bytes);
    const fedAs = placesOf(ports.inputs, ports.signature.inputs);
    const answeredAs = placesOf(ports.outputs, ports.signature.outputs);
    let results = [];
    return {
      inputs: () => fedAs.map((place) => {
        const { name, shape, dtype, bytes: size } = inputs[place];
        return { name, shape, dtype, bytes: size };
      }),
      feed(index, data) {
        const buffer = buffers[fedAs[index]];
        litert.HEAPU8.set(data, buffer.lock(litert.LiteRtTensorBufferLockMode.WRITE));
        buffer.unlock();
      },
      // Every run allocates its outputs; those of the run before are freed here, inside the timed part as in any program.
      invoke() {
        for (const result of results) result.delete();
        results = compiled.run(0, buffers);
        if (typeof results.then === "function") throw new Error("this build of LiteRT runs asynchronously");
      },
      answers: () => answeredAs.map((place, number) => litertAnswer(results[place], ports.outputs[number])),
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

function litertAnswer(result, { scale, zeroPoint }) {
  const { dtype } = litertTensor(result.tensorType(), "output");
  const at = result.lock(litert.LiteRtTensorBufferLockMode.READ);
  const stored = new LITERT_VIEWS[dtype](litert.HEAPU8.slice(at, at + result.packedSize()).buffer);
  result.unlock();
  if (!scale) return flat(stored, dtype !== "float32");
  return Float32Array.from(stored, (value) => (value - zeroPoint) * scale);
}

// For each tensor its place among those of the signature; in the same order if the file has no signature.
function placesOf(ports, signature) {
  return ports.map(({ tensor }, number) => (signature.includes(tensor) ? signature.indexOf(tensor) : number));
}

// Inputs and outputs of the first graph, with scale and zero point, and the tensors of its signature in their order,
// read from the file (a flatbuffer): the bindings do not expose them. Fields by number, as in TensorFlow Lite's schema.
function portsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const follow = (at) => at + view.getUint32(at, true);
  const field = (table, number) => {
    const vtable = table - view.getInt32(table, true);
    const slot = 4 + 2 * number;
    const offset = slot < view.getUint16(vtable, true) ? view.getUint16(vtable + slot, true) : 0;
    return offset && table + offset;
  };
  // The positions of a vector's elements, each of four bytes.
  const elements = (table, number) => {
    const at = field(table, number) && follow(field(table, number));
    return Array.from({ length: at ? view.getUint32(at, true) : 0 }, (_, index) => at + 4 + 4 * index);
  };
  const subgraph = follow(elements(follow(0), 2)[0]);
  const tensors = elements(subgraph, 0);
  const port = (at) => {
    const tensor = view.getInt32(at, true);
    const quantization = field(follow(tensors[tensor]), 4) && follow(field(follow(tensors[tensor]), 4));
    const scales = quantization ? elements(quantization, 2) : [];
    if (scales.length !== 1) return { tensor, scale: 0, zeroPoint: 0 };
    const points = field(quantization, 3) && follow(field(quantization, 3));
    const zeroPoint = points && view.getUint32(points, true) ? Number(view.getBigInt64(points + 4, true)) : 0;
    return { tensor, scale: view.getFloat32(scales[0], true), zeroPoint };
  };
  const signature = elements(follow(0), 7).map(follow)[0];
  const named = (number) => (signature ? elements(signature, number) : []).map((at) => {
    const tensor = field(follow(at), 1);
    return tensor ? view.getUint32(tensor, true) : 0;
  });
  return {
    inputs: elements(subgraph, 1).map(port),
    outputs: elements(subgraph, 2).map(port),
    signature: { inputs: named(0), outputs: named(1) },
  };
}
