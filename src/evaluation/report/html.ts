/** Markup that is safe to send as it is. Only `html` and `trusted` make it. */
export interface Html {
  readonly markup: string;
}

type Part = string | number | Html | readonly Html[];

/** Every interpolated string is escaped, in text and in quoted attributes; only `Html` passes unchanged. */
export function html(parts: TemplateStringsArray, ...values: readonly Part[]): Html {
  return { markup: parts.map((part, i) => part + (i < values.length ? markupOf(values[i]!) : "")).join("") };
}

/** For markup made by this room or by the chart library, never for a string of the report. */
export function trusted(markup: string): Html {
  return { markup };
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function markupOf(value: Part): string {
  if (typeof value === "string") return value.replaceAll(/[&<>"']/g, (character) => ENTITIES[character]!);
  if (typeof value === "number") return String(value);
  return "markup" in value ? value.markup : value.map(({ markup }) => markup).join("\n");
}

export interface Column {
  readonly head: string;
  readonly align: "left" | "right";
}

export function left(head: string): Column {
  return { head, align: "left" };
}

export function right(head: string): Column {
  return { head, align: "right" };
}

/** The first cell of a row is its header. */
export function table(
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
): Html {
  const head = columns.map(({ head: text, align }) => html`<th scope="col" class="${align}">${text}</th>`);
  const body = rows.map((row) => {
    const cells = row.map((cell, i) =>
      i === 0 ? html`<th scope="row">${cell}</th>` : html`<td class="${columns[i]!.align}">${cell}</td>`,
    );
    return html`<tr>
      ${cells}
    </tr>`;
  });
  return html`<div class="scroll" tabindex="0" role="group" aria-label="${caption}">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${body}
      </tbody>
    </table>
  </div>`;
}

/** The numbers behind a chart, or detail that most readers skip. */
export function folded(summary: string, content: Html): Html {
  return html`<details>
    <summary>${summary}</summary>
    ${content}
  </details>`;
}
