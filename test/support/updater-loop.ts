/**
 * Child process: a real updater on the scripted market, its clock so fast that it saves as often as the disk allows.
 * argv[2] is the state folder. It is there to be killed; says "started" once it saves.
 */
import { dirname, join } from "node:path";
import { rehearsalClock, systemClock } from "../../src/clock.ts";
import { silentLogger } from "../../src/log.ts";
import { removeDeadTempFiles } from "../../src/store/atomic-file.ts";
import { updaterStatusPath } from "../../src/store/status-file.ts";
import { VolatilityStore } from "../../src/store/volatility-store.ts";
import { unixMillis } from "../../src/units.ts";
import { acquireLock } from "../../src/updater/process-lock.ts";
import { Updater } from "../../src/updater/updater.ts";
import { ScriptedFeed } from "./scripted-feed.ts";
import { AUGUST, HALF_LIVES } from "./volatility-fixture.ts";

const stateDir = process.argv[2]!;
await acquireLock(join(stateDir, "updater.lock"));
await removeDeadTempFiles(dirname(updaterStatusPath(stateDir)));
const store = new VolatilityStore(stateDir);
await store.prepare();
// Continues where the last victim was: a day of market time per two seconds, always forwards.
const startMs = unixMillis(AUGUST * 1000 + (systemClock.nowMs() % 1e9) * 40);
const updater = new Updater({
  assets: ["BTC", "ETH", "SPYX"],
  parametersOf: () => ({ ...HALF_LIVES, warmupSeconds: 86_400, retentionSeconds: 604_800 }),
  feed: new ScriptedFeed(),
  store,
  stateDir,
  intervalSeconds: 60,
  publishDelaySeconds: 2,
  concurrency: 4,
  clock: rehearsalClock({ startMs, originMs: systemClock.nowMs(), speed: 40_000 }),
  logger: silentLogger,
});
await updater.run(new AbortController().signal, () => process.send?.("started"));
