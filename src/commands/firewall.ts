import { z } from "zod";
import { refuseNeuron } from "../axon/admission.ts";
import { planFirewall, type FirewallPlan } from "../chain/firewall.ts";
import { readMetagraphFile, type Neuron } from "../chain/metagraph.ts";
import { storedMetagraphPath } from "../chain/stored-metagraph.ts";
import { admits } from "../chain/ufw-status.ts";
import { readUfwStatus, runUfw, shellLine } from "../chain/ufw.ts";
import { systemClock } from "../clock.ts";
import type { Config } from "../config/schema.ts";
import { describeError, EXIT, OperationalError, UsageError } from "../errors.ts";
import { defineCommand, type CommandContext } from "./command.ts";

const options = z.object({
  dryRun: z
    .boolean()
    .default(false)
    .describe("print the ufw commands that --apply would run, in order; change nothing"),
  apply: z.boolean().default(false).describe("run them"),
  removeGeneralAllow: z
    .boolean()
    .default(false)
    .describe("also remove rules of yours that open just this port to everyone; until then ours close nothing"),
  minValidators: z
    .int()
    .min(1)
    .max(4096)
    .default(2)
    .describe("refuse to work with fewer public addresses of admitted validators than this"),
});

type Context = CommandContext<z.infer<typeof options>>;

export const firewallCommand = defineCommand({
  name: "firewall",
  summary: "let only the metagraph's validators reach the axon's port, with per-IP rules of ufw",
  usage:
    "firewall --dry-run|--apply [--remove-general-allow] [--min-validators N] [settings]\n" +
    "  Uses the metagraph that `serve` keeps in the state folder, or --metagraph.file. Run it as root, and again whenever\n" +
    "  validators change (cron): it changes only the difference, adds before it removes, and touches no rule but its own.\n" +
    "  Validators may send from other addresses than the one their axon publishes; those are shut out. Compare with the\n" +
    "  senders in your logs before --remove-general-allow. --axon.allow_ips metagraph does the same inside the axon.",
  options,
  positionals: [],
  sections: ["netuid", "axon", "blacklist", "metagraph", "stateDir"],
  check: ({ options: { dryRun, apply } }) =>
    dryRun === apply ? ["--dry-run, --apply: expected exactly one of them"] : [],
  async run({ config, options: asked, print, signal }) {
    const plan = planFirewall({
      netuid: config.netuid,
      port: listeningPort(config),
      neurons: admittedNeurons(config),
      status: await readUfwStatus(),
      minValidators: asked.minValidators,
      removeGeneralAllow: asked.removeGeneralAllow,
    });
    for (const line of plan.skipped) print(`# skipped: ${line}`);
    for (const line of plan.notes) print(`# note: ${line}`);
    if (asked.dryRun) for (const command of plan.commands) print(shellLine(command));
    else await apply(plan, { config, print, signal });
    const count = `${plan.admitted.length} validator addresses`;
    if (plan.commands.length === 0) print(`# nothing to change: ${count} get in`);
    else print(`# ${asked.dryRun ? "would change" : "changed"} ${plan.commands.length} rules: ${count} get in`);
    return EXIT.OK;
  },
});

function listeningPort({ axon }: Config): number {
  if (axon.port !== 0) return axon.port;
  throw new UsageError(["--axon.port: expected the port that the axon listens on, found 0"]);
}

/** Neurons of a metagraph that is fresh enough to lock a door by. Throws OperationalError FIREWALL_METAGRAPH. */
function admittedNeurons(config: Config): readonly Neuron[] {
  const { metagraph, netuid } = config;
  if (metagraph.mode === "open") throw new UsageError(["--metagraph.mode: expected chain or file, found open"]);
  const file = metagraph.file ?? storedMetagraphPath(config.stateDir, netuid);
  const content = readOrRefuse(file, metagraph.file === null);
  const ageSeconds = Math.round((systemClock.nowMs() - content.updatedAtMs) / 1000);
  if (ageSeconds > metagraph.maxAgeSeconds) {
    throw refused(`${file} is ${ageSeconds} s old, --metagraph.max_age_seconds allows ${metagraph.maxAgeSeconds}`);
  }
  if (content.netuid !== null && content.netuid !== netuid) {
    throw refused(`${file} is of netuid ${content.netuid}, expected ${netuid}`);
  }
  return content.neurons.filter((neuron) => refuseNeuron(config.blacklist, neuron) === undefined);
}

function readOrRefuse(file: string, kept: boolean): ReturnType<typeof readMetagraphFile> {
  try {
    return readMetagraphFile(file);
  } catch (error) {
    const advice = kept ? "; `serve` writes it at its first refresh, --metagraph.file names another" : "";
    throw refused(`${describeError(error)}${advice}`);
  }
}

function refused(why: string): OperationalError {
  return new OperationalError("FIREWALL_METAGRAPH", `No usable metagraph: ${why}. Nothing is changed`);
}

/** One command after the other; the first that fails ends it, and whatever was done by then leaves validators in. */
async function apply(plan: FirewallPlan, context: Pick<Context, "config" | "print" | "signal">): Promise<void> {
  const { config, print, signal } = context;
  for (const [index, command] of plan.commands.entries()) {
    try {
      signal.throwIfAborted();
      await runUfw(command);
    } catch (error) {
      const total = plan.commands.length;
      throw new OperationalError(
        "FIREWALL_APPLY",
        `Stopped after ${index} of ${total} commands: ${describeError(error)}. What was done stays and shuts no validator ` +
          "out; run this again for the rest",
        { details: { done: index, total } },
      );
    }
    print(shellLine(command));
  }
  // ufw reports success also for rules that it did not find or did not change.
  const status = await readUfwStatus();
  const outside = plan.admitted.filter((ip) => !admits(status, { ip, port: config.axon.port }));
  if (outside.length === 0) return;
  throw new OperationalError(
    "FIREWALL_APPLY",
    `ufw took every command, but does not let in ${outside.join(", ")}: compare \`ufw status verbose\` with the commands above`,
    { details: { outside } },
  );
}
