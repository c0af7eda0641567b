/** Child process of the kill -9 test: records for ever into argv[2], printing each id once it was flushed. */
import { silentLogger } from "../../src/log.ts";
import { systemClock } from "../../src/clock.ts";
import { createRecordingLog } from "../../src/store/recording-log.ts";
import { recordedExchange, testIdentity } from "./recorded-exchange.ts";

const log = createRecordingLog({
  dir: process.argv[2]!,
  limits: { maxBytes: 64 * 1024 * 1024, maxAgeDays: 1 },
  clock: systemClock,
  logger: silentLogger,
  identity: testIdentity,
});
for (;;) {
  const ids = [1, 2, 3].map(() => log.append(recordedExchange({ body: new Uint8Array(50_000) })));
  await log.flush();
  process.stdout.write(ids.map((id) => `${id}\n`).join(""));
}
