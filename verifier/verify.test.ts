/** Every altered proof is refused: each field, each bit class, and the tricks that leave a file plausible. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, fromHex, toBase64url, toHex } from '#base/bytes.ts';
import { RECORD, fileText, makeConsent, makeFork, makeLeaf, makeMember, makeParty, makeProof, makeWorld, memberOf, PAIRWISE_ID, type MadeWorld } from './proofs.test-kit.ts';
import { beginsWith } from './evidence.ts';
import { verifyFile } from './verify.ts';

// HEALTHKEEP_SLOW=1 (set by .ci/run) does all of the 100,000 that the promise asks for.
const MUTATIONS = process.env['HEALTHKEEP_SLOW'] === '1' ? 100_000 : 20_000;

type Tree = null | boolean | number | string | Tree[] | { [key: string]: Tree };
const copy = <T,>(value: T): T => structuredClone(value);

let world: MadeWorld;
let proof: Awaited<ReturnType<typeof makeProof>>;
let consent: Awaited<ReturnType<typeof makeConsent>>;
let fork: Awaited<ReturnType<typeof makeFork>>;

beforeAll(async () => {
  world = await makeWorld();
  proof = await makeProof(world);
  consent = await makeConsent(world);
  fork = await makeFork(world);
});

const accepted = (file: unknown): boolean => verifyFile({ file: fileText(file), genesis: world.genesis }).good;
const refusalOf = (file: unknown, more: { readonly record?: Buffer; readonly genesis?: string } = {}): string | undefined => verifyFile({ file: fileText(file), genesis: world.genesis, ...more }).refusal;

describe('what holds is accepted', () => {
  it('accepts a proof, with and without the record and the genesis file', () => {
    expect(refusalOf(proof)).toBeUndefined();
    expect(refusalOf(proof, { record: Buffer.from(RECORD) })).toBeUndefined();
    const unpinned = verifyFile({ file: fileText(proof) });
    expect(unpinned.good).toBe(true);
    expect(unpinned.steps.filter((step) => step.startsWith('Not pinned'))).toHaveLength(4);
  });

  it('accepts consent receipts of one grant, of two, and of a refusal', async () => {
    expect(refusalOf(await makeConsent(world, ['HO-east']))).toBeUndefined();
    expect(refusalOf(consent)).toBeUndefined();
    expect(refusalOf(await makeConsent(world, []))).toBeUndefined();
  });

  it.each([[0, 1], [0, 2], [1, 2], [6, 7], [63, 64], [64, 65], [3, 100]])('accepts the anchor at leaf %i of %i', async (index, size) => {
    expect(refusalOf(await makeProof(world, { index, size }))).toBeUndefined();
  });
});

describe('a proof that two histories were shown', () => {
  const holds = async (wish: Parameters<typeof makeFork>[1]): Promise<readonly string[]> => {
    const { good, steps, refusal } = verifyFile({ file: fileText(await makeFork(world, wish)), genesis: world.genesis });
    expect(refusal).toBeUndefined();
    return good ? steps : [];
  };

  it('convicts whoever signed both, and says so when nobody did', async () => {
    expect((await holds({})).at(-1)).toBe('Signed both: DUO-lab.');
    expect((await holds({ trees: [['DUO-lab'], ['DUO-care']] })).at(-1)).toBe('Nobody signed both: the ledger was shown in two versions.');
    const watched = await holds({ trees: [['DUO-lab'], ['DUO-care']], growth: ['HO-east', 'UO-people'] });
    expect(watched.at(-1)).toBe('Signed both: HO-east, UO-people.');
    expect(watched[1]).toBe('DUO-lab signed: channel drc has 12 leaves after 12 blocks; HO-east and UO-people saw it grow.');
  });

  it.each<[string, Parameters<typeof makeFork>[1]]>([
    ['one size', { sizes: [20, 20] }], ['one height', { sizes: [20, 20], blocks: [20, 20] }], ['one height of different sizes', { sizes: [12, 20], blocks: [15, 15] }], ['fewer blocks for more leaves', { blocks: [15, 14] }],
    ['neighbouring sizes', { sizes: [19, 20] }], ['a power of two', { sizes: [16, 33] }], ['both powers of two', { sizes: [16, 32] }], ['an odd pair', { sizes: [13, 39] }],
  ])('holds for notes of %s', async (_what, wish) => {
    expect((await holds(wish)).some((step) => step.startsWith('They cannot both be true'))).toBe(true);
  });

  it('is refused for two notes of one history, of two channels, of strangers, or of members that do not run the channel', async () => {
    for (const sizes of [[12, 20], [16, 32], [20, 20]] as const) expect(refusalOf(await makeFork(world, { honest: true, sizes }))).toMatch(/not shown to begin|can both be true/);
    // Blocks without public writes: the same tree after more blocks.
    expect(refusalOf(await makeFork(world, { honest: true, sizes: [20, 20], blocks: [20, 25] }))).toMatch(/can both be true/);
    // Both histories share the first nine leaves.
    expect(refusalOf(await makeFork(world, { sizes: [9, 20] }))).toMatch(/not shown to begin/);
    expect(refusalOf(await makeFork(world, { trees: [['HO-east'], ['HO-east']] }))).toMatch(/Nobody who runs channel drc/);
    expect(refusalOf(await makeFork(world, { trees: [[], []], growth: ['DUO-lab'] }))).toMatch(/Nobody who runs channel drc/);
    expect(refusalOf(await makeFork(await makeWorld()))).toMatch(/not the members of the genesis file/);
    const forged = await makeFork({ ...world, members: (await makeWorld()).members });
    expect(refusalOf(forged)).toMatch(/not issued by the root of DUO-lab/);
    expect(refusalOf({ ...fork, notes: [fork.notes[0], fork.notes[0]] })).toMatch(/can both be true/);
    expect(refusalOf({ ...fork, notes: fork.notes.toReversed() })).toMatch(/can both be true/);
    expect(refusalOf({ ...fork, beginning: null })).toMatch(/beginning of the longer tree/);
  });

  it('holds for the published vectors, and is refused for those that prove nothing', () => {
    const { members, forks, noForks, growth } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'vectors', 'checkpoints.json'), 'utf8'));
    const genesis = JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members });
    for (const { evidence, signedBoth } of forks) {
      const { refusal, steps } = verifyFile({ file: JSON.stringify(evidence), genesis });
      expect(refusal).toBeUndefined();
      expect(steps.at(-1)).toBe(signedBoth.length === 0 ? 'Nobody signed both: the ledger was shown in two versions.' : `Signed both: ${signedBoth.join(', ')}.`);
    }
    for (const evidence of noForks) expect(verifyFile({ file: JSON.stringify(evidence), genesis }).good).toBe(false);
    const whole = (size: number, root: string) => ({ size, root: Buffer.from(root, 'base64url') });
    for (const { size1, size2, root1, root2, path } of growth) {
      expect(beginsWith(whole(size1, root1), whole(size2, root2), path), `${size1} ${size2}`).toBe(true);
      expect(beginsWith(whole(size1, root2), whole(size2, root2), path), `${size1} ${size2}`).toBe(false);
      expect(beginsWith(whole(size1, root1), whole(size2 + 1, root2), path) && beginsWith(whole(size1, root1), whole(size2, root1), path), `${size1} ${size2}`).toBe(false);
    }
  });

  it('is refused with any bit of a witness\'s line changed', async () => {
    const watched = await makeFork(world, { growth: ['HO-east'] });
    const [head, line] = (watched.notes[1] as string).split('— HO-east ') as [string, string];
    const blob = Buffer.from(line, 'base64');
    for (let bit = 0; bit < blob.length * 8; bit += 31) {
      const changed = Buffer.from(blob);
      changed[bit >> 3] = changed[bit >> 3]! ^ (1 << (bit & 7));
      expect(accepted({ ...watched, notes: [watched.notes[0], `${head}— HO-east ${changed.toString('base64')}\n`] }), `bit ${bit}`).toBe(false);
    }
  });
});

describe('what a forger would try', () => {
  it('refuses another record', () => {
    expect(refusalOf(proof, { record: Buffer.concat([RECORD, Buffer.of(0)]) })).toMatch(/not the one this proof is about/);
  });

  it('refuses a network of the forger\'s own making, however sound in itself', async () => {
    const forged = await makeProof(await makeWorld());
    expect(refusalOf(forged)).toMatch(/not the members of the genesis file/);
  });

  it('refuses a consortium checkpoint signed by one member of four', async () => {
    expect(refusalOf(await makeProof(world, { cosigners: ['HO-east'] }))).toMatch(/Only 1 of at least 2/);
  });

  it('refuses a keeper\'s channel checkpoint that the keeper did not sign', async () => {
    const others = [memberOf(world.members, 'DUO-care'), memberOf(world.members, 'DUO-lab')];
    const value = JSON.parse(Buffer.from(proof.anchor.value, 'base64url').toString());
    const { root: _, ...anchor } = await makeLeaf({ channel: 'hdc-east', namespace: 'hdc', key: proof.anchor.key }, value, { index: 11, size: 21, signers: others });
    expect(refusalOf({ ...proof, anchor })).toMatch(/not signed by HO-east/);
  });

  it('refuses a tree of the keeper that the consortium never saw', async () => {
    const value = JSON.parse(Buffer.from(proof.anchor.value, 'base64url').toString());
    const { root: _, ...anchor } = await makeLeaf({ channel: 'hdc-east', namespace: 'hdc', key: proof.anchor.key }, value, { index: 12, size: 21, signers: [memberOf(world.members, 'HO-east')] });
    expect(refusalOf({ ...proof, anchor })).toMatch(/holds another checkpoint/);
  });

  it('refuses a commitment signed by a staff member, or checkpoints by a process, of the same organisation', async () => {
    const keeper = memberOf(world.members, 'HO-east');
    const staff = await makeParty(keeper.ca, { commonName: 'clerk', organizationalUnit: 'client', role: 'staff' });
    const members = world.members.map((member) => (member.org === 'HO-east' ? { ...member, system: staff } : member));
    expect(refusalOf(await makeProof({ ...world, members }))).toMatch(/not signed by the system/);
    const swapped = world.members.map((member) => ({ ...member, peer: member.system }));
    expect(refusalOf(await makeProof({ ...world, members: swapped }))).toMatch(/not by its peer/);
  });

  it('refuses a certificate of one organisation issued by the root of another', async () => {
    const impostor = await makeMember('HO-east');
    const members = world.members.map((member) => (member.org === 'HO-east' ? { ...member, system: impostor.system } : member));
    expect(refusalOf(await makeProof({ ...world, members }))).toMatch(/not issued by the root of HO-east/);
  });

  it('refuses a leaf that proves another key, and a deleted one', () => {
    expect(refusalOf({ ...proof, anchor: { ...proof.anchor, key: proof.anchor.key.replace('anchor', 'anchoR') } })).toMatch(/not about/);
    expect(refusalOf({ ...proof, anchor: { ...proof.anchor, value: null } })).toMatch(/no readable value/);
  });

  it('refuses the second signature that fits the same key and message (r, n − s)', () => {
    const flipped = highS(proof.record.signature);
    expect(flipped).not.toBe(proof.record.signature);
    expect(refusalOf({ ...proof, record: { ...proof.record, signature: flipped } })).toBeDefined();
    const [grant, ...others] = consent.grants as readonly { signature: string }[];
    expect(refusalOf({ ...consent, grants: [{ ...grant, signature: highS(grant!.signature) }, ...others] })).toBeDefined();
  });

  it('refuses a receipt whose grants another person signed, or that leaves a grant out', async () => {
    const other = await makeParty(memberOf(world.members, 'UO-people').ca, { commonName: 'somebody-else', organizationalUnit: 'client', role: 'person' });
    expect(refusalOf(await makeConsent(world, ['HO-east'], other))).toMatch(/not signed by its owner/);
    const keeper = await makeParty(memberOf(world.members, 'HO-east').ca, { commonName: PAIRWISE_ID, organizationalUnit: 'client', role: 'person' });
    expect(refusalOf(await makeConsent(world, ['HO-east'], keeper))).toMatch(/not signed by its owner/);
    expect(refusalOf({ ...consent, grants: consent.grants.slice(1), opening: { ...consent.opening, digests: consent.opening.digests.slice(1) } })).toMatch(/not the ones the answer commits to/);
  });

  it.each(['', 'null', '[]', '{}', '"x"', '{"kind":"healthkeep-proof"}', '{"kind":"other"}', '\u0000', '[[[['])('refuses %j as a file', (text) => {
    expect(verifyFile({ file: text, genesis: world.genesis }).good).toBe(false);
  });

  it('refuses an unreadable genesis file', () => {
    expect(refusalOf(proof, { genesis: '{}' })).toBeDefined();
    expect(refusalOf(proof, { genesis: JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members: world.list.slice(1) }) })).toMatch(/not the members/);
  });
});

describe('every altered file', () => {
  it('is refused when any one field is removed, emptied, or given another type, and when any field is added', () => {
    for (const file of [proof, consent, fork] as unknown as Tree[]) {
      for (const path of pathsOf(file)) {
        for (const other of [undefined, null, '', 0, -1, 1.5, 1e21, [], {}, true, 'x'] as (Tree | undefined)[]) {
          const changed = copy(file);
          setAt(changed, path, other);
          if (fileText(changed) !== fileText(file)) expect(accepted(changed), `${path.join('.')} = ${JSON.stringify(other)}`).toBe(false);
        }
        const value = at(file, path);
        if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
          const changed = copy(file);
          setAt(changed, [...path, 'more'], 1);
          expect(accepted(changed), `${path.join('.')}.more`).toBe(false);
        }
      }
    }
  });

  it(`is refused: ${MUTATIONS.toLocaleString('en')} random alterations of every class`, () => {
    const seed = 20_261_120;
    const random = generator(seed);
    const used = new Map<string, number>();
    for (let turn = 0; turn < MUTATIONS; turn++) {
      const original = [consent, proof, fork][turn % 3] as unknown as Tree;
      const changed = copy(original);
      const what = mutate(changed, random);
      if (fileText(changed) === fileText(original)) continue;
      used.set(what.class, (used.get(what.class) ?? 0) + 1);
      expect(accepted(changed), `seed ${seed}, turn ${turn}: ${what.class} at ${what.path.join('.')}`).toBe(false);
    }
    // The generator must reach every class, or the sentence above proves less than it says.
    expect([...used.keys()].sort()).toEqual(['bit', 'character', 'exchange', 'inner', 'list', 'number', 'replace', 'signature']);
    expect([...used.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(MUTATIONS * 0.8);
  }, 600_000);
});

describe('the program', () => {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-verifier-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (...args: string[]) => spawnSync(process.execPath, [join(import.meta.dirname, 'verify.ts'), ...args], { encoding: 'utf8' });

  it('prints each step and answers 0 for good, 6 for refused, 2 for wrong use', () => {
    const [good, bad, genesis, record] = ['good.json', 'bad.json', 'genesis.json', 'record.json'].map((name) => join(folder, name)) as [string, string, string, string];
    writeFileSync(good, fileText(proof));
    writeFileSync(bad, fileText({ ...proof, record: { ...proof.record, class: 'genomic' } }));
    writeFileSync(genesis, world.genesis);
    writeFileSync(record, RECORD);
    const holds = run(good, '--genesis', genesis, '--record', record);
    expect([holds.status, holds.stdout.trim().split('\n').length, holds.stdout.trim().split('\n').at(-1)]).toEqual([0, 8, 'Holds.']);
    const refused = run(bad, '--genesis', genesis);
    expect([refused.status, refused.stdout.includes('NO  Content digest')]).toEqual([6, true]);
    expect([run().status, run(join(folder, 'absent.json')).status, run(good, '--other').status]).toEqual([2, 2, 2]);
  });

  it('stands alone: at most 500 lines, nothing but Node\'s own modules and its own files', () => {
    const sources = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.endsWith('.test-kit.ts') && name !== 'settle.ts');
    const texts = sources.map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'));
    expect(texts.join('').split('\n').length).toBeLessThanOrEqual(500);
    const imports = texts.flatMap((text) => [...text.matchAll(/from '([^']+)'/g)].map((match) => match[1] as string));
    expect(imports.filter((name) => !name.startsWith('node:') && !/^\.\/(certificate|evidence)\.ts$/.test(name))).toEqual([]);
    expect(execFileSync(process.execPath, ['--check', join(import.meta.dirname, 'verify.ts')]).length).toBe(0);
  });
});

// — the generator of alterations —

type Path = readonly (string | number)[];

function pathsOf(value: Tree, path: Path = []): Path[] {
  const children = Array.isArray(value) ? value.map((child, index) => [index, child] as const) : typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return [...(path.length === 0 ? [] : [path]), ...children.flatMap(([key, child]) => pathsOf(child, [...path, key]))];
}

function at(value: Tree, path: Path): Tree | undefined {
  return path.reduce<Tree | undefined>((inner, key) => (inner as Record<string | number, Tree>)[key], value);
}

function setAt(value: Tree, path: Path, other: Tree | undefined): void {
  const parent = at(value, path.slice(0, -1)) as Record<string | number, Tree>;
  if (other !== undefined) parent[path.at(-1) as string] = other;
  else if (Array.isArray(parent)) parent.splice(path.at(-1) as number, 1);
  else delete parent[path.at(-1) as string];
}

/** Mulberry32. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Rng = (below: number) => number;
const HALF = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8n;
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

function mutate(file: Tree, random: Rng): { readonly class: string; readonly path: Path } {
  const paths = pathsOf(file).filter((path) => path[0] !== 'kind' || random(10) === 0);
  const path = paths[random(paths.length)] as Path;
  const value = at(file, path) as Tree;
  const put = (kind: string, other: Tree | undefined) => (setAt(file, path, other), { class: kind, path });
  if (typeof value === 'number') return put('number', [value + 1, value - 1, 0, value * 2, -value, value + 0.5, value + 2 ** 32, random(100)][random(8)] as number);
  if (Array.isArray(value)) {
    const changed = [...value];
    // The order of members means nothing, so exchanging two of them alters nothing.
    [() => changed.pop(), () => changed.push(copy(changed[0] ?? null)), () => changed.unshift(copy(changed.at(-1) ?? null)), () => path[0] !== 'members' && changed.reverse()][random(4)]?.();
    return put('list', changed);
  }
  if (typeof value === 'object') return put('replace', [undefined, null, {}][random(3)] as Tree | undefined);
  const text = value as string;
  const kind = random(6);
  if (kind === 0) return put('character', withCharacter(text, random));
  if (kind === 1) return put('bit', withBit(text, random));
  if (kind === 2) return put('signature', withHighS(text, random));
  if (kind === 3) return put('inner', withInner(text, random));
  if (kind === 4) {
    const others = paths.filter((other) => typeof at(file, other) === 'string');
    return put('exchange', at(file, others[random(others.length)] as Path));
  }
  return put('replace', [text.slice(1), text.slice(0, -1), `${text}A`, `${text}\n`, text.toUpperCase(), text + text, text.trimEnd(), ` ${text}`][random(8)] as string);
}

function withCharacter(text: string, random: Rng): string {
  const where = random(text.length + 1);
  const other = 'AQgw019_-+/=\n —{}":,.é'[random(22)] as string;
  return [text.slice(0, where) + other + text.slice(where + 1), text.slice(0, where) + other + text.slice(where), text.slice(0, where) + text.slice(where + 1)][random(3)] as string;
}

/** One bit of whatever bytes the text stands for: PEM, a signature line, base64url, or the text itself; written again in the right form. */
function withBit(text: string, random: Rng): string {
  const flip = (bytes: Buffer): Buffer => {
    const changed = Buffer.from(bytes);
    const where = random(changed.length);
    if (changed.length > 0) changed[where] = (changed[where] as number) ^ (1 << random(8));
    return changed;
  };
  if (text.startsWith('-----BEGIN')) return pem(flip(derOf(text)));
  if (text.includes('\n— ')) return changedLine(text, random, (blob) => flip(blob));
  if (/^[A-Za-z0-9_-]+$/.test(text) && text.length > 20) return flip(Buffer.from(text, 'base64url')).toString('base64url');
  return flip(Buffer.from(text)).toString('utf8');
}

