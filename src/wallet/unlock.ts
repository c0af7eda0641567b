import { OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { PasswordPrompt } from "./password-prompt.ts";
import { exportableVariable, passwordVariables, revealPassword } from "./password-variable.ts";
import { DERIVATION_BYTES, openSecretbox } from "./secretbox.ts";

/** Where a password may come from. */
export interface PasswordSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Null: nobody is there to ask. */
  readonly prompt: PasswordPrompt | null;
  readonly logger?: Logger;
  readonly signal?: AbortSignal;
}

export interface LockedKeyfile {
  /** The absolute path, for messages. */
  readonly file: string;
  /** The paths that the environment variable may be named after, the preferred one first. */
  readonly paths: readonly string[];
  readonly content: Uint8Array;
}

export interface Unlocked {
  readonly plaintext: Uint8Array;
  readonly password: Uint8Array;
}

const PROMPT_TRIES = 3;

/**
 * Opens an encrypted key file with the password of its environment variable, else of a person at the terminal.
 * @throws OperationalError WALLET_ENCRYPTED (no password to be had), WALLET_PASSWORD (a wrong one), WALLET_INVALID,
 * WALLET_MEMORY
 */
export async function unlockKeyfile(locked: LockedKeyfile, sources: PasswordSources): Promise<Unlocked> {
  const names = passwordVariables(locked.paths);
  const given = names.filter((name) => (sources.env[name] ?? "") !== "");
  if (given.length === 0 && sources.prompt === null) throw noPassword(locked.file, names);
  warnOfMemory(locked.file, sources.logger);
  if (given.length > 0) return unlockWithVariables(locked, given, sources.env);
  return unlockWithPrompt(locked, sources.prompt!, sources.signal);
}

async function unlockWithVariables(
  locked: LockedKeyfile,
  names: readonly string[],
  env: PasswordSources["env"],
): Promise<Unlocked> {
  for (const name of names) {
    const password = revealPassword(env[name]!, name);
    const unlocked = password === undefined ? undefined : await tryPassword(locked, password);
    if (unlocked !== undefined) return unlocked;
  }
  throw new OperationalError(
    "WALLET_PASSWORD",
    `Hotkey file ${locked.file}: the password in ${names.join(", ")} does not open it; the value is base64(password XOR ` +
      "the variable's name), not the password itself: `npm run -s miner -- wallet-password` prints it",
    { details: { file: locked.file, variables: names } },
  );
}

async function unlockWithPrompt(locked: LockedKeyfile, ask: PasswordPrompt, signal?: AbortSignal): Promise<Unlocked> {
  let question = `Password of hotkey file ${locked.file}: `;
  for (let attempt = 1; attempt <= PROMPT_TRIES; attempt += 1) {
    const unlocked = await tryPassword(locked, Buffer.from(await ask(question, signal)));
    if (unlocked !== undefined) return unlocked;
    question = "Wrong password, try again: ";
  }
  throw new OperationalError("WALLET_PASSWORD", `Hotkey file ${locked.file}: ${PROMPT_TRIES} wrong passwords`, {
    details: { file: locked.file },
  });
}

async function tryPassword({ content, file }: LockedKeyfile, password: Uint8Array): Promise<Unlocked | undefined> {
  const plaintext = await openSecretbox(content, password, file);
  return plaintext === undefined ? undefined : { plaintext, password };
}

/** Where memory is short the kernel may end us without a word: this is the word. */
function warnOfMemory(file: string, logger: Logger | undefined): void {
  const availableBytes = process.availableMemory();
  if (availableBytes >= DERIVATION_BYTES) return;
  const facts = { file, neededBytes: DERIVATION_BYTES, availableBytes };
  logger?.warn(facts, "Decrypting the hotkey takes more memory than is available; the system may end this process");
}

function noPassword(file: string, names: readonly string[]): OperationalError {
  const [documented = "", ...others] = names;
  const plain = exportableVariable(file);
  const instead =
    plain === documented || !others.includes(plain) ? "" : ` (or ${plain}, which shells can export: it has no hyphen)`;
  return new OperationalError(
    "WALLET_ENCRYPTED",
    `Hotkey file ${file} is encrypted, and there is neither a terminal to ask for its password nor the environment ` +
      `variable ${documented}${instead}; \`npm run -s miner -- wallet-password\` with the same --wallet flags prints the ` +
      "line to export, as does Wallet(…).hotkey_file.save_password_to_env() of the Python package",
    { details: { file, variables: names } },
  );
}
