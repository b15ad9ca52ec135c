// ONNX Runtime on the GPU, by WebGPU: the session of onnxruntime-web.js with another provider. A node that it does not
// take is not computed on the processor instead: the times would be of neither.
"use strict";

importScripts("/runtimes/onnxruntime-web.js");

runtimes["onnxruntime-webgpu"] = {
  async facts({ assets, tiny, emulated }) {
    const adapter = await gpuAdapter(emulated);
    importScripts(assets + "ort.webgpu.min.js");
    ort.env.wasm.wasmPaths = assets;
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    ortOptions = { executionProviders: ["webgpu"], extra: { session: { disable_cpu_ep_fallback: "1" } } };
    await (await ort.InferenceSession.create(tiny, ortOptions)).release();
    return { threads: "1", build: "webgpu", adapter };
  },

  async load(bytes, options) {
    try {
      return await runtimes["onnxruntime-web"].load(bytes, options);
    } catch (error) {
      if (!String(error).includes("assigned to the default CPU EP")) throw error;
      throw new Error("WebGPU does not take every node of this file, and a time shared by two processors would be of neither");
    }
  },
};

// What the browser calls the GPU. One in software is refused unless the target says that it is emulated.
async function gpuAdapter(emulated) {
  if (!navigator.gpu) {
    throw new Error(isSecureContext ? "this browser has no WebGPU" : "browsers offer WebGPU to secure pages only: use --https, or a cable");
  }
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error("the browser offers no GPU of this device to WebGPU");
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const name = [vendor, architecture, device, description].filter(Boolean).join(" ") || "a GPU without a name";
  const software = isFallbackAdapter || adapter.isFallbackAdapter;
  if (software && !emulated) throw new Error(`the browser computes WebGPU on the processor (${name}), not on a GPU`);
  return software ? `${name}, in software` : name;
}
