import Table, { type HorizontalAlignment } from "cli-table3";

/** A plain table for a terminal, a pipe or a log: no colours, one line a row. Columns named in `right` align right. */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  right: readonly string[] = [],
): string {
  const colAligns: HorizontalAlignment[] = head.map((name) => (right.includes(name) ? "right" : "left"));
  const table = new Table({
    head: [...head],
    colAligns,
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
    style: { head: [], border: [] },
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}
