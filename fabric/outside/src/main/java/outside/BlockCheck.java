package outside;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.hyperledger.fabric.protos.common.Block;
import org.hyperledger.fabric.protos.common.BlockHeader;
import org.hyperledger.fabric.protos.common.BlockMetadataIndex;
import org.hyperledger.fabric.protos.common.ChannelHeader;
import org.hyperledger.fabric.protos.common.ConfigEnvelope;
import org.hyperledger.fabric.protos.common.ConfigGroup;
import org.hyperledger.fabric.protos.common.Envelope;
import org.hyperledger.fabric.protos.common.HeaderType;
import org.hyperledger.fabric.protos.common.Metadata;
import org.hyperledger.fabric.protos.common.MetadataSignature;
import org.hyperledger.fabric.protos.common.OrdererBlockMetadata;
import org.hyperledger.fabric.protos.common.Payload;
import org.hyperledger.fabric.protos.common.SignatureHeader;
import org.hyperledger.fabric.protos.common.SignaturePolicyEnvelope;
import org.hyperledger.fabric.protos.ledger.rwset.TxReadWriteSet;
import org.hyperledger.fabric.protos.msp.SerializedIdentity;
import org.hyperledger.fabric.protos.peer.ChaincodeAction;
import org.hyperledger.fabric.protos.peer.ChaincodeActionPayload;
import org.hyperledger.fabric.protos.peer.ChaincodeEvent;
import org.hyperledger.fabric.protos.peer.ChaincodeHeaderExtension;
import org.hyperledger.fabric.protos.peer.ChaincodeInvocationSpec;
import org.hyperledger.fabric.protos.peer.ChaincodeProposalPayload;
import org.hyperledger.fabric.protos.peer.Endorsement;
import org.hyperledger.fabric.protos.peer.ProposalResponsePayload;
import org.hyperledger.fabric.protos.peer.Transaction;
import org.hyperledger.fabric.protos.peer.TxValidationCode;

/**
 * Judges whole channels from their raw blocks with Fabric's own classes: unknown fields, hashes, signatures, and every
 * validation code anew. Argument: a folder with files channel-000000.block and, for what our own command says of them,
 * channel.json (healthkeep ledger inspect CHANNEL --json).
 */
public final class BlockCheck {
    private final List<String> problems = new ArrayList<>();
    private final Decoded decoded = new Decoded();
    private final Replay replay = new Replay(decoded);
    private final String channel;
    private Members members;
    private SignaturePolicyEnvelope lifecycle;
    private byte[] previous = new byte[0];
    private int transactions;
    private int invalid;

    private BlockCheck(String channel) {
        this.channel = channel;
    }

    public static void main(String[] args) throws IOException {
        Path folder = Path.of(args[0]);
        Map<String, List<Path>> channels = new TreeMap<>();
        try (Stream<Path> files = Files.list(folder)) {
            files.filter(file -> file.toString().endsWith(".block")).sorted().forEach(file -> {
                String name = file.getFileName().toString();
                channels.computeIfAbsent(name.substring(0, name.lastIndexOf('-')), key -> new ArrayList<>()).add(file);
            });
        }
        Checks checks = new Checks();
        channels.forEach((channel, files) -> checks.check(channel, () -> {
            BlockCheck judge = new BlockCheck(channel);
            judge.judge(files, folder.resolve(channel + ".json"));
            System.out.println("      " + channel + ": " + files.size() + " blocks, " + judge.transactions + " transactions, " + judge.invalid + " invalid, " + judge.decoded.messages + " messages, keys " + judge.replay.size());
            Checks.that(judge.problems.isEmpty(), String.join("; ", judge.problems));
        }));
        System.exit(checks.end());
    }

    private void judge(List<Path> files, Path shown) throws Exception {
        JsonArray said = Files.exists(shown) ? JsonParser.parseString(Files.readString(shown)).getAsJsonObject().getAsJsonArray("blocks") : null;
        for (int number = 0; number < files.size(); number++) {
            Block block = decoded.open(Block.parser(), ByteString.copyFrom(Files.readAllBytes(files.get(number))));
            judgeBlock(block, number, said == null ? null : said.get(number).getAsJsonObject());
        }
        if (said != null) {
            expect(said.size() == files.size(), "the command shows " + said.size() + " blocks");
        }
        problems.addAll(decoded.unknown);
    }

    private void expect(boolean holds, String what) {
        if (!holds) {
            problems.add(what);
        }
    }

