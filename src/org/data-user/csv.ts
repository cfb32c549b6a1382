/** CSV (RFC 4180) that a spreadsheet cannot mistake for a program. */

/**
 * Rows ended by CRLF. A cell that a spreadsheet would take for a formula (it begins with = + - @, a tab or a line
 * break, also after spaces) gets an apostrophe in front, as OWASP advises; quotes are doubled, every cell is quoted.
 */
export function csv(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

function cell(text: string): string {
  const harmless = /^\s*[=+\-@\t\r\n|%＝＋－＠]/.test(text) ? `'${text}` : text;
  return `"${harmless.replaceAll('"', '""')}"`;
}
