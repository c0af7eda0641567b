import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { listeners } from "../../support/listeners.ts";
import { createTestMiner } from "../../support/miner.ts";

const skip = existsSync("/proc/self/net/tcp") ? false : "needs Linux's /proc/net";

describe("what listens", { skip, timeout: 60_000 }, () => {
  it("is seen by this test", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    assert.ok(listeners(process.pid).includes(`tcp 127.0.0.1:${port}`));
    server.close();
  });

  it("of a miner is the axon, and its health on loopback; of an updater nothing", async () => {
    const miner = await createTestMiner();
    try {
      const update = miner.start("update");
      await update.ready;
      assert.deepEqual(listeners(update.pid), []);
      const serve = miner.start("serve", ["--axon.ip", "0.0.0.0"]);
      await serve.ready;
      const healthPort = Number(new URL(miner.healthUrl).port);
      assert.deepEqual(
        new Set(listeners(serve.pid)),
        new Set([`tcp 0.0.0.0:${miner.axon.port}`, `tcp 127.0.0.1:${healthPort}`]),
      );
    } finally {
      await miner.close();
    }
  });
});
