/** One rule of the suite. */
import type { DifferenceId } from './differences.ts';
import type { Abilities, Runner } from './harness.ts';

export interface Case {
  readonly rule: string;
  /**
   * Where it was learnt that Fabric does so. `observed`: on a network of Fabric 2.5.12. `source`: read in Fabric's or its
   * shim's source. `documented`: in its documentation. `ours`: our port or client sees to it, whatever the engine.
   */
  readonly fabric: 'observed' | 'source' | 'documented' | 'ours';
  /** Left out, and named, where the network cannot do this. */
  readonly needs?: keyof Abilities;
  readonly run: (ledger: Runner) => Promise<void>;
  /** The row of `differences.ts` by which Fabric keeps this rule in its own way, and that way. */
  readonly differs?: DifferenceId;
  readonly onFabric?: (ledger: Runner) => Promise<void>;
}
