import assert from "node:assert/strict";
import { copyFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { startSignaturePool, type SignaturePool } from "../../../src/axon/signatures.ts";
import type { SignatureClaim } from "../../../src/bittensor/signature.ts";
import { OperationalError } from "../../../src/errors.ts";
import type { Logger } from "../../../src/log.ts";
import { MINER } from "../../support/dendrite-axon.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const TIMEOUT_MS = 2000;

function claimOf(text: string): SignatureClaim {
  const message = new TextEncoder().encode(text);
  return { scheme: "sr25519", address: MINER.address, message, signature: new Uint8Array(64) };
}

interface FaultyPool {
  readonly pool: SignaturePool;
  /** What was logged. */
  readonly warnings: readonly string[];
  /** What the thread, or the one that follows it, is to do once. */
  readonly arm: (...faults: string[]) => Promise<void>;
}

async function faultyPool(test: TestContext, faultsAtStart: readonly string[] = []): Promise<FaultyPool> {
  const folder = await tempFolder(test);
  const workerFile = path.join(folder, "worker.ts");
  await copyFile(path.join(import.meta.dirname, "../../support/faulty-signature-worker.ts"), workerFile);
  const arm = async (...faults: string[]): Promise<void> => {
    for (const fault of faults) await writeFile(path.join(folder, fault), "");
  };
  await arm(...faultsAtStart);
  const warnings: string[] = [];
  const warn = (_fields: unknown, message: string) => warnings.push(message);
  const logger = { warn } as unknown as Logger;
  const pool = await startSignaturePool({ keypair: MINER, threads: 1, logger, workerFile, timeoutMs: TIMEOUT_MS });
  test.after(() => pool.close());
  return { pool, warnings, arm };
}

describe("a signature thread", { timeout: 60_000 }, () => {
  for (const fault of ["exit", "hang"]) {
    it(`that meets "${fault}" with a check in hand is replaced, and the check is done`, async (test) => {
      const { pool, warnings, arm } = await faultyPool(test);
      await arm(fault);
      assert.equal(await pool.verify(claimOf("a prompt")), true);
      assert.deepEqual(warnings, ["A signature thread failed, trying once more"]);
    });
  }

  it("whose successor dies while loading has another, also when all that comes waits for it already", async (test) => {
    const { pool, warnings, arm } = await faultyPool(test);
    await arm("exit", "load");
    assert.deepEqual(await Promise.all(["a", "b"].map((text) => pool.verify(claimOf(text)))), [true, true]);
    assert.deepEqual(warnings, ["A signature thread failed, trying once more", "A signature thread died"]);
  });

  it("fails a task that no thread can do, and does the next", async (test) => {
    const { pool } = await faultyPool(test);
    await assert.rejects(pool.verify(claimOf("throw")), /broken claim/);
    assert.equal(await pool.verify(claimOf("a prompt")), true);
  });

  it("that does not start is told", async (test) => {
    await assert.rejects(
      faultyPool(test, ["exit", "load"]),
      (error) => error instanceof OperationalError && error.code === "SIGNATURE_THREADS",
    );
  });

  it("is not tried again once the pool is closed", async (test) => {
    const { pool, warnings, arm } = await faultyPool(test);
    await arm("hang");
    const hanging = pool.verify(claimOf("a prompt"));
    const rejected = assert.rejects(hanging);
    await pool.close();
    await rejected;
    assert.deepEqual(warnings, []);
  });
});
