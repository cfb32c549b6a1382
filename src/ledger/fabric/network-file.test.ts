import { describe, expect, it } from 'vitest';
import { parseFabricNetwork, readFabricNetwork } from './network-file.ts';

const file = '/net/network.json';
const whole = {
  version: 1,
  organisations: [{ mspId: 'HO-east', rootCertificate: 'east/root.pem', peer: { address: '127.0.0.1:7051', tlsRootCertificate: 'east/tls.pem', serverName: 'peer.east' }, users: { system: { certificate: 'east/system.pem', key: '/keys/system.pem' } } }],
  orderers: [{ mspId: 'ORD', address: 'localhost:7050' }],
  channels: [{ name: 'hdc-east', members: ['HO-east'], contracts: ['hdc'] }],
};

describe('the description of a Fabric network', () => {
  it('is read with its paths made absolute', () => {
    const network = parseFabricNetwork(whole, file);
    expect(network.organisations[0]).toEqual({ mspId: 'HO-east', rootCertificate: '/net/east/root.pem', peer: { address: '127.0.0.1:7051', tlsRootCertificate: '/net/east/tls.pem', serverName: 'peer.east' }, users: { system: { certificate: '/net/east/system.pem', key: '/keys/system.pem' } } });
    expect([network.orderers, network.channels]).toEqual([[{ mspId: 'ORD', address: 'localhost:7050' }], whole.channels]);
  });

  it.each([
    ['another version', { ...whole, version: 2 }, 'version'],
    ['no organisations', { ...whole, organisations: {} }, 'organisations'],
    ['an address without port', { ...whole, orderers: [{ mspId: 'ORD', address: 'localhost' }] }, 'localhost'],
    ['a user without key', { ...whole, organisations: [{ ...whole.organisations[0], users: { system: { certificate: 'x' } } }] }, 'key'],
    ['a member that is no text', { ...whole, channels: [{ name: 'x', members: [1], contracts: [] }] }, 'members'],
    ['no object at all', null, 'object'],
  ])('is refused with %s', (_name, value, why) => {
    expect(() => parseFabricNetwork(value, file)).toThrow(expect.objectContaining({ code: 'LEDGER_NETWORK_FILE', details: expect.objectContaining({ why: expect.stringContaining(why) }) }));
  });

  it('is refused when there is no file', () => {
    expect(() => readFabricNetwork('/nowhere/network.json')).toThrow(expect.objectContaining({ code: 'LEDGER_NETWORK_FILE' }));
  });
});
