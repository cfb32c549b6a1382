/** Puts the access log's head on the keeper's channel, so that no line can be changed or left out afterwards. */
import { CodedError } from '#base/errors.ts';
import type { Digest } from '#model/ids.ts';
import type { AccessLog } from './access-log.ts';
import type { HdcChannel } from './channel.ts';

export interface AccessHeads {
  /** One commit when there are new lines. Throws ACCESS_LOG_FORKED when the channel knows another log than ours. */
  commit(): Promise<void>;
}

export function createAccessHeads({ accessLog, hdc }: { readonly accessLog: AccessLog; readonly hdc: HdcChannel }): AccessHeads {
  let committed: { readonly to: number; readonly head: string } | null | undefined;
  const check = async (): Promise<void> => {
    const standing = await hdc.evaluate('getAccessHead', {});
    const own = standing === null ? undefined : await accessLog.headAt(standing.to);
    if (standing !== null && own !== standing.head) throw new CodedError('ACCESS_LOG_FORKED', 'The channel knows another access log than the store.', { line: standing.to });
    committed = standing;
  };
  return {
    async commit() {
      // Asked once after a start; later only this process writes.
      if (committed === undefined) await check();
      const head = accessLog.head();
      if (head === undefined || head.to === (committed?.to ?? -1)) return;
      try {
        await hdc.submit('logAccess', { from: (committed?.to ?? -1) + 1, to: head.to, head: head.head as Digest });
        committed = head;
      } catch (error) {
        // The outcome may be unknown, or another instance was faster: the channel knows.
        committed = undefined;
        throw error;
      }
    },
  };
}
