// What this browser offers for measuring, what it lacks, and why.
"use strict";

const SIMD_MODULE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
);

// Why this browser cannot measure at all; "" if it can.
function whyNot() {
  if (typeof WebAssembly !== "object" || typeof Worker !== "function" || !WebAssembly.validate(SIMD_MODULE)) {
    return "It lacks WebAssembly with SIMD. Chrome and Edge have it from version 91, Firefox from 89, iOS from 16.4.";
  }
  return "";
}

// What the host calls facts. `look`: what a web worker found out.
async function gatherFacts(look) {
  const named = navigator.userAgentData ? await namedDevice() : {};
  return {
    ...named,
    ...(await batteryFacts()),
    user_agent: navigator.userAgent,
    cores: navigator.hardwareConcurrency || null,
    secure_context: isSecureContext,
    isolated: self.crossOriginIsolated === true,
    clock_step_ns: look.clock_step_ns,
    relaxed_simd: look.relaxed_simd,
    shared_memory: look.shared_memory,
  };
}

async function namedDevice() {
  try {
    const named = await navigator.userAgentData.getHighEntropyValues(["model", "platformVersion"]);
    return { model: named.model, platform: named.platform, platform_version: named.platformVersion };
  } catch {
    return {};
  }
}

async function batteryFacts() {
  try {
    const battery = await navigator.getBattery();
    return { battery_fraction: battery.level, charging: battery.charging };
  } catch {
    return {};
  }
}

// threads: as many as the target asks for; null if that is not known.
function threadsOffer(facts, threads, way) {
  if (!facts.shared_memory) return [false, threads > 1 ? `One thread, not the ${threads} asked for` : "One thread only", way];
  const processors = facts.cores ? `The browser reports ${facts.cores} processors.` : "";
  if (threads === null) return [true, "Several threads are possible", processors];
  if (threads > 1) return [true, `${threads} threads`, processors];
  return [true, "One thread, as asked for", `${processors} For more, set threads in targets.yaml.`];
}

// [is it available, what, note] for the list on the page.
function offers(facts, threads, screenHeld) {
  const byHttp = location.protocol === "http:" && !facts.secure_context;
  const way = byHttp
    ? "This page was loaded over plain http. Over USB, or with --https, the browser allows it."
    : "This browser does not allow it on this page.";
  const grain = facts.clock_step_ns / 1000;
  return [
    threadsOffer(facts, threads, way),
    [
      grain <= 20,
      `Clock resolution ${grain < 1000 ? `${Math.round(grain)} µs` : `${Math.round(grain / 1000)} ms`}`,
      grain <= 20 ? "Fine enough to time single inferences." : `Short inferences are timed in blocks. ${way}`,
    ],
    [facts.relaxed_simd, "Relaxed SIMD", facts.relaxed_simd ? "" : "TFLite files run in a slower build, on one thread."],
    [
      screenHeld,
      screenHeld ? "Screen stays on" : "Screen may go off",
      screenHeld ? "" : "Set the screen time-out to several minutes: a locked phone measures nothing.",
    ],
    [Boolean(facts.model), facts.model || "Model of this phone", facts.model ? "" : "The browser does not reveal it."],
    [false, "Energy", "Browsers do not report it. A USB meter, or the native agent over USB, does."],
  ];
}
