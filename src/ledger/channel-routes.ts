/** One transport in front of several: each request goes the way of its channel. For devices, whose channels have different keepers. */
import { ChannelHeader, Envelope, Header, Payload } from './protos/common.ts';
import { ChaincodeEventsRequest, CommitStatusRequest, EndorseRequest, EvaluateRequest, SignedChaincodeEventsRequest, SignedCommitStatusRequest, SubmitRequest } from './protos/gateway.ts';
import type { GatewayTransport } from './transport.ts';

const seekChannel = (request: Uint8Array): string => {
  const { header } = Payload.decode(Envelope.decode(request).payload);
  return ChannelHeader.decode((header ?? Header.decode(new Uint8Array(0))).channelHeader).channelId;
};

/** `routeOf` rejects or throws GatewayFault for a channel it does not know. */
export function createChannelRoutes(routeOf: (channel: string) => GatewayTransport): GatewayTransport {
  return {
    evaluate: async (request, signal) => routeOf(EvaluateRequest.decode(request).channelId).evaluate(request, signal),
    endorse: async (request, signal) => routeOf(EndorseRequest.decode(request).channelId).endorse(request, signal),
    submit: async (request, signal) => routeOf(SubmitRequest.decode(request).channelId).submit(request, signal),
    commitStatus: async (request, signal) => routeOf(CommitStatusRequest.decode(SignedCommitStatusRequest.decode(request).request).channelId).commitStatus(request, signal),
    chaincodeEvents: (request, signal) => routeOf(ChaincodeEventsRequest.decode(SignedChaincodeEventsRequest.decode(request).request).channelId).chaincodeEvents(request, signal),
    deliver: (request, signal) => routeOf(seekChannel(request)).deliver(request, signal),
  };
}
