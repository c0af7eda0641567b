/** Why a request gets no answer: the status and sentence that the client sees, and a stable code for counters. */
export interface Refusal {
  readonly ok: false;
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly retryAfterSeconds?: number;
  /** The rest of the request is not worth reading: answer, then close the connection. */
  readonly closes?: boolean;
}

export function refuse(status: number, code: string, message: string): Refusal {
  return { ok: false, status, code, message };
}

/** The SDK's wording of a failed verification. */
export function notVerified(code: string, why: string): Refusal {
  return refuse(401, code, `Not Verified with error: ${why}`);
}
