/** The whole suite with the probe in another process behind unmodified fabric-shim: what a contract finds here is held against Fabric's own shim. */
import { conformance } from './suite.ts';
import { openTestNetwork } from './embedded.test-kit.ts';
import { external, startChild } from './external.test-kit.ts';

conformance('the embedded ledger, the contract behind fabric-shim', async () => {
  const child = await startChild({ module: new URL('./probe.ts', import.meta.url).href, name: 'probe' });
  const contracts: { close(): void }[] = [];
  const network = await openTestNetwork({
    chaincode: () => {
      const contract = external(child.address);
      contracts.push(contract);
      return contract;
    },
  });
  return {
    harness: network.harness(network.ledger.transport()),
    close: async () => {
      for (const contract of contracts) contract.close();
      await network.ledger.close();
      await child.kill();
    },
  };
});
