import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { OperationalError } from "../../../src/errors.ts";
import { Host, type HostSettings } from "../../../src/feeds/http.ts";
import { silentLogger } from "../../../src/log.ts";
import { HandClock } from "../../support/recorded-market-feeds.ts";

const HOUR_MS = 3_600_000;
const limits: HostSettings["limits"] = {
  timeoutMs: 5000,
  maxAttempts: 1,
  retryBaseMs: 100,
  maxRetryAfterMs: 10_000,
  circuitFailures: 1,
  circuitOpenMs: 10_000,
};

describe("a host that is left alone", () => {
  let server: Server;
  let status: number;
  let wallClock: HandClock;
  let host: Host;

  beforeEach(async () => {
    server = createServer((_request, response) => {
      response.writeHead(status, status === 200 ? {} : { "retry-after": "9999999999" }).end("{}");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    wallClock = new HandClock("2026-11-21T10:00:00Z");
    const settings: HostSettings = {
      name: "test",
      baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      limits,
      rate: { weight: 100, windowMs: 60_000 },
      silentRetryAfterMs: null,
      bearerToken: null,
    };
    host = new Host(settings, { wallClock, random: () => 0.5, logger: silentLogger });
  });
  afterEach(() => {
    server.close();
    server.closeAllConnections();
  });

  async function ask(weight = 1): Promise<string> {
    try {
      await host.request({ method: "GET", path: "/", weight, urgency: "bulk" });
      return "answered";
    } catch (error) {
      assert.ok(error instanceof OperationalError, String(error));
      return error.code;
    }
  }

  for (const [limited, capMs] of [
    [429, HOUR_MS],
    [418, 72 * HOUR_MS],
  ] as const) {
    it(`is tried again ${capMs / HOUR_MS} h after a ${limited}, however long it asked for`, async () => {
      status = limited;
      assert.equal(await ask(), "feed/rate_limited");
      status = 200;
      wallClock.advance(capMs - 1);
      assert.equal(await ask(), "feed/circuit_open");
      wallClock.advance(1);
      assert.equal(await ask(), "answered");
    });
  }

  it("refuses at once, and what is refused takes no weight from the window", async () => {
    status = 500;
    assert.equal(await ask(70), "feed/http_status");
    // 70 of 80 are spent: whatever looked at the window first would wait for it.
    for (let index = 0; index < 5; index += 1) assert.equal(await ask(20), "feed/circuit_open");
    status = 200;
    wallClock.advance(limits.circuitOpenMs);
    assert.equal(await ask(10), "answered");
    assert.deepEqual(wallClock.slept, []);
  });
});
