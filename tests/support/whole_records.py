"""Records in which everything is there that a record can hold: what is damaged in tests is damaged in these."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec

from edgebench.schema import plan
from edgebench.schema.bundle import Artifact, FileRef, Golden, TensorSpec
from edgebench.schema.energy_reading import Accuracy, EnergyReading, Refusal
from edgebench.schema.facts import MeterFound
from edgebench.schema.preprocessing import Preprocessing
from edgebench.schema.record import Answers, Cooling, FedInput, Load, Record, Runtime, Score, Scored
from tests.support.records import FACTS, PLAN, failed, make_artifact, make_reading, make_record, make_rounds

_SHA256 = "0" * 64
_SLOWER = (1.0, 1.01, 0.99, 1.0, 1.02, 0.98)


def artifact(name: str = "net-onnx-int8") -> Artifact:
    file = FileRef("golden/inputs.bin", _SHA256, 24)
    return make_artifact(
        name,
        accuracy=0.9,
        model="net",
        inputs=(TensorSpec("image", (1, 1, 28, 28), "uint8", "NCHW", 0.1, 3, True),),
        outputs=(TensorSpec("logits", (1, 2), "float32", "NC"),),
        macs=342_464,
        parameters=101_930,
        golden=Golden(2, (file,), (file,), (file,), (0.01,)),
        preprocessing=Preprocessing((0.5,), (0.25,), (28, 28)),
        notes={"quantizer": "ours"},
    )


def whole(**changes: Any) -> Record:
    numbers = base64.b64encode(bytes([1, 0, 2, 0, 3, 0, 4, 0])).decode()
    rounds = tuple(
        msgspec.structs.replace(one, clock_hz=1_500_000_000, duration_ns=9_000_000, missed=0, interrupted="hidden")
        for one in make_rounds([50_000.0 * factor for factor in _SLOWER], values=4)
    )
    reading = make_reading(accuracy=Accuracy(0.01, 0.001, "datasheet"))
    return make_record(
        artifact(),
        **{
            "plan": msgspec.structs.replace(PLAN, accuracy=True, window_s_min=0.001, duty_hz=5.0),
            "runtime": Runtime(
                "onnxruntime", {"version": "1"}, {"delegated": 3, "why": [1, {"a": None}]}, 2, cpus=(0, 1)
            ),
            "facts": msgspec.structs.replace(
                FACTS,
                clock_hz=1_500_000_000,
                clock_max_hz=1_500_000_000,
                battery_fraction=0.5,
                charging=False,
                supply_a=5.0,
                meters={"rapl": MeterFound(False, "containers hide it")},
            ),
            "cooling": Cooling(3.0, 60.0, 1_500_000_000, ((0.0, 70.0, 1_400_000_000), (3.0, 61.0, None))),
            "load": Load(10.0, 9.5, 9.7, 0.0, {"policy0": {"1500000000": 9.0}}),
            "rounds": rounds,
            "energy": (
                msgspec.structs.replace(reading, refused=(Refusal(3, "gaps", "2 s without a value"),), flags=("gap",)),
                EnergyReading("nvml", "unavailable", "no GPU"),
            ),
            "answers": Answers("mnist", 4, numbers, numbers),
            "scored": Scored(
                "detection", "val.json", 4, "0" * 64, "yolov8 head", (Score("mAP", 0.5, False, (0.4, 0.6)),)
            ),
            "fed": (FedInput("image", (1, 1, 28, 28), "uint8"),),
            "signature": "serving_default",
            **changes,
        },
    )


def sustained() -> Record:
    """Rounds over several minutes, of the plan that looks for heat."""
    rounds = tuple(
        msgspec.structs.replace(one, start_ns=number * 40 * 10**9, throttled=4 * (number > 3))
        for number, one in enumerate(make_rounds([50_000.0 * factor for factor in _SLOWER], values=4))
    )
    return whole(plan=plan.named("sustained"), rounds=rounds, gate_open=False, stationary=False)


def schema_1() -> dict[str, Any]:
    """The content of a record as it was first written."""
    content: dict[str, Any] = json.loads(msgspec.json.encode(whole()))
    window = {"idle_s": 4.0, "idle_j": {"cpu_package": 8.0}, "active_s": 10.0, "active_j": {"cpu_package": 50.0}}
    window |= {"inferences": 100}
    content["energy"] = [{"meter": "rapl", "provenance": "measured", "reason": "", "windows": [window] * 3}]
    del content["plan"]["energy_precision"], content["plan"]["energy_windows_max"], content["fed"]
    del content["signature"]
    return {**as_in_schema_4(content), "schema_version": 1}


def as_in_schema_4(content: dict[str, Any]) -> dict[str, Any]:
    """With one input and one output, whose golden check and parity were not apart from those of the whole."""
    artifact, golden = dict(content["artifact"]), content.get("golden")
    if parity := artifact.get("parity"):
        (output,) = parity["outputs"]
        numbers = {name: value for name, value in output.items() if name != "name"}
        artifact["parity"] = {name: value for name, value in parity.items() if name != "outputs"} | numbers
    if kept := artifact.get("golden"):
        artifact["golden"] = {name: value[0] if isinstance(value, list) else value for name, value in kept.items()}
    if golden:
        (output,) = golden["outputs"]
        answers = {("outputs_base64" if name == "values_base64" else name): value for name, value in output.items()}
        golden = {**answers, "passed": golden["passed"], "count": golden["count"]}
    return {**content, "schema_version": 4, "artifact": artifact, **({"golden": golden} if golden else {})}


def trees() -> dict[str, dict[str, Any]]:
    """JSON trees of records of every schema and shape, by a name."""
    encoded = {"whole": whole(), "sustained": sustained(), "failed": failed()}
    made = {name: json.loads(msgspec.json.encode(one)) for name, one in encoded.items()}
    made["schema 4"] = as_in_schema_4(made["whole"])
    made["schema 3"] = {**made["schema 4"], "schema_version": 3}
    made["schema 2"] = {**made["schema 4"], "schema_version": 2}
    return {**made, "schema 1": schema_1()}
