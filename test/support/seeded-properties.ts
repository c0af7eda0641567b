/** Loaded before every test file: property tests draw the same cases in each run. FAST_CHECK_SEED explores others. */
import fc from "fast-check";

fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(process.env["FAST_CHECK_SEED"] ?? 20261121) });

// As src/main.ts does: no test reports the use of ONNX Runtime to anybody.
process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
