package probe;

import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.hyperledger.fabric.metrics.Metrics;
import org.hyperledger.fabric.shim.ChaincodeBase;
import org.hyperledger.fabric.shim.ChaincodeServerProperties;
import org.hyperledger.fabric.shim.ChaincodeStub;
import org.hyperledger.fabric.shim.NettyChaincodeServer;
import org.hyperledger.fabric.shim.ledger.CompositeKey;
import org.hyperledger.fabric.shim.ledger.KeyModification;
import org.hyperledger.fabric.shim.ledger.KeyValue;
import org.hyperledger.fabric.shim.ledger.QueryResultsIterator;
import org.hyperledger.fabric.shim.ledger.QueryResultsIteratorWithMetadata;
import org.hyperledger.fabric.traces.Traces;

/** One call of the stub per transaction. Its input is one JSON text, words between bars; its answers are JSON. Arguments: package id, port. */
public final class Main extends ChaincodeBase {
  public static void main(String[] words) throws Exception {
    ChaincodeServerProperties properties = new ChaincodeServerProperties();
    properties.setServerAddress(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[1])));
    // Its default ends every conversation after five seconds.
    properties.setMaxConnectionAgeSeconds(86_400);
    Main contract = new Main();
    contract.processEnvironmentOptions();
    contract.processCommandLineOptions(new String[] {"--id", words[0]});
    Properties config = contract.getChaincodeConfig();
    Metrics.initialize(config);
    Traces.initialize(config);
    contract.validateOptions();
    NettyChaincodeServer server = new NettyChaincodeServer(contract, properties);
    System.out.println("ready");
    server.start();
  }

  @Override
  public Response init(ChaincodeStub stub) {
    return newSuccessResponse();
  }

  @Override
  public Response invoke(ChaincodeStub stub) {
    try {
      return newSuccessResponse(answer(stub, stub.getFunction(), words(stub.getParameters().get(0))).getBytes(StandardCharsets.UTF_8));
    } catch (Exception error) {
      return newErrorResponse(error.getMessage());
    }
  }

  private static List<String> words(String json) {
    return List.of(json.substring(1, json.length() - 1).split("\\|", -1));
  }

  private static String answer(ChaincodeStub stub, String name, List<String> words) throws Exception {
    switch (name) {
      case "put": stub.putStringState(words.get(0), words.get(1)); return "null";
      case "get": return text(stub.getStringState(words.get(0)));
      case "delete": stub.delState(words.get(0)); return "null";
      case "range": return rows(stub.getStateByRange(words.get(0), words.get(1)));
      case "page": {
        try (QueryResultsIteratorWithMetadata<KeyValue> page = stub.getStateByRangeWithPagination(words.get(0), words.get(1), 2, words.get(2))) {
          List<String> keys = new ArrayList<>();
          for (KeyValue row : page) keys.add(text(row.getKey()));
          return "[" + keys + "," + page.getMetadata().getFetchedRecordsCount() + "," + text(page.getMetadata().getBookmark()) + "]";
        }
      }
      case "putComposite": stub.putStringState(new CompositeKey(words.get(0), words.get(1)).toString(), words.get(2)); return "null";
      case "partial": return rows(stub.getStateByPartialCompositeKey(words.get(0)));
      case "history": {
        List<String> changes = new ArrayList<>();
        try (QueryResultsIterator<KeyModification> history = stub.getHistoryForKey(words.get(0))) {
          for (KeyModification change : history) changes.add("[" + text(change.getStringValue()) + "," + change.isDeleted() + "]");
        }
        return changes.toString();
      }
      case "putPrivate": stub.putPrivateData(words.get(0), words.get(1), words.get(2)); return "null";
      case "getPrivate": return text(stub.getPrivateDataUTF8(words.get(0), words.get(1)));
      case "privateHash": return String.valueOf(stub.getPrivateDataHash(words.get(0), words.get(1)).length);
      case "purge": stub.purgePrivateData(words.get(0), words.get(1)); return "null";
      case "setPolicy": stub.setStateValidationParameter(words.get(0), words.get(1).getBytes(StandardCharsets.UTF_8)); return "null";
      case "policy": return String.valueOf(stub.getStateValidationParameter(words.get(0)) == null ? 0 : stub.getStateValidationParameter(words.get(0)).length);
      case "event": stub.setEvent(words.get(0), words.get(1).getBytes(StandardCharsets.UTF_8)); return "null";
      case "caller": return text(stub.getMspId() + " " + stub.getChannelId() + " " + stub.getTxId().length() + " " + stub.getTxTimestamp().toEpochMilli());
      case "invoke": return text(stub.invokeChaincodeWithStringArgs(words.get(0), List.of("run", words.get(1).replace('\'', '"'))).getStringPayload());
      case "refuse": throw new IllegalStateException("the Java contract refuses: ü");
      default: throw new IllegalArgumentException("unknown " + name);
    }
  }

  private static String rows(QueryResultsIterator<KeyValue> found) throws Exception {
    List<String> rows = new ArrayList<>();
    try (found) {
      for (KeyValue row : found) rows.add(text(row.getStringValue()));
    }
    return rows.toString();
  }

  private static String text(String value) {
    return "\"" + value.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
  }
}
