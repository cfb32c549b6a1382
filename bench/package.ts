/**
 * From the owner's yes to a verified package: the owner answers, two keepers' worth of steps on two channels, the data
 * user fetches, opens and verifies every item and writes its receipt. The whole network in this process. JSON lines.
 *
 *   node bench/package.ts [--items 100] [--rounds 5]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { utf8 } from '#base/bytes.ts';
import { instant } from '#model/ids.ts';
import { demoTemplates, EAST, INSTITUTE } from '#sim/members.ts';
import { openNetwork, type NetworkOptions } from '#sim/network.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { agree } from '#sim/story/ask.ts';
import { enrolAll, ingestAll, syncAll } from '#sim/story/collect.ts';
import { createStage } from '#sim/story/stage.ts';
import { createWire } from '#sim/wire.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { RequestTemplate } from '#model/template.ts';

const { values } = parseArgs({ options: { items: { type: 'string', default: '100' }, rounds: { type: 'string', default: '5' } } });
const items = Number(values.items);
const rounds = Number(values.rounds);
const DAY_MS = 86_400_000;

const patient = { resourceType: 'Patient', id: 'bench', gender: 'female', birthDate: '1980-01-01' };
const observation = (at: number): object => ({
  resourceType: 'Observation', id: `o-${at}`, status: 'final', code: { coding: [{ system: 'http://loinc.org', code: '4548-4' }] }, subject: { reference: 'urn:uuid:00000000-0000-4000-8000-000000000000' },
  effectiveDateTime: `20${String(10 + (at % 15))}-0${1 + (at % 9)}-1${at % 10}`, valueQuantity: { value: 5 + at / 100, unit: '%', system: 'http://unitsofmeasure.org', code: '%' }, note: [{ text: 'x'.repeat(400) }],
});
const bundle = JSON.stringify({
  resourceType: 'Bundle', type: 'transaction',
  entry: [{ fullUrl: 'urn:uuid:00000000-0000-4000-8000-000000000000', resource: patient, request: { method: 'POST', url: 'Patient' } }, ...Array.from({ length: items }, (_, at) => ({ fullUrl: `urn:uuid:00000000-0000-4000-8000-${String(at + 1).padStart(12, '0')}`, resource: observation(at), request: { method: 'POST', url: 'Observation' } }))],
});

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-bench-'));
try {
  const wire = createWire();
  const options: NetworkOptions = {
    folder, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: () => undefined, fetch: wire.fetch,
    host: async (org, handler) => {
      wire.attach(`http://${org.toLowerCase()}.local`, handler);
      return `http://${org.toLowerCase()}.local`;
    },
  };
  const network = await openNetwork(options);
  const store = openSqliteKeyValueStore(join(folder, 'story.sqlite'));
  const stage = createStage({ network, networkOptions: options, plan: { groups: [[{ keeper: EAST.org, file: 'bench.json', read: () => utf8(bundle) }]], canaries: [] }, store, say: () => undefined, indexDelay: { minMs: 0, maxMs: 0 } });
  const people = await enrolAll(stage, await ingestAll(stage));
  await syncAll(stage, people);
  const base = demoTemplates(instant(systemClock.now() + 30 * DAY_MS))[1] as RequestTemplate;
  const { byDataUser } = await agree(stage, [RequestTemplate.parse({ ...base, id: 'bench-all', select: [{ resourceType: 'Observation', codes: [] }] })]);
  const { ref } = byDataUser.get(INSTITUTE.org) as NonNullable<ReturnType<typeof byDataUser.get>>;
  const { device } = (people[0] as (typeof people)[number]).open;
  const times: { readonly answer: number; readonly receive: number; readonly total: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const { slots } = await device.permit({ duo: INSTITUTE.org, templates: [ref], quota: 1, until: instant(systemClock.now() + 10 * DAY_MS) });
    await network.dataUsers.get(INSTITUTE.org)?.caughtUp((await network.ledger.height('drc')) - 1);
    const slot = slots[0] as (typeof slots)[number];
    await stage.dataUser(INSTITUTE.org).invite({ params: { slot }, body: { template: ref, message: '', answerBy: instant(systemClock.now() + DAY_MS) } });
    await device.sync();
    const from = performance.now();
    await device.answer(slot, { decision: 'all' });
    const answered = performance.now();
    const received = await stage.dataUser(INSTITUTE.org).receive({ params: { slot }, body: {} });
    const end = performance.now();
    if (received.items.length !== items || received.items.some((item) => !item.good)) throw new Error(`only ${received.items.filter((item) => item.good).length} of ${items} items verified`);
    times.push({ answer: answered - from, receive: end - answered, total: end - from });
  }
  const median = (pick: (time: (typeof times)[number]) => number): number => Math.round(times.map(pick).sort((left, right) => left - right)[Math.floor(times.length / 2)] as number);
  process.stdout.write(`${JSON.stringify({ bench: 'package', items, rounds, answerMs: median((time) => time.answer), receiveMs: median((time) => time.receive), totalMs: median((time) => time.total), allMs: times.map((time) => Math.round(time.total)) })}\n`);
  for (const person of people) await person.open.close();
  await store.close();
  await network.close();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