    private void judgeBlock(Block block, long number, JsonObject said) throws IOException, GeneralSecurityException {
        String at = "block " + number + ": ";
        byte[] header = asn1(block.getHeader());
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (ByteString data : block.getData().getDataList()) {
            data.writeTo(all);
        }
        byte[] dataHash = sha256(all.toByteArray());
        byte[] headerHash = sha256(header);
        expect(block.getHeader().getNumber() == number, at + "number");
        expect(MessageDigest.isEqual(previous, block.getHeader().getPreviousHash().toByteArray()), at + "previous hash");
        expect(MessageDigest.isEqual(dataHash, block.getHeader().getDataHash().toByteArray()), at + "data hash");
        byte[] codes = block.getMetadata().getMetadata(BlockMetadataIndex.TRANSACTIONS_FILTER_VALUE).toByteArray();
        expect(codes.length == block.getData().getDataCount(), at + "one validation code per transaction");
        judgeOrderer(block, header, at);
        List<String> ours = new ArrayList<>();
        for (int tx = 0; tx < block.getData().getDataCount(); tx++) {
            ours.add(judgeTransaction(block.getData().getData(tx), number, tx, codes[tx] & 0xff));
        }
        previous = headerHash;
        if (said != null) {
            expect(said.get("headerHash").getAsString().equals(Decoded.hex(headerHash)) && said.get("dataHash").getAsString().equals(Decoded.hex(dataHash)), at + "the command shows other hashes");
            List<String> theirs = new ArrayList<>();
            for (JsonElement one : said.getAsJsonArray("transactions")) {
                JsonObject transaction = one.getAsJsonObject();
                List<String> endorsers = new ArrayList<>();
                transaction.getAsJsonArray("endorsers").forEach(endorser -> endorsers.add(endorser.getAsString()));
                theirs.add(transaction.get("txId").getAsString() + " " + transaction.get("code").getAsString() + " " + transaction.get("creator").getAsString() + " " + endorsers);
            }
            expect(theirs.equals(ours), at + "the command shows " + theirs + " instead of " + ours);
        }
    }

    private void judgeOrderer(Block block, byte[] header, String at) throws InvalidProtocolBufferException, GeneralSecurityException {
        Metadata metadata = decoded.open(Metadata.parser(), block.getMetadata().getMetadata(BlockMetadataIndex.SIGNATURES_VALUE));
        expect(block.getHeader().getNumber() == 0 || metadata.getSignaturesCount() == 1, at + "one signature of the orderer");
        for (MetadataSignature one : metadata.getSignaturesList()) {
            decoded.open(OrdererBlockMetadata.parser(), metadata.getValue());
            SignatureHeader signatureHeader = decoded.open(SignatureHeader.parser(), one.getSignatureHeader());
            ByteString signed = metadata.getValue().concat(one.getSignatureHeader()).concat(ByteString.copyFrom(header));
            expect(Members.verifies(signatureHeader.getCreator(), signed, one.getSignature()), at + "signature of the orderer");
            expect(members.identify(signatureHeader.getCreator()).isPresent(), at + "the orderer is a member");
        }
    }

    /** What our command should say of it. */
    private String judgeTransaction(ByteString bytes, long number, int tx, int marked) throws InvalidProtocolBufferException, GeneralSecurityException {
        transactions++;
        Envelope envelope = decoded.open(Envelope.parser(), bytes);
        Payload payload = decoded.open(Payload.parser(), envelope.getPayload());
        ChannelHeader channelHeader = decoded.open(ChannelHeader.parser(), payload.getHeader().getChannelHeader());
        SignatureHeader signatureHeader = decoded.open(SignatureHeader.parser(), payload.getHeader().getSignatureHeader());
        String at = "block " + number + ", transaction " + tx + ": ";
        String creator = decoded.open(SerializedIdentity.parser(), signatureHeader.getCreator()).getMspid();
        expect(channelHeader.getChannelId().equals(channel), at + "channel");
        boolean signed = number == 0 || Members.verifies(signatureHeader.getCreator(), envelope.getPayload(), envelope.getSignature());
        TxValidationCode code;
        List<String> endorsers = new ArrayList<>();
        if (channelHeader.getType() == HeaderType.CONFIG_VALUE) {
            expect(signed, at + "signature of the orderer");
            takeConfig(payload.getData());
            code = TxValidationCode.VALID;
        } else {
            boolean right = signed && members.identify(signatureHeader.getCreator()).isPresent();
            boolean id = Decoded.hex(sha256(signatureHeader.getNonce().concat(signatureHeader.getCreator()).toByteArray())).equals(channelHeader.getTxId());
            TxValidationCode inner = judgeAction(payload, channelHeader, new long[] {number, tx}, endorsers, right && id);
            code = !right ? TxValidationCode.BAD_CREATOR_SIGNATURE : !id ? TxValidationCode.BAD_PROPOSAL_TXID : inner;
        }
        expect(code.getNumber() == marked, at + "is marked " + TxValidationCode.forNumber(marked) + ", should be " + code);
        invalid += code == TxValidationCode.VALID ? 0 : 1;
        return channelHeader.getTxId() + " " + code + " " + creator + " " + endorsers;
    }

