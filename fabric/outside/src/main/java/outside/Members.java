package outside;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import java.io.ByteArrayInputStream;
import java.security.GeneralSecurityException;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509CRL;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import org.hyperledger.fabric.protos.common.ConfigGroup;
import org.hyperledger.fabric.protos.common.MSPPrincipal;
import org.hyperledger.fabric.protos.common.MSPRole;
import org.hyperledger.fabric.protos.common.SignaturePolicy;
import org.hyperledger.fabric.protos.common.SignaturePolicyEnvelope;
import org.hyperledger.fabric.protos.msp.FabricMSPConfig;
import org.hyperledger.fabric.protos.msp.MSPConfig;
import org.hyperledger.fabric.protos.msp.SerializedIdentity;

/** Who is a member under one configuration of a channel, and which signature policies identities satisfy. */
final class Members {
    record Identity(String mspId, X509Certificate certificate, MSPRole.MSPRoleType role) {
    }

    private record Organisation(List<X509Certificate> roots, List<X509CRL> lists) {
    }

    private final Map<String, Organisation> organisations = new HashMap<>();

    Members(ConfigGroup channel, Decoded decoded) throws InvalidProtocolBufferException, GeneralSecurityException {
        for (String part : List.of("Application", "Orderer")) {
            for (ConfigGroup group : channel.getGroupsOrThrow(part).getGroupsMap().values()) {
                MSPConfig outer = decoded.open(MSPConfig.parser(), group.getValuesOrThrow("MSP").getValue());
                FabricMSPConfig msp = decoded.open(FabricMSPConfig.parser(), outer.getConfig());
                CertificateFactory factory = CertificateFactory.getInstance("X.509");
                List<X509Certificate> roots = new ArrayList<>();
                for (ByteString pem : msp.getRootCertsList()) {
                    roots.add((X509Certificate) factory.generateCertificate(pem.newInput()));
                }
                List<X509CRL> lists = new ArrayList<>();
                for (ByteString pem : msp.getRevocationListList()) {
                    lists.add((X509CRL) factory.generateCRL(pem.newInput()));
                }
                organisations.put(msp.getName(), new Organisation(roots, lists));
            }
        }
    }

    /** The certificate inside a serialised identity, whoever vouches for it. */
    static X509Certificate certificateOf(ByteString serialised) throws InvalidProtocolBufferException, GeneralSecurityException {
        byte[] pem = SerializedIdentity.parseFrom(serialised).getIdBytes().toByteArray();
        return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(pem));
    }

    static boolean verifies(ByteString serialised, ByteString message, ByteString signature) throws InvalidProtocolBufferException, GeneralSecurityException {
        Signature check = Signature.getInstance("SHA256withECDSA");
        check.initVerify(certificateOf(serialised).getPublicKey());
        check.update(message.toByteArray());
        return check.verify(signature.toByteArray());
    }

    /** The identity, when a member organisation issued and has not revoked its certificate and it carries one role. */
    Optional<Identity> identify(ByteString serialised) {
        try {
            String mspId = SerializedIdentity.parseFrom(serialised).getMspid();
            X509Certificate certificate = certificateOf(serialised);
            Organisation organisation = organisations.get(mspId);
            if (organisation == null || certificate.getBasicConstraints() >= 0) {
                return Optional.empty();
            }
            for (X509Certificate root : organisation.roots()) {
                if (!root.getSubjectX500Principal().equals(certificate.getIssuerX500Principal())) {
                    continue;
                }
                certificate.verify(root.getPublicKey());
                for (X509CRL list : organisation.lists()) {
                    list.verify(root.getPublicKey());
                    if (list.isRevoked(certificate)) {
                        return Optional.empty();
                    }
                }
                return roleOf(certificate).map(role -> new Identity(mspId, certificate, role));
            }
            return Optional.empty();
        } catch (InvalidProtocolBufferException | GeneralSecurityException problem) {
            return Optional.empty();
        }
    }

    /** NodeOUs: the organisational unit names the role, exactly one of four. */
    private static Optional<MSPRole.MSPRoleType> roleOf(X509Certificate certificate) {
        Map<String, MSPRole.MSPRoleType> roles = Map.of("client", MSPRole.MSPRoleType.CLIENT, "peer", MSPRole.MSPRoleType.PEER, "admin", MSPRole.MSPRoleType.ADMIN, "orderer", MSPRole.MSPRoleType.ORDERER);
        Set<MSPRole.MSPRoleType> found = new HashSet<>();
        try {
            for (var part : new LdapName(certificate.getSubjectX500Principal().getName()).getRdns()) {
                if (part.getType().equalsIgnoreCase("OU") && roles.containsKey(part.getValue().toString())) {
                    found.add(roles.get(part.getValue().toString()));
                }
            }
        } catch (InvalidNameException problem) {
            return Optional.empty();
        }
        return found.size() == 1 ? found.stream().findFirst() : Optional.empty();
    }

    /** Fabric's rule: every identity satisfies at most one leaf; a part that fails gives its identities back. */
    static boolean satisfied(SignaturePolicyEnvelope policy, List<Identity> identities) throws InvalidProtocolBufferException {
        List<Identity> distinct = new ArrayList<>();
        for (Identity one : identities) {
            if (distinct.stream().noneMatch(other -> other.certificate().equals(one.certificate()))) {
                distinct.add(one);
            }
        }
        return evaluate(policy.getRule(), policy.getIdentitiesList(), distinct, new HashSet<>());
    }

    private static boolean evaluate(SignaturePolicy rule, List<MSPPrincipal> principals, List<Identity> identities, Set<Integer> used) throws InvalidProtocolBufferException {
        if (rule.getTypeCase() == SignaturePolicy.TypeCase.SIGNED_BY) {
            for (int index = 0; index < identities.size(); index++) {
                if (!used.contains(index) && matches(principals.get(rule.getSignedBy()), identities.get(index))) {
                    used.add(index);
                    return true;
                }
            }
            return false;
        }
        int held = 0;
        for (SignaturePolicy part : rule.getNOutOf().getRulesList()) {
            Set<Integer> attempt = new HashSet<>(used);
            if (evaluate(part, principals, identities, attempt)) {
                held++;
                used.clear();
                used.addAll(attempt);
            }
        }
        return rule.getTypeCase() == SignaturePolicy.TypeCase.N_OUT_OF && held >= rule.getNOutOf().getN();
    }

    private static boolean matches(MSPPrincipal principal, Identity identity) throws InvalidProtocolBufferException {
        if (principal.getPrincipalClassification() != MSPPrincipal.Classification.ROLE) {
            return false;
        }
        MSPRole role = MSPRole.parseFrom(principal.getPrincipal());
        return role.getMspIdentifier().equals(identity.mspId()) && (role.getRole() == MSPRole.MSPRoleType.MEMBER || role.getRole() == identity.role());
    }
}
