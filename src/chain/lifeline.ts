/**
 * What ends calls that are in progress when a connection does. Racing them against one promise of that end would keep
 * the result of each for as long as the connection lives.
 */
export class Lifeline {
  readonly #cuts = new Set<(reason: Error) => void>();
  #reason: Error | undefined;

  /** `work`, given a promise of its own that rejects at the end; not begun where that has come. */
  async during<T>(work: (cut: Promise<never>) => Promise<T>): Promise<T> {
    if (this.#reason) throw this.#reason;
    const { promise, reject } = Promise.withResolvers<never>();
    this.#cuts.add(reject);
    try {
      return await work(promise);
    } finally {
      this.#cuts.delete(reject);
    }
  }

  end(reason: Error): void {
    this.#reason ??= reason;
    for (const cut of this.#cuts) cut(reason);
  }
}
