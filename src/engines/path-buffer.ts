/**
 * A prompt's prices take 2.3 MB. Each thread keeps the buffer of its last forecast for the next one of the same size,
 * so that memory does not depend on when garbage is collected. Larger buffers are not kept.
 */
const MAX_KEPT_PRICES = 512 * 1024;
let spare: Float64Array | null = null;

/** A buffer for prices, with any content. Its owner may hand it back with `releasePaths`, or keep it. */
export function takePaths(length: number): Float64Array {
  if (spare?.length !== length) return new Float64Array(length);
  const paths = spare;
  spare = null;
  return paths;
}

/** Gives a buffer back; nobody may use it afterwards. */
export function releasePaths(paths: Float64Array): void {
  if (paths.length <= MAX_KEPT_PRICES) spare = paths;
}
