import { OperationalError } from "../errors.ts";

/** WALLET_INVALID: the content of a key file is not a key. `problem` never quotes the content. */
export function invalidKeyfile(origin: string, problem: string): OperationalError {
  return new OperationalError("WALLET_INVALID", `Hotkey file ${origin} ${problem}`, { details: { file: origin } });
}
