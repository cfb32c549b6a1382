/** Process A (flows.md section 3): bundles come in, people enrol and link, devices read, verify and index. */
import { CodedError } from '#base/errors.ts';
import type { RefusedResource } from '#api/endpoints.ts';
import type { OrgId } from '#model/ids.ts';
import { inTurns, type Person, type Stage } from './stage.ts';

/** What a hospital said of one file. Kept, because only it knows what was read and refused. */
export interface Ingested {
  readonly keeper: OrgId;
  readonly file: string;
  readonly read: number;
  readonly accepted: number;
  readonly refused: readonly RefusedResource[];
  readonly patients: readonly string[];
  /** Set when the file as a whole was refused. */
  readonly code?: string;
}

const DEVICE_LANES = 4;
const SYNC_ROUNDS_MAX = 100;
const SYNC_PAUSE_MS = 50;

/** A3–A6: every bundle goes to its hospital over HTTP; what was acknowledged before a restart is not sent again. */
export async function ingestAll(stage: Stage): Promise<readonly Ingested[]> {
  const reports: Ingested[] = [];
  for (const [group, bundles] of stage.plan.groups.entries()) {
    for (const bundle of bundles) {
      const key = `ingested/${String(group).padStart(6, '0')}/${bundle.keeper}/${bundle.file}`;
      const kept = await stage.memory.read<Ingested>(key);
      const report = kept ?? (await ingestOne(stage, bundle));
      if (kept === undefined) {
        await stage.memory.write(key, report);
        stage.options.acknowledged?.({ kind: 'ingested', file: bundle.file, keeper: bundle.keeper, accepted: report.accepted });
      }
      reports.push(report);
    }
  }
  return reports;
}

async function ingestOne(stage: Stage, bundle: { readonly keeper: OrgId; readonly file: string; read(): Uint8Array<ArrayBuffer> }): Promise<Ingested> {
  const base = { keeper: bundle.keeper, file: bundle.file };
  try {
    const answer = await stage.hospital(bundle.keeper).ingest({ query: { file: bundle.file }, body: bundle.read(), contentType: bundle.file.endsWith('.gz') ? 'application/gzip' : 'application/fhir+json' });
    return { ...base, read: answer.read, accepted: answer.accepted + answer.duplicates, refused: answer.refused, patients: answer.patients };
  } catch (error) {
    if (!(error instanceof CodedError) || Number(error.details['status'] ?? 500) >= 500) throw error;
    return { ...base, read: 0, accepted: 0, refused: [{ file: bundle.file, index: -1, code: error.code, reason: error.message }], patients: [], code: error.code };
  }
}

/** A1, A2: people with a device of their own; the nth patient of each bundle of a group is one person. */
export async function enrolAll(stage: Stage, reports: readonly Ingested[]): Promise<readonly Person[]> {
  const wanted = peopleOf(stage, reports);
  return inTurns(wanted, DEVICE_LANES, (patients, index) => enrolOne(stage, patients, index));
}

function peopleOf(stage: Stage, reports: readonly Ingested[]): Person['patients'][] {
  const people: { keeper: OrgId; patient: string }[][] = [];
  const known = new Map<string, { keeper: OrgId; patient: string }[]>();
  let at = 0;
  for (const bundles of stage.plan.groups) {
    const group = reports.slice(at, at + bundles.length);
    at += bundles.length;
    const most = Math.max(0, ...group.map((report) => report.patients.length));
    for (let nth = 0; nth < most; nth++) {
      const found = group.flatMap((report) => (report.patients[nth] === undefined ? [] : [{ keeper: report.keeper, patient: report.patients[nth] as string }]));
      // The same patient in a later file is the same person.
      const person = found.map((one) => known.get(`${one.keeper}/${one.patient}`)).find((one) => one !== undefined) ?? [];
      if (person.length === 0) people.push(person);
      for (const one of found) {
        const name = `${one.keeper}/${one.patient}`;
        if (known.has(name)) continue;
        known.set(name, person);
        person.push(one);
      }
    }
  }
  return people;
}

async function enrolOne(stage: Stage, patients: Person['patients'], index: number): Promise<Person> {
  const name = String(index + 1);
  const open = await stage.network.openDevice(name, stage.indexDelay);
  if (!(await open.device.enrolled())) {
    const { code } = await stage.userOrg().inviteCode({ body: {} });
    await open.device.enrol({ code });
  }
  for (const { keeper, patient } of patients) {
    const key = `linked/${name}/${keeper}`;
    if ((await stage.memory.read(key)) !== undefined) continue;
    const link = await open.device.linkCode(keeper);
    const { subject } = await stage.hospital(keeper).link({ params: { patient }, body: { link } });
    await stage.memory.write(key, { subject });
  }
  return { name, index, patients, open };
}

/** A7, A8: every device reads its notices, verifies every record against its anchor and writes its index. */
export async function syncAll(stage: Stage, people: readonly Person[]): Promise<void> {
  await inTurns(people, DEVICE_LANES, async (person) => {
    const { device } = person.open;
    for (let round = 0; round < SYNC_ROUNDS_MAX; round++) {
      await device.settle();
      const from = new Set((await device.records()).map((record) => record.keeper));
      if (person.patients.every(({ keeper }) => from.has(keeper))) break;
      await stage.options.scheduler.sleep(SYNC_PAUSE_MS);
    }
    // A notice may be late or lost: what the keepers list is taken over all the same.
    if ((await device.reconcile()).length > 0) await device.settle();
  });
}