/** The other of the two signatures that fit, wherever a signature stands. */
function withHighS(text: string, random: Rng): string {
  if (text.startsWith('-----BEGIN')) return pem(highSInside(derOf(text)));
  if (text.includes('\n— ')) {
    return changedLine(text, random, (blob) => {
      const end = 6 + blob.readUInt16BE(4);
      if (random(2) === 0) return Buffer.concat([blob.subarray(0, end), Buffer.from(fromBase64url(highS(blob.subarray(end).toString('base64url'))))]);
      const certificate = highSInside(blob.subarray(6, end));
      return Buffer.concat([blob.subarray(0, 4), Buffer.of(certificate.length >> 8, certificate.length & 0xff), certificate, blob.subarray(end)]);
    });
  }
  return /^MEU|^MEQ/.test(text) ? highS(text) : text;
}

/** A change inside what a text holds: the JSON of a leaf's value or a signed payload, or the lines of a note. */
function withInner(text: string, random: Rng): string {
  const payload = text.startsWith('{') ? text : Buffer.from(text, 'base64url').toString('utf8');
  if (payload.startsWith('{')) {
    let inner: Tree;
    try {
      inner = JSON.parse(payload) as Tree;
    } catch {
      return text;
    }
    mutate(inner, random);
    const changed = fileText(inner);
    return text.startsWith('{') ? changed : Buffer.from(changed).toString('base64url');
  }
  if (!text.includes('\n— ')) return text;
  const lines = text.split('\n');
  const where = random(lines.length);
  [() => lines.splice(where, 1), () => lines.splice(where, 0, lines[random(lines.length)] as string), () => (lines[where] = withCharacter(lines[where] as string, random))][random(3)]?.();
  return lines.join('\n');
}

