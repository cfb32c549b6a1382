package outside;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.Parser;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Decodes messages with Fabric's own classes and notes every field that they do not know, at every depth. */
final class Decoded {
    final List<String> unknown = new ArrayList<>();
    int messages;

    <T extends Message> T open(Parser<T> parser, ByteString bytes) throws InvalidProtocolBufferException {
        T message = parser.parseFrom(bytes);
        look(message);
        return message;
    }

    private void look(Message message) {
        messages++;
        if (!message.getUnknownFields().asMap().isEmpty()) {
            unknown.add(message.getDescriptorForType().getFullName() + " has fields " + message.getUnknownFields().asMap().keySet());
        }
        for (Object value : message.getAllFields().values()) {
            for (Object one : value instanceof List<?> list ? list : List.of(value)) {
                if (one instanceof Message inner) {
                    look(inner);
                }
            }
        }
    }

    static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte one : bytes) {
            text.append(String.format("%02x", one));
        }
        return text.toString();
    }

    static String hex(ByteString bytes) {
        return hex(bytes.toByteArray());
    }

    static <K, V> V orElse(Map<K, V> map, K key, V other) {
        V value = map.get(key);
        return value == null ? other : value;
    }
}
