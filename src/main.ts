import { acceptanceCommand } from "./commands/acceptance.ts";
import { ablationCommand } from "./commands/ablation.ts";
import type { Command } from "./commands/command.ts";
import { backtestCommand } from "./commands/backtest.ts";
import { calibrateCommand } from "./commands/calibrate.ts";
import { crpsTestCommand } from "./commands/crps-test.ts";
import { demoCommand } from "./commands/demo.ts";
import { downloadCandlesCommand } from "./commands/download-candles.ts";
import { firewallCommand } from "./commands/firewall.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { marketCommand } from "./commands/market.ts";
import { promoteCommand } from "./commands/promote.ts";
import { retrainCommand } from "./commands/retrain.ts";
import { replayCommand } from "./commands/replay.ts";
import { scoreRecordingsCommand } from "./commands/score-recordings.ts";
import { scoreCommand } from "./commands/score.ts";
import { serveCommand } from "./commands/serve.ts";
import { trainDataCommand } from "./commands/train-data.ts";
import { updateCommand } from "./commands/update.ts";
import { walletPasswordCommand } from "./commands/wallet-password.ts";
import { allSettingsHelp, commandHelp, programHelp } from "./config/help.ts";
import { loadConfig, type Loaded } from "./config/load.ts";
import type { Config } from "./config/schema.ts";
import { z } from "zod";
import { describeError, EXIT, UsageError } from "./errors.ts";
import { createLogger, type LogLevel } from "./log.ts";
import { onShutdownSignal } from "./shutdown.ts";

const COMMANDS: readonly Command[] = [
  serveCommand,
  updateCommand,
  demoCommand,
  replayCommand,
  inspectCommand,
  marketCommand,
  scoreCommand,
  scoreRecordingsCommand,
  backtestCommand,
  calibrateCommand,
  ablationCommand,
  acceptanceCommand,
  trainDataCommand,
  promoteCommand,
  retrainCommand,
  downloadCandlesCommand,
  crpsTestCommand,
  firewallCommand,
  walletPasswordCommand,
];

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function printProblems(problems: readonly string[]): void {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  process.stderr.write(`${count}:\n${problems.map((problem) => `  - ${problem}`).join("\n")}\n`);
}

function logLevel(logging: Config["logging"]): LogLevel {
  if (logging.trace) return "trace";
  if (logging.debug) return "debug";
  return logging.info ? "info" : "warn";
}

function load(args: readonly string[], command: Command | undefined): Loaded {
  return loadConfig({
    args,
    env: process.env,
    cwd: process.cwd(),
    options: command?.options ?? z.object({}),
    positionals: command?.positionals ?? [],
    configFiles: command?.configFiles ?? [],
    ...(command?.check ? { check: command.check } : {}),
  });
}

async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  const loaded = load(args, command);
  const logger = createLogger(logLevel(loaded.config.logging));
  const isDaemon = command.isDaemon ?? false;
  const shutdown = onShutdownSignal({ logger, isDaemon });
  // What a daemon or its threads print is worth less than its answers; of a command, it is the result.
  if (isDaemon) for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  process.on("uncaughtException", (error: unknown) => {
    // State is unknown after a bug: say it in one line, let pm2 start afresh. The stack is for our eyes, at debug level.
    logger.fatal({ error: describeError(error) }, "Unexpected error, stopping");
    logger.debug({ stack: error instanceof Error ? error.stack : undefined }, "Stack of the unexpected error");
    process.exit(EXIT.FAILURE);
  });
  try {
    return await command.run({ ...loaded, logger, signal: shutdown.signal, print });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (shutdown.signal.aborted) return isDaemon ? EXIT.OK : EXIT.INTERRUPTED;
    process.stderr.write(`${command.name} failed: ${describeError(error)}\n`);
    logger.debug({ stack: error instanceof Error ? error.stack : undefined }, "Stack of the failure");
    return EXIT.FAILURE;
  }
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  const wantsHelp = args.some((argument) => argument === "--help" || argument === "-h");
  const command = COMMANDS.find((candidate) => candidate.name === name);
  try {
    if (wantsHelp || name === undefined || name === "help") {
      const defaults = load([], undefined).config;
      if (args.includes("--all")) print(allSettingsHelp(defaults));
      else print(command ? commandHelp(command, defaults) : programHelp(COMMANDS));
      return name === undefined ? EXIT.USAGE : EXIT.OK;
    }
    if (!command) {
      const known = COMMANDS.map((candidate) => candidate.name).join(", ");
      throw new UsageError([`"${name}": unknown command; expected one of ${known}`]);
    }
    return await runCommand(command, rest);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    printProblems(error.problems);
    return EXIT.USAGE;
  }
}

// ONNX Runtime (1.29 and later) would report its use to Microsoft and leave files in the temp folder; native code reads the
// environment once, and what worker threads set in theirs does not reach it.
process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
const exitCode = await main(process.argv.slice(2));
// Exit even if a library left a handle open, but not before what was printed has left.
process.stdout.write("", () => process.exit(exitCode));
