/** The suite on a running Fabric network. Collected only when HEALTHKEEP_FABRIC_NETWORK names the network's description (vitest.config.ts). */
import { conformance } from './suite.ts';
import { openFabricHarness } from './fabric.test-kit.ts';

const fabric = openFabricHarness(process.env['HEALTHKEEP_FABRIC_NETWORK'] ?? '');

conformance('Fabric', async () => fabric, { engine: 'fabric', abilities: fabric.abilities });
