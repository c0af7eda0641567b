import type { Command } from "../commands/command.ts";
import { expectedOf, optionFlagsOf, type Flag } from "./flags.ts";
import { CONFIG_FLAGS, GENERAL_FLAGS } from "./load.ts";
import type { Config } from "./schema.ts";

function flagLines(flags: readonly Flag[], defaultOf: (flag: Flag) => unknown): string[] {
  return flags.flatMap((flag) => {
    const names = [flag.name, ...(flag.alias ? [flag.alias] : [])].map((name) => `--${name}`).join(", ");
    const takes =
      flag.kind === "boolean" ? "[true|false]" : flag.choices ? flag.choices.join("|") : flag.kind.toUpperCase();
    const value = flag.secret ? undefined : defaultOf(flag);
    const notes = [
      flag.description || expectedOf(flag),
      ...(flag.env ? [`env ${flag.env}`] : []),
      ...(value === undefined ? [] : [`default ${JSON.stringify(value)}`]),
    ];
    return [`  ${names} ${takes}`, `      ${notes.join("; ")}`];
  });
}

function settingOf(config: Config, flag: Flag): unknown {
  return flag.path.reduce<unknown>((node, key) => (node as Record<string, unknown> | undefined)?.[key], config);
}

/** Help of one command, generated from the definitions that parse its flags. */
export function commandHelp(command: Command, defaults: Config): string {
  const own = optionFlagsOf(command.options);
  const settings = CONFIG_FLAGS.filter((flag) => command.sections.includes(flag.path[0]!));
  return [
    `${command.name}: ${command.summary}`,
    "",
    `Usage: npm run -s miner -- ${command.usage}`,
    "",
    ...(own.length === 0 ? [] : ["Options", ...flagLines(own, () => undefined), ""]),
    "Settings (each also a key in a configuration file; flags win over the environment, that over files)",
    ...flagLines(GENERAL_FLAGS, () => undefined),
    ...flagLines(settings, (flag) => settingOf(defaults, flag)),
    "",
    "  Every other setting of config/default.json is a flag too (`--help --all` lists them).",
  ].join("\n");
}

export function allSettingsHelp(defaults: Config): string {
  return ["Settings", ...flagLines(CONFIG_FLAGS, (flag) => settingOf(defaults, flag))].join("\n");
}

export function programHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  return [
    "synth-miner: a Bittensor miner for the Synth subnet",
    "",
    "Usage: npm run -s miner -- COMMAND [flags]",
    "",
    ...commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    "",
    "COMMAND --help shows its flags. Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 hotkey not registered.",
  ].join("\n");
}

/** The table of README.md; `node scripts/readme-settings.ts` writes it there. */
export function settingsMarkdown(defaults: Config): string {
  const rows = CONFIG_FLAGS.map((flag) => {
    const names = [flag.name, ...(flag.alias ? [flag.alias] : [])].map((name) => `\`--${name}\``).join(" ");
    const value = JSON.stringify(settingOf(defaults, flag));
    const env = flag.env ? `\`${flag.env}\`` : "";
    return `| ${names} | \`${value}\` | ${env} | ${flag.description} |`;
  });
  return ["| flag | default | environment | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
