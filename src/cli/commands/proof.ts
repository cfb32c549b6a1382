/** `healthkeep proof …`: a proof file for one record, and its check by the stand-alone verifier. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { contractClient } from '#contracts/client.ts';
import { RecordId } from '#model/ids.ts';
import { CON } from '#model/orgs.ts';
import type { Command } from '../command.ts';
import { pathOf } from '../context.ts';
import { writeOutput } from '../files.ts';
import { DEVICE_OPTIONS, userOrgOf, withDevice } from '../person.ts';

const VERIFIER = join(dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url))))), 'verifier', 'verify.ts');

export const proofMake: Command = {
  name: ['proof', 'make'],
  summary: 'Writes a proof file for one of the person\'s records: anybody can check it offline.',
  arguments: [{ name: 'RECORD', summary: 'the record\'s id' }, { name: 'FILE', summary: 'the file to write' }],
  options: { ...DEVICE_OPTIONS, genesis: { type: 'string', value: 'FILE', summary: 'also write the consortium\'s founding members, to be pinned by the verifier' } },
  examples: ['healthkeep proof make RECORD proof.json --folder demo/people/1 --genesis genesis.json', 'healthkeep proof verify proof.json --genesis genesis.json'],
  run: (context) =>
    withDevice(context, false, async ({ device, world }) => {
      const id = RecordId.safeParse(context.words[0]);
      if (!id.success) throw new CodedError('USAGE_ARGUMENT', 'That is not a record\'s id.', { why: 'An id is 22 characters of base64url.', next: 'Copy one from healthkeep device records.' });
      const proof = await device.proofOf(id.data);
      writeOutput(pathOf(context, context.words[1]), `${JSON.stringify(proof, null, 2)}\n`);
      if (context.options['genesis'] !== undefined) {
        const { members } = await contractClient<'con'>(world.ledger, { channel: CON, signer: (await world.identity(userOrgOf(world))).system }).evaluate('getMembers', {});
        writeOutput(pathOf(context, context.options['genesis']), `${JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members: members.map(({ org, rootCertificate }) => ({ org, rootCertificate })) }, null, 2)}\n`);
      }
      return { json: { record: id.data, written: true }, text: ['Written. Check it offline: node verifier/verify.ts proof.json --genesis genesis.json'] };
    }),
};

export const proofVerify: Command = {
  name: ['proof', 'verify'],
  summary: 'Checks a proof file or consent receipt offline, with the verifier that shares no code with the rest.',
  arguments: [{ name: 'FILE', summary: 'the proof file' }],
  options: { genesis: { type: 'string', value: 'FILE', summary: 'the pinned founding members' } },
  examples: ['healthkeep proof verify proof.json --genesis genesis.json'],
  async run(context) {
    const genesis = context.options['genesis'] === undefined ? [] : ['--genesis', pathOf(context, context.options['genesis'])];
    const { code, out, err } = await verify([pathOf(context, context.words[0]), ...genesis]);
    const lines = [...out.trimEnd().split('\n'), ...(err.trim() === '' ? [] : err.trimEnd().split('\n'))];
    return { json: { holds: code === 0, steps: lines } as Json, text: lines, exit: code };
  },
};

function verify(args: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [VERIFIER, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, out, err }));
  });
}
