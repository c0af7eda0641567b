import type * as Runtime from "onnxruntime-node";
import { describeError, OperationalError } from "../../errors.ts";
import { readVerified, type ModelReference } from "./manifest.ts";

/** One input of a graph: values in row-major order, and their shape. */
export interface ModelInput {
  readonly values: Float32Array;
  readonly shape: readonly number[];
}

/** A thread answers one prompt at a time: more threads inside it would take the cores of its neighbours. */
const SESSION_OPTIONS = {
  executionProviders: ["cpu"],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: "sequential",
  graphOptimizationLevel: "all",
} as const satisfies Runtime.InferenceSession.SessionOptions;

/** Three networks and twenty sets of trees, and as many successors; the least recently used one goes. */
const MAX_SESSIONS = 46;
const sessions = new Map<string, Promise<Session>>();

interface Session {
  readonly session: Runtime.InferenceSession;
  readonly tensorOf: (input: ModelInput) => Runtime.Tensor;
}

/** Loaded only where a model is: a miner without the package, or on a machine it has no binary for, still answers. */
async function loadRuntime(): Promise<typeof Runtime> {
  try {
    return await import("onnxruntime-node");
  } catch (cause) {
    throw new OperationalError("model/runtime", `onnxruntime-node: ${describeError(cause)}`, { cause });
  }
}

async function open({ file, sha256 }: ModelReference): Promise<Session> {
  const content = readVerified(file, sha256);
  const { InferenceSession, Tensor } = await loadRuntime();
  try {
    const session = await InferenceSession.create(content, SESSION_OPTIONS);
    return { session, tensorOf: ({ values, shape }) => new Tensor("float32", values, shape) };
  } catch (cause) {
    throw new OperationalError("model/corrupt", `${file}: ${describeError(cause)}`, { cause });
  }
}

/** This thread's session of the model; opened once. */
async function sessionOf(model: ModelReference): Promise<Session> {
  const opened = sessions.get(model.sha256) ?? open(model);
  sessions.delete(model.sha256);
  sessions.set(model.sha256, opened);
  // What still runs on it keeps it.
  if (sessions.size > MAX_SESSIONS) sessions.delete(sessions.keys().next().value!);
  try {
    return await opened;
  } catch (error) {
    // The file may be there the next time.
    sessions.delete(model.sha256);
    throw error;
  }
}

/**
 * The model's outputs for one row of inputs, each by its name in the graph. Throws OperationalError `model/not_installed`,
 * `model/mismatch` (the file is not the one named), `model/corrupt`, `model/runtime` (no onnxruntime), `model/failed`.
 */
export async function infer<Name extends string>(
  model: ModelReference,
  inputs: Readonly<Record<string, ModelInput>>,
  outputNames: readonly Name[],
): Promise<Readonly<Record<Name, readonly number[]>>> {
  const { session, tensorOf } = await sessionOf(model);
  try {
    const found = await session.run(
      Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, tensorOf(input)])),
    );
    const rowOf = (name: string): number[] => {
      const data = found[name]?.data;
      if (!(data instanceof Float32Array)) throw new TypeError(`expected an output ${name} of 32-bit floats`);
      return Array.from(data);
    };
    return Object.fromEntries(outputNames.map((name) => [name, rowOf(name)])) as Record<Name, number[]>;
  } catch (cause) {
    throw new OperationalError("model/failed", `${model.name}: ${describeError(cause)}`, { cause });
  }
}
