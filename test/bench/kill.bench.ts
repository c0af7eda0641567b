/**
 * SIGKILL of axon and updater at random, under traffic: what came back is valid, what was acknowledged is recorded
 * to the byte, no replay is answered, every state loads. Exit code 1 when a bound is broken.
 *
 *   npm run bench:kill -- --minutes 30 [--seed TEXT]        (default: 1 minute)
 */
import { parseArgs } from "node:util";
import { figure } from "../support/figures.ts";
import { runUnderKills } from "../support/kill-run.ts";

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "1" }, seed: { type: "string", default: "kill" } },
});
const run = await runUnderKills({ seconds: Number(values.minutes) * 60, seed: values.seed });
for (const line of [...run.invalid, ...run.refused, ...run.damage, ...run.badStates].slice(0, 20)) {
  process.stderr.write(`${line}\n`);
}
const passed = [
  figure("kill: SIGKILLs of the axon", run.kills.serve, { atLeast: 1 }),
  figure("kill: SIGKILLs of the updater", run.kills.update, { atLeast: 1 }),
  figure("kill: answers acknowledged", run.acknowledged, { atLeast: 1 }),
  figure("kill: answers that a validator would refuse", run.invalid.length, { atMost: 0 }),
  figure("kill: prompts refused while the axon was up", run.refused.length, { atMost: 0 }),
  figure("kill: recorded answers that are not the valid one that came", run.recordedInvalid, { atMost: 0 }),
  figure("kill: acknowledged answers not recorded", run.lost, { atMost: 0 }),
  figure("kill: of them acknowledged 1 s or more before the kill", run.lostLongBefore, { atMost: 0 }),
  figure("kill: replays answered by the next life", run.replaysAnswered, { atMost: 0 }),
  figure("kill: damage beyond torn tails", run.damage.length, { atMost: 0 }),
  figure("kill: state files that do not load", run.badStates.length, { atMost: 0 }),
  figure("kill: longest outage, s", run.longestOutageMs / 1000, { atMost: 30 }),
];
process.exitCode = passed.every(Boolean) ? 0 : 1;
