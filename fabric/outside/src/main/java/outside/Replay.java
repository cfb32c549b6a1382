package outside;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.hyperledger.fabric.protos.common.SignaturePolicyEnvelope;
import org.hyperledger.fabric.protos.ledger.rwset.CollectionHashedReadWriteSet;
import org.hyperledger.fabric.protos.ledger.rwset.NsReadWriteSet;
import org.hyperledger.fabric.protos.ledger.rwset.TxReadWriteSet;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.HashedRWSet;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.KVMetadataEntry;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.KVMetadataWrite;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.KVRWSet;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.KVRead;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.KVReadHash;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.KVWrite;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.KVWriteHash;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.RangeQueryInfo;
import org.hyperledger.fabric.protos.ledger.rwset.kvrwset.Version;
import org.hyperledger.fabric.protos.peer.ApplicationPolicy;
import org.hyperledger.fabric.protos.peer.CollectionConfig;
import org.hyperledger.fabric.protos.peer.CollectionConfigPackage;
import org.hyperledger.fabric.protos.peer.TxValidationCode;
import org.hyperledger.fabric.protos.peer.lifecycle.ChaincodeEndorsementInfo;
import org.hyperledger.fabric.protos.peer.lifecycle.ChaincodeValidationInfo;
import org.hyperledger.fabric.protos.peer.lifecycle.StateData;

/** State as the blocks make it, and what it says of the next transaction: definitions, policies, versions, ranges. */
final class Replay {
    private static final String LIFECYCLE = "_lifecycle";

    private record Stored(ByteString value, long block, long tx, ByteString policy) {
    }

    private record Place(long block, long tx) {
    }

    private final Map<String, TreeMap<ByteString, Stored>> state = new HashMap<>();
    private final Map<String, Place> hashes = new HashMap<>();
    private final Set<String> ids = new HashSet<>();
    private final Decoded decoded;

    Replay(Decoded decoded) {
        this.decoded = decoded;
    }

    boolean isNew(String txId) {
        return ids.add(txId);
    }

    private TreeMap<ByteString, Stored> space(String namespace) {
        return state.computeIfAbsent(namespace, name -> new TreeMap<>(ByteString.unsignedLexicographicalComparator()));
    }

    private static String hashKey(String namespace, String collection, ByteString keyHash) {
        return namespace + "\0" + collection + "\0" + Decoded.hex(keyHash);
    }

    private ByteString field(String contract, String name) throws InvalidProtocolBufferException {
        Stored stored = space(LIFECYCLE).get(ByteString.copyFromUtf8("namespaces/fields/" + contract + "/" + name));
        return stored == null ? null : decoded.open(StateData.parser(), stored.value()).getBytes();
    }

    TxValidationCode judge(TxReadWriteSet sets, String contract, String version, List<Members.Identity> endorsers, SignaturePolicyEnvelope lifecycle) throws InvalidProtocolBufferException {
        TxValidationCode policies = judgePolicies(sets, contract, version, endorsers, lifecycle);
        return policies == TxValidationCode.VALID ? judgeReads(sets) : policies;
    }

    private TxValidationCode judgePolicies(TxReadWriteSet sets, String contract, String version, List<Members.Identity> endorsers, SignaturePolicyEnvelope lifecycle) throws InvalidProtocolBufferException {
        if (contract.equals(LIFECYCLE)) {
            return Members.satisfied(lifecycle, endorsers) ? TxValidationCode.VALID : TxValidationCode.ENDORSEMENT_POLICY_FAILURE;
        }
        ByteString endorsement = field(contract, "EndorsementInfo");
        if (endorsement == null) {
            return TxValidationCode.INVALID_CHAINCODE;
        }
        if (!decoded.open(ChaincodeEndorsementInfo.parser(), endorsement).getVersion().equals(version)) {
            return TxValidationCode.EXPIRED_CHAINCODE;
        }
        Set<String> namespaces = new LinkedHashSet<>(List.of(contract));
        for (NsReadWriteSet set : sets.getNsRwsetList()) {
            if (writes(set)) {
                if (set.getNamespace().equals(LIFECYCLE)) {
                    return TxValidationCode.ILLEGAL_WRITESET;
                }
                namespaces.add(set.getNamespace());
            }
        }
        for (String namespace : namespaces) {
            NsReadWriteSet set = sets.getNsRwsetList().stream().filter(one -> one.getNamespace().equals(namespace)).findFirst().orElse(NsReadWriteSet.getDefaultInstance());
            TxValidationCode code = judgeNamespace(namespace, set, endorsers);
            if (code != TxValidationCode.VALID) {
                return code;
            }
        }
        return TxValidationCode.VALID;
    }

