import { Piscina } from "piscina";
import type { SignatureClaim } from "../bittensor/signature.ts";
import type { Keypair } from "../wallet/keypair.ts";

/** Signing and verifying off the event loop. */
export interface SignaturePool {
  verify(claim: SignatureClaim): Promise<boolean>;
  sign(message: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Resolves when every thread has compiled its curves: the first signature of a cold thread takes ten times as long. */
export async function startSignaturePool(keypair: Keypair, threads: number): Promise<SignaturePool> {
  const pool = new Piscina({
    filename: new URL("./signature-worker.ts", import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    // Callers are bounded by verification slots and the work queue, far below this.
    maxQueue: 65_536,
    workerData: keypair.revealSecret(),
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
  });
  const run = async <Result>(name: "verify" | "sign", task: unknown): Promise<Result> =>
    (await pool.run(task, { name })) as Result;
  const message = new TextEncoder().encode("warm-up");
  const signature = keypair.sign(message);
  const claim: SignatureClaim = { scheme: keypair.scheme, address: keypair.address, message, signature };
  const warmUps = Array.from({ length: threads * 4 }, () => [run("verify", claim), run("sign", message)]);
  await Promise.all(warmUps.flat());
  return {
    verify: (task) => run("verify", task),
    sign: (task) => run("sign", task),
    close: () => pool.destroy(),
  };
}
