/** The user index channel: sealed entries, each under its own tag and its own one-time certificate. Keys: (`entry`, tag), (`writer`, certificate). */
import type { IndexEntryState } from '#model/uic.ts';
import type { IndexTag } from '#model/ids.ts';
import { decidePutEntry } from '#model/rules/uic.ts';
import { codedRefusal, enforce, refuse } from '#model/rules/verdict.ts';
import { moveRuns } from './move.ts';
import { DONE } from './outputs.ts';
import { pageUnder, readState, writeState } from './state.ts';
import { defineContract } from './table.ts';
import { setTimeFloor } from './time-floor.ts';

export const uicContract = defineContract('uic', {
  async putEntry({ stub, caller }, { tag, sealed }) {
    const tagTaken = (await readState(stub, ['entry', tag])) !== undefined;
    const certificateUsed = (await readState(stub, ['writer', caller.id])) !== undefined;
    enforce(decidePutEntry({ tagTaken, certificateUsed }));
    await writeState(stub, ['entry', tag], { sealed });
    await writeState(stub, ['writer', caller.id], {});
    return { output: DONE, event: { tag } };
  },

  async getEntry({ stub }, { tag }) {
    const output = await readState<IndexEntryState>(stub, ['entry', tag]);
    if (output === undefined) throw codedRefusal(refuse('ENTRY_UNKNOWN'));
    return { output };
  },

  async listEntries({ stub }, page) {
    const { rows, bookmark } = await pageUnder<IndexEntryState>(stub, ['entry'], page);
    return { output: { entries: rows.map((row) => ({ tag: row.attributes[0] as IndexTag, sealed: row.value.sealed })), bookmark } };
  },

  setTimeFloor,

  ...moveRuns('uic'),
});