    private boolean writes(NsReadWriteSet set) throws InvalidProtocolBufferException {
        KVRWSet open = decoded.open(KVRWSet.parser(), set.getRwset());
        boolean hashed = false;
        for (CollectionHashedReadWriteSet collection : set.getCollectionHashedRwsetList()) {
            hashed |= decoded.open(HashedRWSet.parser(), collection.getHashedRwset()).getHashedWritesCount() > 0;
        }
        return hashed || open.getWritesCount() > 0 || open.getMetadataWritesCount() > 0;
    }

    private TxValidationCode judgeNamespace(String namespace, NsReadWriteSet set, List<Members.Identity> endorsers) throws InvalidProtocolBufferException {
        ByteString info = field(namespace, "ValidationInfo");
        if (info == null) {
            return TxValidationCode.INVALID_CHAINCODE;
        }
        KVRWSet open = decoded.open(KVRWSet.parser(), set.getRwset());
        Set<String> keys = new LinkedHashSet<>();
        open.getWritesList().forEach(write -> keys.add(write.getKey()));
        open.getMetadataWritesList().forEach(write -> keys.add(write.getKey()));
        boolean needContract = keys.isEmpty();
        for (String key : keys) {
            Stored stored = space(namespace).get(ByteString.copyFromUtf8(key));
            if (stored == null || stored.policy().isEmpty()) {
                needContract = true;
            } else if (!Members.satisfied(decoded.open(SignaturePolicyEnvelope.parser(), stored.policy()), endorsers)) {
                return TxValidationCode.ENDORSEMENT_POLICY_FAILURE;
            }
        }
        for (CollectionHashedReadWriteSet collection : set.getCollectionHashedRwsetList()) {
            boolean known = false;
            for (CollectionConfig config : decoded.open(CollectionConfigPackage.parser(), field(namespace, "Collections")).getConfigList()) {
                known |= config.getStaticCollectionConfig().getName().equals(collection.getCollectionName());
            }
            if (!known) {
                return TxValidationCode.INVALID_WRITESET;
            }
            needContract |= decoded.open(HashedRWSet.parser(), collection.getHashedRwset()).getHashedWritesCount() > 0;
        }
        SignaturePolicyEnvelope policy = decoded.open(ApplicationPolicy.parser(), decoded.open(ChaincodeValidationInfo.parser(), info).getValidationParameter()).getSignaturePolicy();
        return needContract && !Members.satisfied(policy, endorsers) ? TxValidationCode.ENDORSEMENT_POLICY_FAILURE : TxValidationCode.VALID;
    }

