package outside;

import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.hyperledger.fabric.client.Gateway;
import org.hyperledger.fabric.client.identity.Identities;
import org.hyperledger.fabric.client.identity.Signer;
import org.hyperledger.fabric.client.identity.Signers;
import org.hyperledger.fabric.client.identity.X509Identity;

/** A folder that says where the ledger is and holds certificates and keys: world.properties, tls-root.pem, name.pem and name.key. */
final class World implements AutoCloseable {
    private final Path folder;
    final Properties facts = new Properties();
    final ManagedChannel channel;

    World(Path folder) throws IOException {
        this.folder = folder;
        try (Reader reader = Files.newBufferedReader(folder.resolve("world.properties"))) {
            facts.load(reader);
        }
        channel = Grpc.newChannelBuilder(facts.getProperty("address"), TlsChannelCredentials.newBuilder().trustManager(folder.resolve("tls-root.pem").toFile()).build())
                .overrideAuthority(facts.getProperty("serverName")).build();
    }

    X509Identity identity(String name) throws Exception {
        try (Reader reader = Files.newBufferedReader(folder.resolve(name + ".pem"))) {
            return new X509Identity(facts.getProperty(name), Identities.readX509Certificate(reader));
        }
    }

    Signer signer(String name) throws Exception {
        try (Reader reader = Files.newBufferedReader(folder.resolve(name + ".key"))) {
            return Signers.newPrivateKeySigner(Identities.readPrivateKey(reader));
        }
    }

    /** A gateway as this identity, with its key. */
    Gateway enter(String name) throws Exception {
        return Gateway.newInstance().connection(channel).identity(identity(name)).signer(signer(name)).connect();
    }

    /** A gateway as this identity, which cannot sign. */
    Gateway enterUnsigned(String name) throws Exception {
        return Gateway.newInstance().connection(channel).identity(identity(name)).connect();
    }

    @Override
    public void close() {
        channel.shutdownNow();
    }
}
