import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import path from "node:path";
import { CONFIG_FLAGS, GENERAL_FLAGS, PACKAGE_ROOT } from "../config/load.ts";
import { OperationalError } from "../errors.ts";

/** A command of this program running as its own process, as under pm2: it says `ready` over IPC. */
export interface MinerProcess {
  readonly pid: number;
  /** Resolves with the first `ready`; rejects when the process ends before. */
  readonly ready: Promise<void>;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  kill(signal: NodeJS.Signals): void;
}

export interface StartOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Where it starts: no `.env` of the user may lie there. */
  readonly cwd: string;
  /** Secrets are never in its configuration file. */
  readonly pythApiKey: string | null;
  /** Its stdout and stderr are appended here. */
  readonly logFile: string;
}

/** As in ecosystem.config.js. */
const NODE_FLAGS = ["--max-semi-space-size=4"];

export function startMinerProcess(options: StartOptions): MinerProcess {
  const program = path.join(PACKAGE_ROOT, "src/main.ts");
  const child = spawn(process.execPath, [...NODE_FLAGS, program, options.command, ...options.args], {
    cwd: options.cwd,
    env: {
      ...environmentWithoutSettings(),
      ...(options.pythApiKey === null ? {} : { PYTH_API_KEY: options.pythApiKey }),
    },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const log = createWriteStream(options.logFile, { flags: "a" });
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  const exited = exitOf(child);
  const ready = new Promise<void>((resolve, reject) => {
    child.on("message", (message) => {
      if (message === "ready") resolve();
    });
    void exited.then(({ code, signal }) => {
      log.end();
      const how = signal ?? `exit code ${String(code)}`;
      const message = `${options.command} ended with ${how} before it was ready; its log: ${options.logFile}`;
      reject(new OperationalError("demo/process_ended", message));
    });
  });
  ready.catch(() => undefined); // Whoever needs it awaits it; nobody must.
  return {
    pid: child.pid ?? -1,
    ready,
    exited,
    kill: (signal) => {
      child.kill(signal);
    },
  };
}

/** The environment beats configuration files: a user's wallet, state folder or feeds must not reach a rehearsal. */
function environmentWithoutSettings(): NodeJS.ProcessEnv {
  const settings = new Set([...CONFIG_FLAGS, ...GENERAL_FLAGS].map(({ env }) => env));
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !settings.has(name)));
}

function exitOf(child: ChildProcess): MinerProcess["exited"] {
  return new Promise((resolve) => {
    child.on("error", () => {
      resolve({ code: null, signal: null });
    });
    child.on("exit", (code, signal) => {
      resolve({ code, signal });
    });
  });
}

/** A shutdown takes at most ten seconds; what is still there then is killed. */
const STOP_TIMEOUT_MS = 12_000;

export async function stopMinerProcess(miner: MinerProcess): Promise<void> {
  miner.kill("SIGTERM");
  const timer = setTimeout(() => {
    miner.kill("SIGKILL");
  }, STOP_TIMEOUT_MS);
  await miner.exited;
  clearTimeout(timer);
}
