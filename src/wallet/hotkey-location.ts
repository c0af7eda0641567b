import { constants, type Stats } from "node:fs";
import { open, realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { isErrno, OperationalError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { invalidKeyfile } from "./refusal.ts";

export interface WalletLocation {
  /** Folder of the wallets; `~` is the home folder. */
  readonly path: string;
  readonly name: string;
  readonly hotkey: string;
}

const MAX_KEYFILE_BYTES = 65_536;

/** What a wallet's folder holds beside its hotkeys: never opened, whatever a setting or a link says. */
const COLDKEY_NAMES = ["coldkey", "coldkeypub.txt"];

export function hotkeyFile(wallet: WalletLocation): string {
  return path.join(withHome(wallet.path), wallet.name, "hotkeys", wallet.hotkey);
}

/**
 * Every path that the Bittensor tools may know this hotkey file under: they resolve neither `..` nor a relative path, and
 * whether `~` is still in it depends on who asks.
 */
export function hotkeyPaths(wallet: WalletLocation): readonly string[] {
  const below = (folder: string): string =>
    `${folder.replace(/(?<=.)\/+$/, "")}/${wallet.name}/hotkeys/${wallet.hotkey}`;
  return [hotkeyFile(wallet), below(withHome(wallet.path)), below(wallet.path)];
}

function withHome(folder: string): string {
  return folder === "~" || folder.startsWith("~/") ? homedir() + folder.slice(1) : folder;
}

/** Throws WALLET_NAME unless both names are one path segment each: `../coldkey` is no hotkey. */
export function checkWalletNames(wallet: WalletLocation): void {
  const names = { "--wallet.name": wallet.name, "--wallet.hotkey": wallet.hotkey };
  for (const [flag, name] of Object.entries(names)) {
    if (name !== "" && name !== "." && name !== ".." && !/[/\\\0]/.test(name)) continue;
    throw new OperationalError("WALLET_NAME", `${flag}: expected the name of a file, found ${JSON.stringify(name)}`);
  }
}

/**
 * The bytes of one key file. A link is followed, for secret stores mount keys so, but never to a coldkey: not by name, nor by
 * any link to the wallet's own.
 * @throws OperationalError WALLET_COLDKEY, WALLET_MISSING, WALLET_UNREADABLE, WALLET_INVALID
 */
export async function readKeyfile(file: string, logger?: Logger): Promise<Uint8Array> {
  try {
    const real = await realpath(file);
    const info = await stat(real);
    await refuseColdkey(file, real, info);
    if (!info.isFile()) throw unreadable(file, "is not a regular file");
    if (info.size > MAX_KEYFILE_BYTES) throw invalidKeyfile(file, `is larger than ${MAX_KEYFILE_BYTES} bytes`);
    warnOfReaders(file, info, logger);
    return await readChecked(file, real, info);
  } catch (error) {
    if (error instanceof OperationalError) throw error;
    if (!isErrno(error, "ENOENT") && !isErrno(error, "ENOTDIR")) throw unreadable(file, "cannot be read", error);
    throw new OperationalError(
      "WALLET_MISSING",
      `No hotkey file at ${file}: create one with \`btcli wallet new_hotkey\`, or set --wallet.name, --wallet.hotkey and --wallet.path`,
      { details: { file } },
    );
  }
}

/** What is opened is what was judged: no link in its last place, and the same file. */
async function readChecked(file: string, real: string, judged: Stats): Promise<Uint8Array> {
  const handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { dev, ino } = await handle.stat();
    if (dev !== judged.dev || ino !== judged.ino) throw unreadable(file, "was replaced while it was read");
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** Looks at names and inodes only. */
async function refuseColdkey(file: string, real: string, info: Stats): Promise<void> {
  const named = [file, real].some((candidate) => COLDKEY_NAMES.includes(path.basename(candidate)));
  if (!named && !(await isColdkeyOf(file, real, info))) return;
  throw new OperationalError(
    "WALLET_COLDKEY",
    `Hotkey file ${file} is a coldkey or leads to one; a miner never opens it: name a hotkey with --wallet.hotkey`,
    { details: { file } },
  );
}

async function isColdkeyOf(file: string, real: string, info: Stats): Promise<boolean> {
  const folders = [path.dirname(path.resolve(file)), await realpath(path.dirname(file)), path.dirname(real)];
  const wallets = new Set(folders.map((folder) => path.dirname(folder)));
  for (const wallet of wallets) {
    for (const name of COLDKEY_NAMES) {
      // A wallet without a coldkey, or with one that we may not even look at, is the rule on a miner.
      const coldkey = await stat(path.join(wallet, name)).catch(() => undefined);
      if (coldkey !== undefined && coldkey.dev === info.dev && coldkey.ino === info.ino) return true;
    }
  }
  return false;
}

function warnOfReaders(file: string, { mode }: Stats, logger: Logger | undefined): void {
  if ((mode & 0o077) === 0) return;
  const permissions = (mode & 0o777).toString(8).padStart(3, "0");
  logger?.warn({ file, mode: permissions }, "Hotkey file is open to other users of this machine; chmod 600 closes it");
}

function unreadable(file: string, problem: string, cause?: unknown): OperationalError {
  const message = `Hotkey file ${file} ${problem}`;
  return new OperationalError("WALLET_UNREADABLE", message, {
    details: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}
