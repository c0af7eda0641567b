/**
 * Piecewise cubic Hermite interpolation that is monotone wherever the data are, with a continuous first derivative (Fritsch &
 * Butland 1984; ends: the three-point formula kept in shape, Moler 2004): SciPy's PchipInterpolator. `x` ascending, at least
 * two; arguments outside its range are taken at its ends.
 */
export function pchip(x: readonly number[], y: readonly number[]): (at: number) => number {
  const slopes = slopesOf(x, y);
  const last = x.length - 1;
  return (at) => {
    if (at <= x[0]!) return y[0]!;
    if (at >= x[last]!) return y[last]!;
    const right = x.findIndex((knot) => knot >= at);
    if (at === x[right]!) return y[right]!;
    const left = right - 1;
    const width = x[right]! - x[left]!;
    const t = (at - x[left]!) / width;
    const s = 1 - t;
    const rise = (y[right]! - y[left]!) * t * t * (1 + 2 * s);
    return y[left]! + rise + width * t * s * (slopes[left]! * s - slopes[right]! * t);
  };
}

/** First derivatives at the knots. */
function slopesOf(x: readonly number[], y: readonly number[]): number[] {
  const last = x.length - 1;
  const widths = Array.from({ length: last }, (_, i) => x[i + 1]! - x[i]!);
  const secants = widths.map((width, i) => (y[i + 1]! - y[i]!) / width);
  if (last === 1) return [secants[0]!, secants[0]!];
  return x.map((_, i) => {
    if (i === 0) return endSlope([widths[0]!, widths[1]!], [secants[0]!, secants[1]!]);
    if (i === last) return endSlope([widths[last - 1]!, widths[last - 2]!], [secants[last - 1]!, secants[last - 2]!]);
    const [before, after] = [secants[i - 1]!, secants[i]!];
    if (before * after <= 0) return 0;
    const [w1, w2] = [2 * widths[i]! + widths[i - 1]!, widths[i]! + 2 * widths[i - 1]!];
    // Weighted harmonic mean: no steeper than thrice the flatter secant.
    return (w1 + w2) / (w1 / before + w2 / after);
  });
}

/** Widths and secants of the outermost interval and the one beside it. */
function endSlope(widths: readonly [number, number], secants: readonly [number, number]): number {
  const slope = ((2 * widths[0] + widths[1]) * secants[0] - widths[0] * secants[1]) / (widths[0] + widths[1]);
  if (Math.sign(slope) !== Math.sign(secants[0])) return 0;
  const isTurning = Math.sign(secants[0]) !== Math.sign(secants[1]);
  return isTurning && Math.abs(slope) > 3 * Math.abs(secants[0]) ? 3 * secants[0] : slope;
}