    private TxValidationCode judgeAction(Payload payload, ChannelHeader channelHeader, long[] place, List<String> endorsers, boolean wellSigned) throws InvalidProtocolBufferException, GeneralSecurityException {
        Transaction transaction = decoded.open(Transaction.parser(), payload.getData());
        ChaincodeActionPayload action = decoded.open(ChaincodeActionPayload.parser(), transaction.getActions(0).getPayload());
        ChaincodeProposalPayload proposal = decoded.open(ChaincodeProposalPayload.parser(), action.getChaincodeProposalPayload());
        ByteString responseBytes = action.getAction().getProposalResponsePayload();
        ProposalResponsePayload response = decoded.open(ProposalResponsePayload.parser(), responseBytes);
        ChaincodeAction result = decoded.open(ChaincodeAction.parser(), response.getExtension());
        TxReadWriteSet sets = decoded.open(TxReadWriteSet.parser(), result.getResults());
        String contract = decoded.open(ChaincodeHeaderExtension.parser(), channelHeader.getExtension()).getChaincodeId().getName();
        ChaincodeInvocationSpec spec = decoded.open(ChaincodeInvocationSpec.parser(), proposal.getInput());
        if (!result.getEvents().isEmpty()) {
            decoded.open(ChaincodeEvent.parser(), result.getEvents());
        }
        List<Members.Identity> identities = new ArrayList<>();
        for (Endorsement one : action.getAction().getEndorsementsList()) {
            endorsers.add(decoded.open(SerializedIdentity.parser(), one.getEndorser()).getMspid());
            if (Members.verifies(one.getEndorser(), responseBytes.concat(one.getEndorser()), one.getSignature())) {
                members.identify(one.getEndorser()).ifPresent(identities::add);
            }
        }
        ByteString hashed = payload.getHeader().getChannelHeader().concat(payload.getHeader().getSignatureHeader()).concat(action.getChaincodeProposalPayload());
        boolean whole = transaction.getActionsCount() == 1 && transaction.getActions(0).getHeader().equals(payload.getHeader().getSignatureHeader())
                && MessageDigest.isEqual(sha256(hashed.toByteArray()), response.getProposalHash().toByteArray()) && spec.getChaincodeSpec().getChaincodeId().getName().equals(contract);
        if (!whole || !wellSigned) {
            return TxValidationCode.INVALID_ENDORSER_TRANSACTION;
        }
        if (!replay.isNew(channelHeader.getTxId())) {
            return TxValidationCode.DUPLICATE_TXID;
        }
        TxValidationCode code = replay.judge(sets, contract, result.getChaincodeId().getVersion(), identities, lifecycle);
        if (code == TxValidationCode.VALID) {
            replay.apply(sets, place[0], place[1]);
        }
        return code;
    }

    private void takeConfig(ByteString data) throws InvalidProtocolBufferException, GeneralSecurityException {
        ConfigGroup group = decoded.open(ConfigEnvelope.parser(), data).getConfig().getChannelGroup();
        members = new Members(group, decoded);
        lifecycle = decoded.open(SignaturePolicyEnvelope.parser(), group.getGroupsOrThrow("Application").getPoliciesOrThrow("LifecycleEndorsement").getPolicy().getValue());
    }

    private static byte[] sha256(byte[] bytes) throws GeneralSecurityException {
        return MessageDigest.getInstance("SHA-256").digest(bytes);
    }

    /** SEQUENCE of INTEGER number, OCTET STRING previous hash, OCTET STRING data hash. */
    private static byte[] asn1(BlockHeader header) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        put(content, 2, BigInteger.valueOf(header.getNumber()).toByteArray());
        put(content, 4, header.getPreviousHash().toByteArray());
        put(content, 4, header.getDataHash().toByteArray());
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        put(out, 0x30, content.toByteArray());
        return out.toByteArray();
    }

    private static void put(ByteArrayOutputStream out, int tag, byte[] content) throws IOException {
        out.write(tag);
        out.write(content.length);
        out.write(content);
    }
}
