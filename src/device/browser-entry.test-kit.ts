/** What a portal's page imports of this room, for the bundle test. */
export { createDevice } from './device.ts';
export { openIndexedDbKeyValueStore } from './store/indexed-db.ts';
export { storeConformance } from './store/conformance.test-kit.ts';