function changedLine(note: string, random: Rng, change: (blob: Buffer) => Buffer): string {
  const lines = note.split('\n');
  const signed = lines.flatMap((line, index) => (line.startsWith('— ') ? [index] : []));
  const where = signed[random(signed.length)] as number;
  const [dash, name, blob] = (lines[where] as string).split(' ') as [string, string, string];
  lines[where] = `${dash} ${name} ${change(Buffer.from(blob, 'base64')).toString('base64')}`;
  return lines.join('\n');
}

function derOf(text: string): Buffer {
  return Buffer.from(text.replace(/-----[^-]+-----|\n/g, ''), 'base64');
}

function pem(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
}

/** Replaces the signature at the end of a certificate; the lengths in front are written anew. */
function highSInside(der: Buffer): Buffer {
  const start = der.lastIndexOf(Buffer.from('300a06082a8648ce3d040302', 'hex')) + 12;
  const changed = Buffer.from(fromBase64url(highS(der.subarray(start + 3).toString('base64url'))));
  const bits = Buffer.concat([Buffer.of(0x03, changed.length + 1, 0x00), changed]);
  const content = Buffer.concat([der.subarray(4, start), bits]);
  return Buffer.concat([Buffer.of(0x30, 0x82, content.length >> 8, content.length & 0xff), content]);
}

function highS(signature: string): string {
  const hex = toHex(fromBase64url(signature));
  const rLength = Number.parseInt(hex.slice(6, 8), 16);
  const r = hex.slice(8, 8 + rLength * 2);
  const s = BigInt(`0x${hex.slice(12 + rLength * 2)}`);
  const other = (ORDER - s).toString(16).padStart(64, '0');
  const padded = ORDER - s > HALF && Number.parseInt(other.slice(0, 2), 16) >= 0x80 ? `00${other}` : other;
  const body = `02${rLength.toString(16).padStart(2, '0')}${r}02${(padded.length / 2).toString(16).padStart(2, '0')}${padded}`;
  return toBase64url(fromHex(`30${(body.length / 2).toString(16).padStart(2, '0')}${body}`));
}
