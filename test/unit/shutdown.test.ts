import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { silentLogger } from "../../src/log.ts";
import { onShutdownSignal } from "../../src/shutdown.ts";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

function listen(t: TestContext, isDaemon: boolean): AbortSignal {
  t.mock.timers.enable({ apis: ["setTimeout"] }); // what would end this process later
  const { signal } = onShutdownSignal({ logger: silentLogger, isDaemon });
  t.after(() => {
    for (const name of SIGNALS) process.removeAllListeners(name);
  });
  return signal;
}

describe("onShutdownSignal, when the terminal closes", () => {
  it("leaves a daemon running until SIGTERM", (t) => {
    const signal = listen(t, true);
    process.emit("SIGHUP", "SIGHUP");
    assert.equal(signal.aborted, false);
    process.emit("SIGTERM", "SIGTERM");
    assert.equal(signal.aborted, true);
  });

  it("stops a command, which may have processes of its own to end", (t) => {
    const signal = listen(t, false);
    process.emit("SIGHUP", "SIGHUP");
    assert.equal(signal.aborted, true);
  });
});
