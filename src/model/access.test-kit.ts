/**
 * Role × transaction, written by hand and apart from access.ts, so that a slip there is seen here. `+` may call, `.` may not.
 * Tests of the pure rule and of the contracts on a real ledger read the same table; every pair must be listed.
 */
import type { Who } from './access.ts';
import { ChannelKind } from './orgs.ts';

const TABLE = `
                    | uo: person system staff operator | ho: person system staff operator | duo: person system staff operator
uic putEntry        |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
uic getEntry        |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
uic listEntries     |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
uic setTimeFloor    |     .      +      .     .        |     .      .      .     .        |      .      .      .     .
uic readState       |     .      .      .     +        |     .      .      .     .        |      .      .      .     .
uic getMove         |     +      +      .     +        |     .      .      .     .        |      .      .      .     .
uic freezeChannel   |     .      .      .     +        |     .      .      .     .        |      .      .      .     .
uic beginImport     |     .      .      .     +        |     .      .      .     .        |      .      .      .     .
uic importChunk     |     .      .      .     +        |     .      .      .     .        |      .      .      .     .
uic sealImport      |     .      .      .     +        |     .      .      .     .        |      .      .      .     .
hdc linkOwner       |     .      .      .     .        |     .      +      .     .        |      .      .      .     .
hdc anchorRecords   |     .      .      .     .        |     .      +      .     .        |      .      .      .     .
hdc getAnchors      |     +      .      .     .        |     .      +      .     +        |      .      .      .     .
hdc listAnchors     |     .      .      .     .        |     .      +      .     +        |      .      .      .     .
hdc getOwner        |     +      .      .     .        |     .      +      .     +        |      .      .      .     .
hdc orderRelease    |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
hdc revokeRelease   |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
hdc recordRelease   |     .      .      .     .        |     .      +      .     .        |      .      .      .     .
hdc getOrder        |     +      .      .     .        |     .      +      .     +        |      .      .      .     .
hdc logAccess       |     .      .      .     .        |     .      +      .     .        |      .      .      .     .
hdc getAccessHead   |     +      .      .     .        |     .      +      .     +        |      .      .      .     .
hdc orderErasure    |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
hdc recordErasure   |     .      .      .     .        |     .      +      .     .        |      .      .      .     .
hdc setTimeFloor    |     .      .      .     .        |     .      +      .     .        |      .      .      .     .
hdc readState       |     .      .      .     .        |     .      .      .     +        |      .      .      .     .
hdc getMove         |     +      .      .     .        |     .      +      .     +        |      .      .      .     .
hdc freezeChannel   |     .      .      .     .        |     .      .      .     +        |      .      .      .     .
hdc beginImport     |     .      .      .     .        |     .      .      .     +        |      .      .      .     .
hdc importChunk     |     .      .      .     .        |     .      .      .     +        |      .      .      .     .
hdc sealImport      |     .      .      .     .        |     .      .      .     +        |      .      .      .     .
drc publishTemplate |     .      .      .     .        |     .      .      .     .        |      .      +      .     .
drc getTemplate     |     +      .      .     .        |     .      .      .     .        |      .      +      +     +
drc listTemplates   |     +      .      .     .        |     .      .      .     .        |      .      +      +     +
drc openSlot        |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
drc withdrawSlot    |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
drc reportSlot      |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
drc invite          |     .      .      .     .        |     .      .      .     .        |      .      +      .     .
drc respond         |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
drc revokeGrant     |     +      .      .     .        |     .      .      .     .        |      .      .      .     .
drc putReceipt      |     .      .      .     .        |     .      .      .     .        |      .      +      .     .
drc putErasure      |     .      .      .     .        |     .      .      .     .        |      .      +      .     .
drc getSlot         |     +      .      .     .        |     .      .      .     .        |      .      +      .     +
drc listSlots       |     .      .      .     .        |     .      .      .     .        |      .      +      .     +
drc settle          |     .      .      .     .        |     .      .      .     .        |      .      +      .     .
drc getStatement    |     .      .      .     .        |     .      .      .     .        |      .      +      .     +
drc setTimeFloor    |     .      +      .     .        |     .      .      .     .        |      .      +      .     .
drc readState       |     .      .      .     .        |     .      .      .     .        |      .      .      .     +
drc getMove         |     +      .      .     .        |     .      .      .     .        |      .      +      .     +
drc freezeChannel   |     .      .      .     .        |     .      .      .     .        |      .      .      .     +
drc beginImport     |     .      .      .     .        |     .      .      .     .        |      .      .      .     +
drc importChunk     |     .      .      .     .        |     .      .      .     .        |      .      .      .     +
drc sealImport      |     .      .      .     .        |     .      .      .     .        |      .      .      .     +
con found           |     .      +      .     +        |     .      +      .     +        |      .      +      .     +
con getMembers      |     +      +      +     +        |     .      +      +     +        |      .      +      +     +
con updateMember    |     .      +      .     +        |     .      +      .     +        |      .      +      .     +
con propose         |     .      +      .     +        |     .      +      .     +        |      .      +      .     +
con vote            |     .      +      .     +        |     .      +      .     +        |      .      +      .     +
con getProposal     |     +      +      +     +        |     .      +      +     +        |      .      +      +     +
con isAccepted      |     +      +      +     +        |     .      +      +     +        |      .      +      +     +
con putCheckpoint   |     .      +      .     .        |     .      +      .     .        |      .      +      .     .
con getCheckpoint   |     +      +      +     +        |     .      +      +     +        |      .      +      +     +
con findCheckpoint  |     +      +      +     +        |     .      +      +     +        |      .      +      +     +
con setTimeFloor    |     .      +      .     .        |     .      +      .     .        |      .      +      .     .
con readState       |     .      .      .     +        |     .      .      .     +        |      .      .      .     +
con getMove         |     +      +      +     +        |     .      +      +     +        |      .      +      +     +
con freezeChannel   |     .      .      .     +        |     .      .      .     +        |      .      .      .     +
con beginImport     |     .      .      .     +        |     .      .      .     +        |      .      .      .     +
con importChunk     |     .      .      .     +        |     .      .      .     +        |      .      .      .     +
con sealImport      |     .      .      .     +        |     .      .      .     +        |      .      .      .     +
`;

export interface MatrixCell {
  readonly kind: ChannelKind;
  readonly transaction: string;
  readonly who: Who;
  readonly allowed: boolean;
}

const [head, ...body] = TABLE.split('\n').filter((line) => line.trim() !== '') as [string, ...string[]];

const columns: readonly Who[] = head
  .split('|')
  .slice(1)
  .flatMap((group) => {
    const [orgClass, roles] = group.split(':') as [string, string];
    return roles.trim().split(/\s+/).map((role) => `${orgClass.trim()}/${role}` as Who);
  });

/** Every listed pair of role and transaction. */
export const accessMatrix: readonly MatrixCell[] = body.flatMap((line) => {
  const [name, ...groups] = line.split('|') as [string, ...string[]];
  const [kind, transaction] = name.trim().split(/\s+/) as [string, string];
  const marks = groups.join(' ').trim().split(/\s+/);
  if (marks.length !== columns.length || marks.some((mark) => mark !== '+' && mark !== '.')) throw new Error(`matrix row ${name.trim()} is not complete`);
  return marks.map((mark, at) => ({ kind: ChannelKind.parse(kind), transaction, who: columns[at] as Who, allowed: mark === '+' }));
});