    private TxValidationCode judgeReads(TxReadWriteSet sets) throws InvalidProtocolBufferException {
        for (NsReadWriteSet set : sets.getNsRwsetList()) {
            KVRWSet open = decoded.open(KVRWSet.parser(), set.getRwset());
            TreeMap<ByteString, Stored> space = space(set.getNamespace());
            for (KVRead read : open.getReadsList()) {
                if (!same(read.hasVersion() ? read.getVersion() : null, placeOf(space.get(ByteString.copyFromUtf8(read.getKey()))))) {
                    return TxValidationCode.MVCC_READ_CONFLICT;
                }
            }
            for (RangeQueryInfo range : open.getRangeQueriesInfoList()) {
                if (!sameRange(space, range)) {
                    return TxValidationCode.PHANTOM_READ_CONFLICT;
                }
            }
            for (CollectionHashedReadWriteSet collection : set.getCollectionHashedRwsetList()) {
                for (KVReadHash read : decoded.open(HashedRWSet.parser(), collection.getHashedRwset()).getHashedReadsList()) {
                    if (!same(read.hasVersion() ? read.getVersion() : null, hashes.get(hashKey(set.getNamespace(), collection.getCollectionName(), read.getKeyHash())))) {
                        return TxValidationCode.MVCC_READ_CONFLICT;
                    }
                }
            }
        }
        return TxValidationCode.VALID;
    }

    private static Place placeOf(Stored stored) {
        return stored == null ? null : new Place(stored.block(), stored.tx());
    }

    private static boolean same(Version read, Place now) {
        return read == null ? now == null : now != null && read.getBlockNum() == now.block() && read.getTxNum() == now.tx();
    }

    /** The range again: the same keys with the same versions must come out, up to the last one read. */
    private static boolean sameRange(TreeMap<ByteString, Stored> space, RangeQueryInfo range) {
        ByteString start = ByteString.copyFromUtf8(range.getStartKey());
        ByteString end = ByteString.copyFromUtf8(range.getEndKey());
        var now = end.isEmpty() ? space.tailMap(start, true) : space.subMap(start, true, end, !range.getItrExhausted());
        List<KVRead> reads = range.getRawReads().getKvReadsList();
        if (now.size() != reads.size()) {
            return false;
        }
        int index = 0;
        for (var entry : now.entrySet()) {
            KVRead read = reads.get(index++);
            if (!entry.getKey().equals(ByteString.copyFromUtf8(read.getKey())) || !same(read.getVersion(), placeOf(entry.getValue()))) {
                return false;
            }
        }
        return true;
    }

    void apply(TxReadWriteSet sets, long block, long tx) throws InvalidProtocolBufferException {
        for (NsReadWriteSet set : sets.getNsRwsetList()) {
            KVRWSet open = decoded.open(KVRWSet.parser(), set.getRwset());
            TreeMap<ByteString, Stored> space = space(set.getNamespace());
            for (KVWrite write : open.getWritesList()) {
                ByteString key = ByteString.copyFromUtf8(write.getKey());
                if (write.getIsDelete()) {
                    space.remove(key);
                } else {
                    Stored before = space.get(key);
                    space.put(key, new Stored(write.getValue(), block, tx, before == null ? ByteString.EMPTY : before.policy()));
                }
            }
            for (KVMetadataWrite write : open.getMetadataWritesList()) {
                ByteString key = ByteString.copyFromUtf8(write.getKey());
                Stored before = space.get(key);
                if (before != null) {
                    ByteString policy = ByteString.EMPTY;
                    for (KVMetadataEntry entry : write.getEntriesList()) {
                        policy = entry.getName().equals("VALIDATION_PARAMETER") ? entry.getValue() : policy;
                    }
                    space.put(key, new Stored(before.value(), block, tx, policy));
                }
            }
            for (CollectionHashedReadWriteSet collection : set.getCollectionHashedRwsetList()) {
                for (KVWriteHash write : decoded.open(HashedRWSet.parser(), collection.getHashedRwset()).getHashedWritesList()) {
                    String key = hashKey(set.getNamespace(), collection.getCollectionName(), write.getKeyHash());
                    if (write.getIsDelete() || write.getIsPurge()) {
                        hashes.remove(key);
                    } else {
                        hashes.put(key, new Place(block, tx));
                    }
                }
            }
        }
    }

    List<String> size() {
        List<String> out = new ArrayList<>();
        state.forEach((namespace, keys) -> out.add(namespace + " " + keys.size()));
        return out;
    }
}
