/** The members of a network's folder, whoever founded it and whoever joined later. */
import type { OrgId } from '#model/ids.ts';
import { DEMO_MEMBERS, type DemoMember } from '#sim/members.ts';
import type { NetworkFile } from './folder.ts';

/** In the order in which they came; the demo's under their names. */
export function membersOf(file: Pick<NetworkFile, 'members'>): readonly DemoMember[] {
  return (Object.keys(file.members) as OrgId[]).map((org) => DEMO_MEMBERS.find((one) => one.org === org) ?? { org, name: org });
}
