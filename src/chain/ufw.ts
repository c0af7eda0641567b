import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { isErrno, OperationalError } from "../errors.ts";
import { parseUfwStatus, type UfwStatus } from "./ufw-status.ts";

/** ufw rewrites its rules at every call; on a slow machine with hundreds of them that takes seconds. */
const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

const execute = promisify(execFile);

/** Reads the firewall; changes nothing. Throws OperationalError FIREWALL_NO_UFW, _NOT_ROOT, _FAILED, _INACTIVE, _STATUS. */
export async function readUfwStatus(): Promise<UfwStatus> {
  // Verbose rather than numbered: it also has the default policy and the ports of application profiles.
  return parseUfwStatus(await runUfw(["status", "verbose"]));
}

/** Runs one ufw command, without a shell, and returns what it said. Throws OperationalError FIREWALL_NO_UFW, _NOT_ROOT, _FAILED. */
export async function runUfw(args: readonly string[]): Promise<string> {
  try {
    const running = execute("ufw", args, {
      // Its messages are translated; ours to read are in English.
      env: { ...process.env, LC_ALL: "C", LANGUAGE: "C" },
      timeout: TIMEOUT_MS,
      maxBuffer: MAX_OUTPUT_BYTES,
    });
    running.child.stdin?.end(); // nobody answers a question here
    return (await running).stdout;
  } catch (error) {
    throw describeFailure(args, error);
  }
}

function describeFailure(args: readonly string[], error: unknown): OperationalError {
  if (isErrno(error, "ENOENT")) {
    return new OperationalError(
      "FIREWALL_NO_UFW",
      "ufw is not installed, or not in this user's PATH: run this as root, or install it (`apt install ufw`)",
    );
  }
  const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
  const said = `${stdout}${stderr}`.split("\n").find((line) => line.startsWith("ERROR")) ?? `${stderr}${stdout}`.trim();
  if (/need to be root/.test(said)) {
    return new OperationalError("FIREWALL_NOT_ROOT", "ufw needs root, even to show its rules: run this with sudo");
  }
  const command = shellLine(args);
  const what = said === "" ? `did not finish (${error instanceof Error ? error.message : String(error)})` : said;
  return new OperationalError("FIREWALL_FAILED", `\`${command}\`: ${what.slice(0, 500)}`, { details: { command } });
}

/** The command as one would type it. */
export function shellLine(args: readonly string[]): string {
  const words = ["ufw", ...args].map((word) =>
    /^[\w.:/-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`,
  );
  return words.join(" ");
}
