/** The suite's contract as chaincode-as-a-service, for the peers of a Fabric network: `serve-probe.ts ADDRESS LABEL:HASH`. */
import { serveChaincode } from '../fabric/chaincode-server.ts';
import { probe } from './probe.ts';

if (import.meta.main) {
  const [address = '', packageId = ''] = process.argv.slice(2);
  await serveChaincode({ chaincode: probe, packageId, address, log: (level, event, fields = {}) => void process.stderr.write(`${JSON.stringify({ level, event, ...fields })}\n`) });
}
