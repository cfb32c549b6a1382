package outside;

import static outside.Checks.equal;
import static outside.Checks.that;

import io.grpc.CallOptions;
import io.grpc.Status.Code;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.hyperledger.fabric.client.ChaincodeEvent;
import org.hyperledger.fabric.client.CloseableIterator;
import org.hyperledger.fabric.client.CommitException;
import org.hyperledger.fabric.client.CommitStatusException;
import org.hyperledger.fabric.client.Contract;
import org.hyperledger.fabric.client.EndorseException;
import org.hyperledger.fabric.client.Gateway;
import org.hyperledger.fabric.client.GatewayException;
import org.hyperledger.fabric.client.InMemoryCheckpointer;
import org.hyperledger.fabric.client.Network;
import org.hyperledger.fabric.client.SubmitException;
import org.hyperledger.fabric.protos.common.Block;
import org.hyperledger.fabric.protos.peer.BlockAndPrivateData;
import org.hyperledger.fabric.protos.peer.FilteredBlock;
import org.hyperledger.fabric.protos.peer.TxValidationCode;

/** Drives a running ledger with Fabric's Java client, unmodified, over TLS. Argument: the folder of {@link World}. */
public final class ClientCheck {
    private static final UnaryOperator<CallOptions> HURRY = options -> options.withDeadlineAfter(1, TimeUnit.NANOSECONDS);
    private final World world;
    private final Checks checks = new Checks();

    private ClientCheck(World world) {
        this.world = world;
    }

