/** Blocks of BFT orderers: a quorum that the configuration knows by number must have signed. */
import { beforeAll, describe, expect, it } from 'vitest';
import { concat, utf8 } from '#base/bytes.ts';
import { systemClock, systemRandom } from '#sim/seams.ts';
import { dataHash, headerDer, headerHash } from '../block.ts';
import { validationCode } from '../codes.ts';
import { createTestOrg, type TestIdentity } from '../consortium.test-kit.ts';
import { checkDelivered } from '../embedded/chain-check.ts';
import { Block, IdentifierHeader, Metadata, OrdererBlockMetadata, SignatureHeader, type BlockHeader } from '../protos/common.ts';
import { serialiseIdentity } from '../transaction.ts';
import { bftQuorum, fabricGenesisBlock } from './fabric-genesis.ts';

describe('a block of BFT orderers', () => {
  let orderers: readonly TestIdentity[];
  let stranger: TestIdentity;
  let first: Uint8Array;
  let header: BlockHeader;
  const data = [utf8('no transaction')];

  beforeAll(async () => {
    const [org, ordering] = await Promise.all([createTestOrg('OrgA', systemClock), createTestOrg('ORD', systemClock)]);
    orderers = await Promise.all([1, 2, 3, 4].map((index) => ordering.issue(`orderer-${index}`, 'orderer')));
    stranger = await ordering.issue('orderer-5', 'orderer');
    const consenters = orderers.map(({ certificate }, index) => ({ host: '127.0.0.1', port: 7050 + index, certificate, tlsCertificate: certificate }));
    const genesis = fabricGenesisBlock({
      name: 'solo', orgs: [{ mspId: 'OrgA', rootCertificate: org.ca.certificate }], peers: ['OrgA'], needed: 1, consensus: 'bft', network: new Map([['OrgA', { tlsRootCertificate: org.ca.certificate, peer: { host: '127.0.0.1', port: 7051 } }]]),
      orderer: { mspId: 'ORD', rootCertificate: ordering.ca.certificate, tlsRootCertificate: ordering.ca.certificate, consenters },
    }, { clock: systemClock, random: systemRandom });
    const block = Block.decode(genesis);
    // A peer marks the first block when it joins.
    first = Block.encode({ ...block, metadata: { metadata: (block.metadata?.metadata ?? []).with(2, Uint8Array.of(validationCode.VALID)) } });
    header = { number: 1, previousHash: headerHash(block.header as BlockHeader), dataHash: dataHash(data) };
  });

  interface Signer {
    /** Undefined: signs with its certificate, as a Raft orderer does. */
    readonly id: number | undefined;
    readonly identity: TestIdentity;
  }

  const signedBy = async (signers: readonly Signer[]): Promise<Uint8Array> => {
    const value = OrdererBlockMetadata.encode({ lastConfig: { index: 0 } });
    const signatures = await Promise.all(signers.map(async ({ id, identity }) => {
      if (id === undefined) {
        const signatureHeader = SignatureHeader.encode({ creator: serialiseIdentity('ORD', identity.certificate), nonce: systemRandom.bytes(24) });
        return { signatureHeader, signature: await identity.signer.sign(concat(value, signatureHeader, headerDer(header))) };
      }
      const identifierHeader = IdentifierHeader.encode({ identifier: id, nonce: systemRandom.bytes(24) });
      return { identifierHeader, signature: await identity.signer.sign(concat(value, identifierHeader, headerDer(header))) };
    }));
    const metadata = [Metadata.encode({ value, signatures }), new Uint8Array(0), Uint8Array.of(validationCode.BAD_PAYLOAD), new Uint8Array(0), new Uint8Array(0)];
    return Block.encode({ header, data: { data }, metadata: { metadata } });
  };
  const consenter = (id: number): Signer => ({ id, identity: orderers[id - 1] as TestIdentity });
  const check = async (...signers: readonly Signer[]) => checkDelivered('solo', [first, await signedBy(signers)]);

  it('holds with three of four, whichever they are', async () => {
    expect(await check(consenter(1), consenter(2), consenter(3))).toMatchObject({ blocks: 2 });
    expect(await check(consenter(4), consenter(2), consenter(3))).toMatchObject({ blocks: 2 });
    // A liar among four spoils nothing.
    expect(await check(consenter(1), { id: 2, identity: stranger }, consenter(3), consenter(4))).toMatchObject({ blocks: 2 });
  });

  it.each([
    ['two', () => [consenter(1), consenter(2)]],
    ['one, three times', () => [consenter(1), consenter(1), consenter(1)]],
    ['two and a certificate that is no consenter\'s', () => [consenter(1), consenter(2), { id: 3, identity: stranger }]],
    ['two and a number that nobody has', () => [consenter(1), consenter(2), { id: 9, identity: orderers[2] as TestIdentity }]],
    ['two and another orderer of the organisation, by its certificate', () => [consenter(1), consenter(2), { id: undefined, identity: stranger }]],
    ['nobody', () => []],
  ])('does not hold with %s', async (_name, signers) => {
    await expect(check(...signers())).rejects.toMatchObject({ code: 'LEDGER_CHAIN_BROKEN', details: { block: 1 } });
  });

  it('needs the quorum of its number of orderers', () => {
    expect([1, 4, 5, 6, 7, 10].map(bftQuorum)).toEqual([1, 3, 4, 4, 5, 7]);
  });
});
