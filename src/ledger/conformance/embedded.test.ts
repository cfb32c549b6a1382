import { conformance } from './suite.ts';
import { openTestNetwork } from './embedded.test-kit.ts';
import { createHttpRelay } from '../http-relay.ts';
import { createHttpTransport } from '../http-transport.ts';

conformance('the embedded ledger, in process', async () => {
  const network = await openTestNetwork();
  return { harness: network.harness(network.ledger.transport()), close: () => network.ledger.close() };
});

conformance('the embedded ledger, over the HTTP relay', async () => {
  const network = await openTestNetwork();
  const relay = createHttpRelay({ transport: network.ledger.transport() });
  const transport = createHttpTransport({ baseUrl: 'http://ledger.example', fetch: relay });
  return { harness: network.harness(transport), close: () => network.ledger.close() };
});
