import type { RpcErrorBody } from "./api.ts";

/** Why an extrinsic is not valid: as author_submitExtrinsic says it, and as the runtime's TransactionValidityError has it. */
export interface Refusal {
  readonly body: RpcErrorBody;
  readonly validity: Readonly<Record<string, unknown>>;
}

/** Codes and texts of sc_rpc_api::author::error and sp_runtime::transaction_validity. */
function invalid(variant: string, data: string): Refusal {
  return { body: { code: 1010, message: "Invalid Transaction", data }, validity: { Invalid: variant } };
}

export const STALE = invalid("Stale", "Transaction is outdated");
export const BAD_PROOF = invalid("BadProof", "Transaction has a bad signature");
export const ANCIENT_BIRTH = invalid("AncientBirthBlock", "Transaction has an ancient birth block");
export const NO_FEE = invalid("Payment", "Inability to pay some fees (e.g. account balance too low)");

export function customRefusal(code: number): Refusal {
  const body = { code: 1010, message: "Invalid Transaction", data: `Custom error: ${code}` };
  return { body, validity: { Invalid: { Custom: code } } };
}

export const CANNOT_LOOKUP: Refusal = {
  body: {
    code: 1011,
    message: "Unknown Transaction Validity",
    data: "Could not lookup information required to validate the transaction",
  },
  validity: { Unknown: "CannotLookup" },
};

/** Of the pool, not of the runtime. */
export const BANNED: RpcErrorBody = { code: 1012, message: "Transaction is temporarily banned" };

export function alreadyImported(hash: string): RpcErrorBody {
  return { code: 1013, message: "Already Imported", data: `[${hash}] Already imported` };
}

export function badFormat(problem: string): RpcErrorBody {
  return { code: 1001, message: `Extrinsic has invalid format: ${problem}` };
}

/** What a runtime does with bytes that it cannot decode. */
const TRAP = "Execution failed: Execution aborted due to trap: wasm trap: wasm `unreachable` instruction executed";

export const TRAPPED: RpcErrorBody = {
  code: 1002,
  message: `Verification Error: Runtime error: ${TRAP}`,
  data: `RuntimeApi("${TRAP}")`,
};