    public static void main(String[] args) throws Exception {
        int code;
        try (World world = new World(Path.of(args[0]))) {
            code = new ClientCheck(world).run();
        }
        System.exit(code);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static String step(String... words) {
        return "[[\"" + String.join("\",\"", words) + "\"]]";
    }

    private int run() throws Exception {
        try (Gateway gateway = world.enter("client")) {
            Network solo = gateway.getNetwork("solo");
            online(solo.getContract("probe"), gateway.getNetwork("either").getContract("probe"));
            events(solo);
            errors(gateway);
        }
        offline();
        blocks();
        return checks.end();
    }

    private void online(Contract contract, Contract either) {
        checks.check("submit and evaluate", () -> {
            equal("[null]", text(contract.submitTransaction("run", step("put", "java", "hello"))));
            equal("[\"hello\"]", text(contract.evaluateTransaction("run", step("get", "java"))));
        });
        checks.check("submit asynchronously, then the status", () -> {
            var commit = contract.newProposal("run").addArguments(step("put", "later", "x")).build().endorse().submitAsync();
            equal("[null]", text(commit.getResult()));
            var status = commit.getStatus();
            that(status.isSuccessful() && status.getBlockNumber() > 0, "successful in a block");
            equal(commit.getTransactionId(), status.getTransactionId());
        });
        checks.check("transient data and endorsing organisations", () -> {
            var proposal = either.newProposal("run").addArguments(step("transient", "word")).putTransient("word", "quiet").setEndorsingOrganizations("OrgA", "OrgB").build();
            equal("[\"quiet\"]", text(proposal.endorse().submit()));
        });
    }

    private void events(Network network) {
        Contract contract = network.getContract("probe");
        checks.check("chaincode events, replayed from a block and then live", () -> {
            long start = contract.newProposal("run").addArguments(step("event", "one", "1")).build().endorse().submitAsync().getStatus().getBlockNumber();
            try (CloseableIterator<ChaincodeEvent> events = network.newChaincodeEventsRequest("probe").startBlock(start).build().getEvents()) {
                equal("one", events.next().getEventName());
                contract.submitTransaction("run", step("event", "two", "2"));
                ChaincodeEvent second = events.next();
                equal("two=2", second.getEventName() + "=" + text(second.getPayload()));
            }
        });
        checks.check("a checkpoint goes on after the event it knows", () -> {
            long start = contract.newProposal("run").addArguments(step("event", "first", "1")).build().endorse().submitAsync().getStatus().getBlockNumber();
            contract.submitTransaction("run", step("event", "second", "2"));
            InMemoryCheckpointer checkpointer = new InMemoryCheckpointer();
            List<String> heard = new ArrayList<>();
            while (heard.size() < 2) {
                try (CloseableIterator<ChaincodeEvent> events = network.newChaincodeEventsRequest("probe").startBlock(start).checkpoint(checkpointer).build().getEvents()) {
                    ChaincodeEvent event = events.next();
                    heard.add(event.getEventName());
                    checkpointer.checkpointChaincodeEvent(event);
                }
            }
            equal(List.of("first", "second"), heard);
        });
    }

    private void offline() {
        checks.check("every step signed away from the gateway", () -> {
            var signer = world.signer("client");
            try (Gateway gateway = world.enterUnsigned("client")) {
                var unsigned = gateway.getNetwork("solo").getContract("probe").newProposal("run").addArguments(step("put", "offline", "signed")).build();
                var endorsed = gateway.newSignedProposal(unsigned.getBytes(), signer.sign(unsigned.getDigest())).endorse();
                var sent = gateway.newSignedTransaction(endorsed.getBytes(), signer.sign(endorsed.getDigest())).submitAsync();
                that(gateway.newSignedCommit(sent.getBytes(), signer.sign(sent.getDigest())).getStatus().isSuccessful(), "committed");
                var question = gateway.getNetwork("solo").getContract("probe").newProposal("run").addArguments(step("get", "offline")).build();
                equal("[\"signed\"]", text(gateway.newSignedProposal(question.getBytes(), signer.sign(question.getDigest())).evaluate()));
                var request = gateway.getNetwork("solo").newChaincodeEventsRequest("probe").startBlock(0).build();
                try (var events = gateway.newSignedChaincodeEventsRequest(request.getBytes(), signer.sign(request.getDigest())).getEvents()) {
                    that(events.hasNext(), "events");
                }
            }
        });
        checks.check("block events signed away from the gateway", () -> {
            var signer = world.signer("peer");
            try (Gateway gateway = world.enterUnsigned("peer")) {
                var request = gateway.getNetwork("solo").newBlockEventsRequest().startBlock(0).build();
                try (var blocks = gateway.newSignedBlockEventsRequest(request.getBytes(), signer.sign(request.getDigest())).getEvents()) {
                    equal(0L, blocks.next().getHeader().getNumber());
                }
            }
        });
    }

    private void blocks() throws Exception {
        try (Gateway gateway = world.enter("peer")) {
            Network network = gateway.getNetwork("solo");
            checks.check("whole blocks", () -> {
                try (CloseableIterator<Block> blocks = network.newBlockEventsRequest().startBlock(0).build().getEvents()) {
                    for (long number = 0; number < 4; number++) {
                        equal(number, blocks.next().getHeader().getNumber());
                    }
                }
            });
            checks.check("filtered blocks", () -> {
                try (CloseableIterator<FilteredBlock> blocks = network.newFilteredBlockEventsRequest().startBlock(1).build().getEvents()) {
                    FilteredBlock block = blocks.next();
                    equal("solo", block.getChannelId());
                    equal(TxValidationCode.VALID, block.getFilteredTransactions(0).getTxValidationCode());
                }
            });
            checks.check("blocks with the private data of the reader's organisation", () -> {
                long number = gateway.getNetwork("either").getContract("probe").newProposal("run").addArguments(step("putPrivate", "both", "java", "word")).putTransient("word", "for members").build().endorse().submitAsync().getStatus().getBlockNumber();
                try (CloseableIterator<BlockAndPrivateData> blocks = gateway.getNetwork("either").newBlockAndPrivateDataEventsRequest().startBlock(number).build().getEvents()) {
                    BlockAndPrivateData block = blocks.next();
                    that(block.getPrivateDataMapOrThrow(0).toByteString().toStringUtf8().contains("for members"), "the private value");
                }
            });
        }
    }

    private void errors(Gateway gateway) {
        Contract contract = gateway.getNetwork("solo").getContract("probe");
        checks.check("the contract refuses: UNKNOWN to evaluate, ABORTED with details to endorse", () -> {
            GatewayException evaluated = refused(GatewayException.class, () -> contract.evaluateTransaction("run", step("crash")));
            equal(Code.UNKNOWN, evaluated.getStatus().getCode());
            EndorseException endorsed = refused(EndorseException.class, () -> contract.submitTransaction("run", step("crash")));
            equal(Code.ABORTED, endorsed.getStatus().getCode());
            equal("OrgA", endorsed.getDetails().get(0).getMspId());
            equal("chaincode response 500, the probe broke", endorsed.getDetails().get(0).getMessage());
        });
        checks.check("unknown contract and channel: FAILED_PRECONDITION", () -> {
            equal(Code.FAILED_PRECONDITION, refused(GatewayException.class, () -> gateway.getNetwork("solo").getContract("nothing").evaluateTransaction("run", step("get", "x"))).getStatus().getCode());
            equal(Code.UNAVAILABLE, refused(GatewayException.class, () -> gateway.getNetwork("nowhere").getContract("probe").evaluateTransaction("run", step("get", "x"))).getStatus().getCode());
            equal(Code.FAILED_PRECONDITION, refused(EndorseException.class, () -> gateway.getNetwork("nowhere").getContract("probe").submitTransaction("run", step("get", "x"))).getStatus().getCode());
        });
        checks.check("one of two endorsements: a CommitException with ENDORSEMENT_POLICY_FAILURE", () -> {
            var half = gateway.getNetwork("pair").getContract("probe").newProposal("run").addArguments(step("put", "half", "x")).setEndorsingOrganizations("OrgA").build();
            equal(TxValidationCode.ENDORSEMENT_POLICY_FAILURE, refused(CommitException.class, () -> half.endorse().submit()).getCode());
        });
        checks.check("two writers of what both read: MVCC_READ_CONFLICT", () -> {
            var winner = contract.newProposal("run").addArguments("[[\"add\",\"race\",1]]").build().endorse();
            var loser = contract.newProposal("run").addArguments("[[\"add\",\"race\",1]]").build().endorse();
            winner.submit();
            equal(TxValidationCode.MVCC_READ_CONFLICT, refused(CommitException.class, loser::submit).getCode());
        });
        checks.check("the same proposal again: ABORTED, duplicate transaction found", () -> {
            var proposal = contract.newProposal("run").addArguments(step("put", "once", "x")).build();
            proposal.endorse().submit();
            that(refused(EndorseException.class, proposal::endorse).getDetails().get(0).getMessage().startsWith("duplicate transaction found"), "the sentence");
        });
        checks.check("an outsider: FAILED_PRECONDITION and ABORTED, access denied", () -> {
            try (Gateway outside = world.enter("outsider")) {
                Contract closed = outside.getNetwork("solo").getContract("probe");
                equal(Code.FAILED_PRECONDITION, refused(GatewayException.class, () -> closed.evaluateTransaction("run", step("get", "x"))).getStatus().getCode());
                EndorseException endorsed = refused(EndorseException.class, () -> closed.submitTransaction("run", step("put", "x", "x")));
                equal(Code.ABORTED, endorsed.getStatus().getCode());
                that(endorsed.getDetails().get(0).getMessage().contains("access denied: channel [solo] creator org unknown, creator is malformed"), "the sentence");
            }
        });
        checks.check("a deadline: DEADLINE_EXCEEDED in every step", () -> {
            var proposal = contract.newProposal("run").addArguments(step("put", "late", "x")).build();
            equal(Code.DEADLINE_EXCEEDED, refused(GatewayException.class, () -> proposal.evaluate(HURRY)).getStatus().getCode());
            equal(Code.DEADLINE_EXCEEDED, refused(EndorseException.class, () -> proposal.endorse(HURRY)).getStatus().getCode());
            var endorsed = proposal.endorse();
            equal(Code.DEADLINE_EXCEEDED, refused(SubmitException.class, () -> endorsed.submitAsync(HURRY)).getStatus().getCode());
            var sent = endorsed.submitAsync();
            equal(Code.DEADLINE_EXCEEDED, refused(CommitStatusException.class, () -> sent.getStatus(HURRY)).getStatus().getCode());
        });
    }

    private static <T extends Exception> T refused(Class<T> type, Checks.Check work) {
        try {
            work.run();
        } catch (Exception problem) {
            that(type.isInstance(problem), "expected " + type.getSimpleName() + ", got " + problem);
            return type.cast(problem);
        }
        throw new AssertionError("it was not refused");
    }
}
